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

# m: how many requests were decided, the level of the one that is decided now, whether the client is cut off,
# √(α ln t), the t at which that is renewed, the threshold in force; then of each level how much was heard,
# the mean of what was wrong, the width of its bound, how much was asked.
DECIDED, LEVEL, CUT, REACH, RENEWED, IN_FORCE, FIRST = range(7)
HEARD, ERROR, RADIUS, ASKED, NUMBERS = range(5)
RENEWAL = 1.01  # growth of t after which ln t is taken anew: it has grown by a hundredth then
UNKNOWN = 1e9  # the width of a bound of which nothing was heard
LOGISTIC = sqrt(3.0) / 3.141592653589793  # scales log(u/(1-u)) to variance 1


@dataclass(frozen=True)
class Bounds(Levels):
    """What all of them learn. alpha: how wide the bounds are, times the root of ln t, which is taken anew
    whenever t has grown by a hundredth."""

    alpha: float

    def begin(self) -> tuple[float, ...]:
        in_force = self.levels if self.c_e > 1.0 else 0.0  # what is worth sending if all of it is wrong
        return (*(0.0,) * IN_FORCE, in_force, *(0.0, 1.0, UNKNOWN, 0.0) * int(self.levels))

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        note_request(p, m)

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        narrow(p, m, heard)


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
        return -inf if m[at + ERROR] + m[REACH] * m[at + RADIUS] >= p[C_E] else inf


class Monotone(Bounds):
    """HI-LCB: as the lite form, with the least bound of all levels that are as unsure or more: the client
    errs no less often where it is less sure, so what bounds those bounds this one too (arXiv 2508.08985)."""

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        m[LEVEL] = level_of(p, request.score)
        return edge(p, int(m[IN_FORCE]))

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        if note_request(p, m):
            m[IN_FORCE] = lowest(p, m)

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        if narrow(p, m, heard):
            m[IN_FORCE] = lowest(p, m)


class UpperBound(Bounds):
    """UCB over thresholds: the threshold k of the largest gain Σ_{i>=k} s_i·(min(ê_i + √(α ln t/n_i), 1) -
    c_e), s_i being how many requests came at level i (Auer et al. 2002, of thresholds as ours)."""

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        m[LEVEL] = level_of(p, request.score)
        return edge(p, int(m[IN_FORCE]))

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        if note_request(p, m):
            m[IN_FORCE] = best(p, m)

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        if narrow(p, m, heard):
            m[IN_FORCE] = best(p, m)


class Sampled(Bounds):
    """Thompson sampling over thresholds: as UCB, with ẽ_i = ê_i + scale·z·σ_i, ê_i and σ_i the mean and
    deviation of the Beta posterior of a uniform prior, and z a logistic draw of variance 1, the same for all
    levels (as RandUCB couples its arms, Vaswani et al. 2020; Thompson draws one for each)."""

    def begin(self) -> tuple[float, ...]:
        return (0.0,) * FIRST + (2.0, 0.5, spread(2.0, 0.5), 0.0) * int(self.levels)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        m[LEVEL] = level_of(p, request.score)
        z = LOGISTIC * log(request.draw / (1.0 - request.draw))
        reach, found, least = p[OWN] * z, 0, 0.0
        means = widths = 0.0  # of what the levels so far gain
        for level in range(int(p[LEVELS])):
            at = FIRST + NUMBERS * level
            means += m[at + ASKED] * (m[at + ERROR] - p[C_E])
            widths += m[at + ASKED] * m[at + RADIUS]
            if means + reach * widths < least:
                found, least = level + 1, means + reach * widths
        return edge(p, found)

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


def note_request(p: Any, m: Any) -> bool:
    """Counts the request that was decided; whether ln t was taken anew."""
    m[DECIDED] += 1.0
    m[FIRST + NUMBERS * int(m[LEVEL]) + ASKED] += 1.0
    if m[DECIDED] < m[RENEWED]:
        return False
    m[REACH], m[RENEWED] = sqrt(p[OWN] * log(m[DECIDED] + 1.0)), RENEWAL * m[DECIDED]
    return True


def narrow(p: Any, m: Any, heard: Outcome) -> bool:
    """Narrows the bound of the level that was heard of; whether anything was."""
    word = word_of(p, m, CUT, heard)
    if word == NOTHING:
        return False
    if word == WAS_CUT_OFF:
        for level in range(int(p[LEVELS])):
            at = FIRST + NUMBERS * level
            m[at + HEARD] *= p[KEPT]
            if m[at + HEARD] > 0.0:
                m[at + RADIUS] = 1.0 / sqrt(m[at + HEARD])
    at = add(p, m, heard)
    m[at + RADIUS] = 1.0 / sqrt(m[at + HEARD])
    return True


def add(p: Any, m: Any, heard: Outcome) -> int:
    """Adds what was heard to its level; gives the place of that level's numbers."""
    at = FIRST + NUMBERS * level_of(p, heard.score)
    m[at + HEARD] += 1.0
    m[at + ERROR] += (wrong(heard) - m[at + ERROR]) / m[at + HEARD]
    return at


def spread(heard: float, error: float) -> float:
    """The deviation of the Beta distribution of this mean whose two parameters add up to `heard`."""
    return sqrt(error * (1.0 - error) / (heard + 1.0))


def lowest(p: Any, m: Any) -> int:
    """The threshold above which every level may be wrong often enough to be sent."""
    level = int(p[LEVELS])
    while level > 0:
        at = FIRST + NUMBERS * (level - 1)
        if m[at + ERROR] + m[REACH] * m[at + RADIUS] < p[C_E]:
            break
        level -= 1
    return level


def best(p: Any, m: Any) -> int:
    """The threshold of the largest gain, if what is wrong at each level is its bound, at most 1: the one
    below which least is to be gained."""
    found, gain, least = 0, 0.0, 0.0
    for level in range(int(p[LEVELS])):
        at = FIRST + NUMBERS * level
        gain += m[at + ASKED] * (min(m[at + ERROR] + m[REACH] * m[at + RADIUS], 1.0) - p[C_E])
        if gain < least:
            found, least = level + 1, gain
    return found
