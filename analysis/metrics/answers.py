"""How good the answers were: counts, accuracy, the contrast of the two models, risk, fairness.
Sections of the summary; each takes the traffic and gives plain numbers, defined in `definitions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.metrics.by_client import (
    accuracy_by_client,
    shrunk,
    worst_decile,
    worst_decile_by_chance,
)
from analysis.metrics.measures import local_risk, oracle_risk, realised_risk, remote_risk
from analysis.run_folder.kept import kept
from analysis.run_folder.per_request import per_request
from analysis.run_folder.traffic import Mask, Traffic, ratio, share
from sim.results.columns import CAUSES, OUTCOMES


def counts(traffic: Traffic) -> dict[str, Any]:
    """Requests per outcome and per cause at the server; each column sums to the number of requests."""
    return {
        "requests": traffic.count,
        "outcome": {name: int(traffic.is_outcome(name).sum()) for name in OUTCOMES},
        "outcome_share": {name: ratio(traffic.is_outcome(name).sum(), traffic.count) for name in OUTCOMES},
        "server_cause": {name: int(traffic.is_cause(name).sum()) for name in CAUSES},
    }


def accuracy(traffic: Traffic) -> dict[str, Any]:
    """Shares of right answers on both halves of the traffic samples, and what each model alone would get."""
    return {
        "held_out": _accuracy_among(traffic, traffic.held_out),
        "training_half": _accuracy_among(traffic, traffic.training_half),
    }


def _accuracy_among(traffic: Traffic, among: Mask) -> dict[str, Any]:
    estimate, correct = traffic.clusters.share, traffic.correct
    return {
        "all": estimate(correct, among),
        "answered": estimate(correct, among & ~traffic.is_answered_by("none")),
        "by_answerer": {
            name: estimate(correct, among & traffic.is_answered_by(name))
            for name in traffic.run.answerers
            if name != "none"
        },
        "client_accuracy": estimate(traffic.column("client_right"), among),
        "gain": traffic.clusters.mean(_gain(correct, traffic.column("client_right")), among),
        "server_accuracy": estimate(traffic.column("server_right"), among & traffic.column("server_known")),
    }


def _gain(correct: NDArray[Any], alone: NDArray[Any]) -> NDArray[Any]:
    """How much better each answer is than the client's own, (n,); of answers right or wrong -1, 0 or 1."""
    kind: Any = np.int8 if correct.dtype == alone.dtype == bool else np.float64
    found: NDArray[Any] = np.subtract(correct, alone, dtype=kind)
    return found


@kept
def contrast(traffic: Traffic) -> dict[str, Any]:
    """Accuracy of m and of e on what the policy sent and on what it kept (held-out samples).

    A rejector that learned its task sends where the client is weak and the server strong.
    """
    return contrast_among(traffic, np.ones(traffic.count, dtype=bool))


def contrast_among(traffic: Traffic, among: Mask) -> dict[str, Any]:
    """The same among some of the requests."""
    known = among & traffic.held_out & traffic.column("server_known")
    sent = traffic.column("deferred")
    estimate = traffic.clusters.share
    return {
        side: {
            "client": estimate(traffic.column("client_right"), those),
            "server": estimate(traffic.column("server_right"), those),
        }
        for side, those in (("deferred", known & sent), ("local", known & ~sent))
    }


def rates(traffic: Traffic) -> dict[str, Any]:
    """How often the policy sent, and how often the server's answer was the one given."""
    sent = traffic.column("deferred")
    decided = traffic.column("is_decided")
    return {
        "deferral_rate": traffic.clusters.share(sent, decided),
        "deferral_rate_held_out": traffic.clusters.share(sent, decided & traffic.held_out),
        "remote_answer_rate": share(traffic.is_answered_by("server"), traffic.known),
        "answered_if_sent": share(traffic.is_answered_by("server"), traffic.known & sent),
    }


def risk(traffic: Traffic) -> dict[str, Any]:
    """The generalised 0-1 loss as it was paid (DESIGN §6), against an oracle that knows both answers.

    Per request, realised = c_e · charged attempts + w · 1[answer wrong or missing], w = c_1 where the
    server answered and 1 where the client or nobody did; oracle = min(1[m wrong], c_e + c_1·1[e wrong]). Of
    answers with a quality q, 1 − q stands for 1[wrong]. all_local, all_remote: had nothing been sent, and had
    everything been sent and answered.
    Means over held-out requests for which the server's answer is on record.
    """
    among = traffic.held_out & traffic.column("server_known")
    means: dict[str, Callable[[Traffic], NDArray[Any]]] = {
        "realised": realised_risk,
        "oracle": oracle_risk,
        "excess": lambda part: realised_risk(part) - oracle_risk(part),
        "all_local": local_risk,
        "all_remote": remote_risk,
        "above_all_local": lambda part: realised_risk(part) - local_risk(part),
    }
    return {
        name: traffic.clusters.mean(per_request(traffic, number), among) for name, number in means.items()
    }


def fairness(traffic: Traffic) -> dict[str, Any]:
    """How evenly accuracy on held-out samples is spread over the clients, each client counting once.

    Jain's index (Jain, Chiu and Hawe 1984) is (Σx)² / (n·Σx²): 1 if all are equal, 1/n if one has it all.
    """
    asked = traffic.clusters.held(traffic.held_out).clients
    table = accuracy_by_client(traffic)
    per_client = table["fleet"]
    squares = float((per_client**2).sum())
    return {
        "clients": int(per_client.size),
        "left_out": int(asked - per_client.size),
        "jain": float(per_client.sum() ** 2 / (per_client.size * squares)) if squares > 0 else None,
        "worst_decile_accuracy": worst_decile(per_client),
        "worst_decile_by_chance": worst_decile_by_chance(table),
        "worst_decile_shrunk": worst_decile(shrunk(table)),
    }
