"""Scores: a number per client and sample, larger means "send".
A new score is one function and one line of `SCORES`; its price is the simulator's business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Evidence:
    """What is known of a frozen client's n samples. Only the first field exists on a real device.

    log_probabilities: float64 (n, classes); client_correct, server_correct: bool (n,); c_1: weight of a wrong
    server answer.
    """

    log_probabilities: NDArray[np.float64]
    client_correct: NDArray[np.bool_]
    server_correct: NDArray[np.bool_]
    c_1: float


def confidence(evidence: Evidence) -> NDArray[np.float32]:
    """1 - max_y p(y|x): a rank. Needs the client's softmax only (Chow 1970; Hendrycks and Gimpel 2017).

    Summed over the other classes: the difference itself is 0 in float32 wherever p is above 1 - 3e-8, and
    all those samples would tie.
    """
    others = np.sort(evidence.log_probabilities, axis=1)[:, :-1]
    unsure: NDArray[np.float32] = np.exp(others).sum(axis=1).astype(np.float32)
    return unsure


def oracle(evidence: Evidence) -> NDArray[np.float32]:
    """1[m!=y] - c_1*1[e!=y]: a gain, and a bound. Needs both answers and the label, so no device can have
    it; no policy of the same reject rate does better (the generalised 0-1 loss, arXiv 2501.13810)."""
    wrong_client = ~evidence.client_correct
    wrong_server = ~evidence.server_correct
    return (wrong_client - np.float32(evidence.c_1) * wrong_server).astype(np.float32)


def l2h(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """r_remote - r_local: a rank with Bayes price 0 (arXiv 2501.13810). Needs the client's trained rejector.

    logits: (rows, n, 2), ordered (local, remote); returns (rows, n).
    """
    return logits[..., 1] - logits[..., 0]


@dataclass(frozen=True)
class Score:
    """How a score is made: by the simulator per request (neither function), else a row per frozen model or
    a row per rejector. A gain is in units of cost and can be priced; a rank is only ordered.
    """

    unit: Literal["gain", "rank"]
    of_client: Callable[[Evidence], NDArray[np.float32]] | None = None
    of_rejectors: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None


SCORES: dict[str, Score] = {
    "l2h": Score("rank", of_rejectors=l2h),
    "confidence": Score("rank", of_client=confidence),
    "random": Score("rank"),
    "oracle": Score("gain", of_client=oracle),
}

SHOWN = ("l2h", "confidence", "random", "oracle")  # the curves of a run, in this order; l2h where trained
