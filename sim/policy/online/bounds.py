"""Prices that bound how often the client is wrong at each level of its score, from the answers heard there.
HI-LCB and its lite form, and UCB and Thompson sampling over thresholds; see `docs/online_policies.md`."""

# ruff: noqa: ARG004  (all prices take the same)

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Any

from sim.policy.online.levels import (
    C_E,
    KEPT,
    LEVELS,
    NOTHING,
    OWN,
    WAS_CUT_OFF,
    Levels,
    edge,
    level_of,
    word_of,
    wrong,
)
from sim.policy.outcomes import Outcome, Request

# m: how many requests were decided, the level of the one that is decided now, whether the client is cut off;
# then of each level how much was heard, the mean of what was wrong, the width of its bound, how much was
# asked.
DECIDED, LEVEL, CUT, FIRST = range(4)
HEARD, ERROR, RADIUS, ASKED, NUMBERS = range(5)
UNKNOWN = 1e9  # the width of a bound of which nothing was heard
LOGISTIC = sqrt(3.0) / 3.141592653589793  # scales log(u/(1-u)) to variance 1


@dataclass(frozen=True)
class Bounds(Levels):
    """What all of them learn. alpha: how wide the bounds are."""

    alpha: float

    def begin(self) -> tuple[float, ...]:
        return (0.0, 0.0, 0.0) + (0.0, 1.0, UNKNOWN, 0.0) * int(self.levels)

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        m[DECIDED] += 1.0
        m[FIRST + NUMBERS * int(m[LEVEL]) + ASKED] += 1.0

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        word = word_of(p, m, CUT, heard)
        if word == WAS_CUT_OFF:
            for level in range(int(p[LEVELS])):
                at = FIRST + NUMBERS * level
                m[at + HEARD] *= p[KEPT]
                if m[at + HEARD] > 0.0:
                    m[at + RADIUS] = 1.0 / sqrt(m[at + HEARD])
        if word != NOTHING:
            at = add(p, m, heard)
            m[at + RADIUS] = 1.0 / sqrt(m[at + HEARD])


class Lite(Bounds):
    """HI-LCB-lite: sends a level as long as ê + √(α ln t/n) >= c_e there, ê being the share of the n answers
    heard at that level that contradicted the client, and t the number of requests so far.

    In the paper's terms: offload iff 1 - LCB(φ) >= γ, LCB = f̂ - √(α ln t/n) of the client being right
    (Chattopadhyay et al. 2025, arXiv 2508.08985). λ is -inf or inf: it has no threshold, but a rule per
    level.
    """

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        level = level_of(p, request.score)
        m[LEVEL] = level
        at = FIRST + NUMBERS * level
        reach = sqrt(p[OWN] * log(m[DECIDED] + 1.0))
        return -inf if m[at + ERROR] + reach * m[at + RADIUS] >= p[C_E] else inf


class Monotone(Bounds):
    """HI-LCB: as the lite form, with the least bound of all levels that are as unsure or more: the client
    errs no less often where it is less sure, so what bounds those bounds this one too (arXiv 2508.08985)."""

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        m[LEVEL] = level_of(p, request.score)
        reach = sqrt(p[OWN] * log(m[DECIDED] + 1.0))
        level = int(p[LEVELS])
        while level > 0:
            at = FIRST + NUMBERS * (level - 1)
            if m[at + ERROR] + reach * m[at + RADIUS] < p[C_E]:
                break
            level -= 1
        return edge(p, level)


class UpperBound(Bounds):
    """UCB over thresholds: the threshold k of the largest gain Σ_{i>=k} s_i·(min(ê_i + √(α ln t/n_i), 1) -
    c_e), s_i being how many requests came at level i (Auer et al. 2002, of thresholds as ours)."""

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        m[LEVEL] = level_of(p, request.score)
        return edge(p, best(p, m, sqrt(p[OWN] * log(m[DECIDED] + 1.0))))


class Sampled(Bounds):
    """Thompson sampling over thresholds: as UCB, with ẽ_i = ê_i + α·z·σ_i, ê_i and σ_i the mean and deviation
    of the Beta posterior of a uniform prior, and z a logistic draw of variance 1, the same for all levels (as
    RandUCB couples its arms, Vaswani et al. 2020; Thompson draws one for each)."""

    def begin(self) -> tuple[float, ...]:
        return (0.0, 0.0, 0.0) + (2.0, 0.5, spread(2.0, 0.5), 0.0) * int(self.levels)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        m[LEVEL] = level_of(p, request.score)
        z = LOGISTIC * log(request.draw / (1.0 - request.draw))
        return edge(p, best(p, m, p[OWN] * z))

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        word = word_of(p, m, CUT, heard)
        if word == WAS_CUT_OFF:
            for level in range(int(p[LEVELS])):
                at = FIRST + NUMBERS * level
                m[at + HEARD] = 2.0 + p[KEPT] * (m[at + HEARD] - 2.0)
                m[at + RADIUS] = spread(m[at + HEARD], m[at + ERROR])
        if word != NOTHING:
            at = add(p, m, heard)
            m[at + RADIUS] = spread(m[at + HEARD], m[at + ERROR])


def add(p: Any, m: Any, heard: Outcome) -> int:
    """Adds what was heard to its level; gives the place of that level's numbers."""
    at = FIRST + NUMBERS * level_of(p, heard.score)
    m[at + HEARD] += 1.0
    m[at + ERROR] += (wrong(heard) - m[at + ERROR]) / m[at + HEARD]
    return at


def spread(heard: float, error: float) -> float:
    """The deviation of the Beta distribution of this mean whose two parameters add up to `heard`."""
    return sqrt(error * (1.0 - error) / (heard + 1.0))


def best(p: Any, m: Any, reach: float) -> int:
    """The threshold of the largest gain, if what is wrong at each level is its mean and `reach` widths."""
    found, gain, most = int(p[LEVELS]), 0.0, 0.0
    for level in range(int(p[LEVELS]) - 1, -1, -1):
        at = FIRST + NUMBERS * level
        gain += m[at + ASKED] * (min(max(m[at + ERROR] + reach * m[at + RADIUS], 0.0), 1.0) - p[C_E])
        if gain >= most:
            found, most = level, gain
    return found
