"""Regret of a policy that learns when to send: what it paid more than a rule that knew everything beforehand.
Read from the requests of a run; see `docs/online_policies.md`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def best_threshold(score: Floats, kept: Floats, sent: Floats) -> float:
    """The threshold that would have cost least: ±inf or one of the scores, what is above it being sent.

    score, kept, sent: (n,), of each request its score, and what keeping and sending it cost.
    """
    order = np.argsort(score, kind="stable")
    in_order = score[order]
    cost = np.concatenate(
        [[0.0], np.cumsum((kept - sent)[order])]
    )  # of keeping the first k, beside sending all
    is_end = np.concatenate([[True], in_order[1:] != in_order[:-1], [True]])
    place = int(np.argmin(np.where(is_end, cost, np.inf)))
    if place == len(score):
        return np.inf
    return float(in_order[place - 1]) if place else -np.inf
