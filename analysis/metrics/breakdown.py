"""The same few numbers of any part of the traffic: of a window, of a group, of those whom an outage touched.
A section of the summary, and what `analysis.metrics.outages` says of each window."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np

from analysis.metrics.part_ratios import not_sent
from analysis.metrics.run_length import span_of
from analysis.metrics.service import amplification, cost_of, in_time, served_in_time, spread
from analysis.run_folder.parts import Rows, rows_of
from analysis.run_folder.traffic import Traffic, share
from analysis.statistics.percentiles import LEVELS
from analysis.statistics.room import picked


def by_whom(section: str) -> Callable[[Traffic], dict[str, Any]]:
    """Each group's, or each server's, model's or option's part of the traffic: all of it, what an outage
    touched, and the rest."""

    def told(traffic: Traffic) -> dict[str, Any]:
        relaxations, touched = span_of(traffic).relaxations, traffic.is_affected
        found = {}
        for name, rows in rows_of(traffic, section).items():
            mine = touched[rows]
            parts = {"whole_run": rows, "affected": picked(rows, mine), "unaffected": picked(rows, ~mine)}
            found[name] = {which: breakdown(traffic, part, relaxations) for which, part in parts.items()}
        return found

    return told


def breakdown(traffic: Traffic, rows: Rows, relaxations: float) -> dict[str, Any]:
    """The numbers of some requests by their places (k,), over those of known outcome; accuracy over held-out
    ones. What was told once of the same requests is told again.

    relaxations: how many relaxation times of the server the run lasts.
    """
    key = blake2b(rows.data, digest_size=16).digest() if rows.size < traffic.count else b""
    if key not in traffic.told:
        traffic.told[key] = _breakdown(traffic.only(rows), relaxations)
    return traffic.told[key]


def _breakdown(part: Traffic, relaxations: float) -> dict[str, Any]:
    everyone, known, held_out = np.ones(part.count, dtype=bool), part.known, part.held_out
    times = part.latencies()
    taken = spread(times, relaxations)
    accuracy, client_accuracy = (
        part.clusters.share(right, held_out) for right in (part.correct, part.column("client_right"))
    )
    part.let_go()
    sent, decided = (part.column(name) for name in ("deferred", "is_decided"))
    return {
        "requests": part.count,
        "accuracy": accuracy,
        "client_accuracy": client_accuracy,
        "deferral_rate": share(sent, decided),
        "answered_by_server_share": share(part.is_answered_by("server"), known),
        "timed_out_share": share(part.is_outcome("timed_out"), known),
        "refused_share": share(part.is_outcome("refused"), known),
        "not_sent_share": share(not_sent(part), known),
        "answered_share": share(~np.isnan(part.column("final_s")), known),
        "answered_in_time_share": share(in_time(part), known),
        "served_in_time_share": share(served_in_time(part), known),
        **{f"{name}_latency_s": taken[name] for name in LEVELS},
        "amplification": amplification(part, everyone),
        **cost_of(part, everyone),
    }
