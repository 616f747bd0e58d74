"""The same few numbers of any part of the traffic: of a window, of a group, of those whom an outage touched.
A section of the summary, and what `analysis.metrics.outages` says of each window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.metrics.part_ratios import not_sent
from analysis.metrics.run_length import span_of
from analysis.metrics.service import amplification, cost_of, in_time, served_in_time, spread
from analysis.run_folder.parts import OF_GROUPS, names_of, of_whom
from analysis.run_folder.traffic import Mask, Traffic, share
from analysis.statistics.percentiles import LEVELS


def by_whom(section: str) -> Callable[[Traffic], dict[str, Any]]:
    """Each group's, or each server's, model's or option's part of the traffic: all of it, what an outage
    touched, and the rest."""

    def parts(traffic: Traffic) -> dict[str, Any]:
        relaxations = span_of(traffic).relaxations
        return {
            name: {
                which: breakdown(traffic, of_whom(traffic, section, name) & part(traffic), relaxations)
                for which, part in OF_GROUPS.items()
            }
            for name in names_of(traffic.run, section)
        }

    return parts


def breakdown(traffic: Traffic, among: Mask, relaxations: float) -> dict[str, Any]:
    """The numbers of the requests `among` (n,), over those of known outcome; accuracy over held-out ones.

    relaxations: how many relaxation times of the server the run lasts.
    """
    requests = traffic.requests
    taken_s = requests["final_s"].to_numpy(dtype=float)
    taken = spread(traffic.latencies().among(among), relaxations)
    known, held_out = among & traffic.known, among & traffic.held_out
    estimate = traffic.clusters.share
    return {
        "requests": int(among.sum()),
        "accuracy": estimate(traffic.correct, held_out),
        "client_accuracy": estimate(np.asarray(requests["client_right"]), held_out),
        "deferral_rate": share(
            np.asarray(requests["deferred"], dtype=bool), among & np.asarray(requests["is_decided"])
        ),
        "answered_by_server_share": share(traffic.is_answered_by("server"), known),
        "timed_out_share": share(traffic.is_outcome("timed_out"), known),
        "refused_share": share(traffic.is_outcome("refused"), known),
        "not_sent_share": share(not_sent(traffic), known),
        "answered_share": share(~np.isnan(taken_s), known),
        "answered_in_time_share": share(in_time(traffic), known),
        "served_in_time_share": share(served_in_time(traffic), known),
        **{f"{name}_latency_s": taken[name] for name in LEVELS},
        "amplification": amplification(traffic, among),
        **cost_of(traffic, among),
    }
