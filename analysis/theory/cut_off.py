"""Whoever cannot reach the server is as good as the own model: accuracy in outages and behind cut links.
One of the laws of this package."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from analysis.run_folder.outages import Outage
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, mean_of, share_of
from analysis.theory.regimes import cut_groups
from analysis.theory.streams import attempts_in_time, longest_pause_s, names_samples, timer_s

LEAST_REQUESTS = 400  # fewer leave an interval of more than ten points


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Accuracy of each group over the outages that cut it off, each less its end, which patience outlives."""
    predictions = []
    for name, group in traffic.run.groups.items():
        spans = [
            (outage.from_s, outage.to_s - patience_s(group))
            for outage in traffic.outages
            if name in _hit(traffic, outage)
        ]
        spans = [(a, b) for a, b in spans if a < b and not _is_drifted(group, b)]
        predictions += _compare(traffic, group, spans)
    return predictions or None


def _hit(traffic: Traffic, outage: Outage) -> tuple[str, ...]:
    """The groups that cannot reach the server in an outage and answer for themselves then."""
    groups = traffic.run.groups
    if outage.slower is not None:
        return ()
    names = tuple(groups) if outage.target == "server" else cut_groups(traffic.run.scenario, outage)
    return tuple(name for name in names if groups[name]["fallback"] == "client")


def patience_s(group: dict[str, Any]) -> float:
    """The longest from its arrival that a request may hope for the server's answer; inf if it hopes for ever.

    Without a deadline patience begins at the decision: at a device that is idle, as most are.
    """
    if group["deadline_s"] is not None:
        return float(group["deadline_s"])
    retry, timer, inference_s = group["retry"], timer_s(group), float(group["device"]["inference_s"])
    if retry is None or timer == inf:
        return inference_s + timer
    longest_s = longest_pause_s(retry, int(retry["attempts"]))
    return inference_s + attempts_in_time(group) * (timer + longest_s)


def _is_drifted(group: dict[str, Any], until_s: float) -> bool:
    """Whether the clients meet other samples by then than those their accuracy is on record for."""
    drifts = any(float(drift["at_s"]) < until_s for drift in group["traffic"]["drift"])
    return drifts or names_samples(group)


def _compare(traffic: Traffic, group: dict[str, Any], spans: list[tuple[float, float]]) -> list[Prediction]:
    requests, name = traffic.requests, group["group"]
    arrived = traffic.arrived_at_s
    inside = np.zeros(arrived.shape, dtype=bool)
    for from_s, to_s in spans:
        inside |= (arrived >= from_s) & (arrived < to_s)
    among = inside & np.asarray(requests["group"] == name) & traffic.held_out
    if among.sum() < LEAST_REQUESTS:
        return []
    clients = traffic.run.of_clients("client_id", "held_out_accuracy").set_index("client_id")[
        "held_out_accuracy"
    ]
    alone = clients.reindex(requests["client_id"].to_numpy()[among]).mean()
    correct = traffic.correct[among]
    simulated = mean_of(correct) if traffic.run.is_graded else share_of(int(correct.sum()), int(among.sum()))
    where = (
        f"{name}, {spans[0][0]:g}–{spans[0][1]:g} s" if len(spans) == 1 else f"{name}, {len(spans)} outages"
    )
    prediction = Prediction("accuracy while cut off", where, "share", float(alone), simulated)
    return [] if prediction.agrees is None else [prediction]


LAW = Law(
    "Cut off from the server",
    "accuracy = that of the clients' own models on what they are sent",
    "a total outage of the server or of all links of a group, a fallback to the client's own answer, "
    "requests that give up before the outage ends, samples as they were before any drift",
    "follows from the definitions: the fallback is the frozen model's answer",
    "in short outages, which hold too few requests; after a drift, whose accuracy is on no record",
    predict,
    knows=frozenset({"heads"}),
)
