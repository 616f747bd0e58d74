"""Levels of a score, and the thresholds between them: what prices that learn from answers keep numbers of.
Plain functions of arrays of floats, which every clock calls."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from sim.policy.moving import Parameters
from sim.policy.outcomes import Outcome
from sim.results.columns import OUTCOMES

REMOTE = OUTCOMES.index("remote")
C_E, LEVELS, LOW, WIDTH, ON_FAILURE, KEPT, OWN = range(7)  # places in p; from OWN on those of a kind alone
FAILURES = ("ignore", "count", "forget")  # what `on_failure` may say, by its number in p
COUNT, FORGET = FAILURES.index("count"), FAILURES.index("forget")
NOTHING, WAS_CUT_OFF, FAILED, ANSWERED = range(4)


@dataclass(frozen=True)
class Levels(Parameters):
    """Parameters of all: c_e; how many levels; the lower end of the first; the width of each; what a failure
    does, a number of FAILURES; the share of its evidence that a client keeps where it forgets."""

    c_e: float
    levels: float
    low: float
    width: float
    on_failure: float
    kept: float


def edge(p: Any, k: int) -> float:
    """The k-th threshold: it sends the levels from k on. 0 sends everything, the last one nothing."""
    if k <= 0:
        return -inf
    return inf if k >= p[LEVELS] else p[LOW] + k * p[WIDTH]


def level_of(p: Any, score: float) -> int:
    """The level k of a score: edge(k) < score <= edge(k + 1)."""
    place = (score - p[LOW]) / p[WIDTH]
    level = int(min(max(place, 0.0), p[LEVELS] - 1.0))
    while score <= edge(p, level):
        level -= 1
    while score > edge(p, level + 1):
        level += 1
    return level


def word_of(p: Any, m: Any, cut: int, heard: Outcome) -> int:
    """What the end of an attempt says: ANSWERED, FAILED where failures count, else NOTHING.

    m[cut]: 1 while the last word was a failure, where a client forgets; its first answer then is WAS_CUT_OFF.
    """
    if heard.outcome == REMOTE:
        if m[cut] == 1.0:
            m[cut] = 0.0
            return WAS_CUT_OFF
        return ANSWERED
    if p[ON_FAILURE] == FORGET:
        m[cut] = 1.0
    return FAILED if p[ON_FAILURE] == COUNT else NOTHING


def wrong(heard: Outcome) -> float:
    """1 if the answer contradicts the client, which takes the server's word for true; 0 also for a
    failure."""
    return 1.0 if heard.outcome == REMOTE and heard.server_label != heard.client_label else 0.0
