"""Prices that weigh thresholds by what following them would have cost, as far as answers tell.
The weighted median, Hedge with a queue of sends, Lyapunov-EXP4 and H2T2; see `docs/online_policies.md`."""

# ruff: noqa: ARG004  (all prices take the same)

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log
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
from sim.policy.online.sends import CHANCE, COST, QUEUE, REQUEST, note, slot_of, slots, unheard
from sim.policy.outcomes import Outcome, Request

ETA, EPSILON, OTHERS = OWN, OWN + 1, OWN + 4  # places in p; between them those of `sim.policy.online.sends`
LEAST = 1e-12  # of a threshold's share of all weights, so that it can come back

# m: of the request that is decided now its number, P(sent) and level; whether the client is cut off; what
# each kind keeps besides; then the weights, and the slots of the sends.
NOW, P_SENT, LEVEL, CUT, KEEPS, FIRST = range(6)


@dataclass(frozen=True)
class Median(Levels):
    """The weighted median of thresholds: w_k <- w_k·exp(-ηβ) of all that would have decided otherwise than
    the answer shows to be right, that is kept what the client had wrong, or sent what it had right.

    The factor is the adaptive rule's of the ExPECA testbed, η = .06 and β = .5; what counts as wrong, and
    that the threshold in force is the median, is as its description has it, the rest ours. m[KEEPS]: the
    median.
    """

    eta: float
    beta: float

    def parameters(self) -> tuple[float, ...]:
        return (*super().parameters()[:OWN], exp(-self.eta * self.beta))

    def begin(self) -> tuple[float, ...]:
        return (0.0, 0.0, 0.0, 0.0, self.levels // 2) + (1.0,) * (int(self.levels) + 1)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        return edge(p, int(m[KEEPS]))

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        word, kinds = word_of(p, m, CUT, heard), int(p[LEVELS]) + 1
        if word == WAS_CUT_OFF:
            forget(p, m, FIRST, kinds)
        if word == NOTHING:
            return
        level = level_of(p, heard.score)
        for k in range(kinds):
            if (k > level) == (wrong(heard) == 1.0):
                m[FIRST + k] *= p[OWN]
        half, so_far, k = 0.5 * settled(m, FIRST, kinds), m[FIRST], 0
        while so_far < half:
            k += 1
            so_far += m[FIRST + k]
        m[KEEPS] = k


@dataclass(frozen=True)
class Drawing(Levels):
    """What the others share: η, the share ε that is sent whatever the weights say, and how many answers are
    awaited at once and how long. A threshold is drawn by its weight; so P(sent) = ε + (1 - ε)·Σ_{k<=i} w_k at
    level i, of weights that add up to 1."""

    eta: float
    epsilon: float
    queue: float
    wait_s: float

    def begin(self) -> tuple[float, ...]:
        kinds = int(self.levels) + 1
        return (-1.0, 0.0, 0.0, 0.0, 0.0) + (1.0 / kinds,) * kinds + slots(self.queue)


class Hedge(Drawing):
    """Hedge over thresholds whose losses wait in a queue of sends.

    An answer to a send of level i costs every k <= i the estimate (c_e - 1[contradicted])/P(sent), what
    sending costs more than keeping, unbiased as the chance of hearing it is P(sent); w_k <- w_k·exp(-η·cost)
    (Freund and Schapire 1997; the estimate as in EXP4, Auer et al. 2002). While `queue` answers are awaited
    nothing is sent. Named for BOLD, whose text could not be read: the queue is ours.
    """

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        level = level_of(p, request.score)
        chance = chance_of(p, m, FIRST, level)
        if unheard(p, m, FIRST + int(p[LEVELS]) + 1, now) >= int(p[QUEUE]):
            chance = 0.0
        m[NOW], m[P_SENT], m[LEVEL] = request.request_id, chance, level
        return -inf if request.draw < chance else inf

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        if is_sent:
            note(p, m, FIRST + int(p[LEVELS]) + 1, now, m[NOW], m[P_SENT], p[C_E])

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        learn(p, m, heard)


@dataclass(frozen=True)
class Lyapunov(Drawing):
    """Lyapunov-EXP4 over thresholds: as Hedge, at the price Q/v in place of c_e, where Q <- max(Q + 1[sent] -
    rate, 0) with each request, so that the share `rate` is sent in the long run (Beytur et al., INFOCOM 2024:
    EXP4 whose loss is a Lyapunov drift; the formulas of the estimate are ours). m[KEEPS]: Q."""

    v: float
    rate: float

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        level = level_of(p, request.score)
        chance = chance_of(p, m, FIRST, level)
        m[NOW], m[P_SENT], m[LEVEL] = request.request_id, chance, level
        return -inf if request.draw < chance else inf

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        if is_sent:
            cost = m[KEEPS] / p[OTHERS]
            note(p, m, FIRST + int(p[LEVELS]) + 1, now, m[NOW], m[P_SENT], cost)
        m[KEEPS] = max(m[KEEPS] + is_sent - p[OTHERS + 1], 0.0)

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        learn(p, m, heard)


@dataclass(frozen=True)
class TwoThresholds(Drawing):
    """H2T2: one threshold where the client says `positive` and one where it says anything else, since its
    errors cost otherwise there.

    Of all pairs of thresholds the weight is a product, so each side keeps its own. Each request costs every
    k <= i of its side c_e; and what was sent by the draw of chance ε alone, and contradicted, costs every k >
    i of its side δ/ε (Moothedath et al. 2025, arXiv 2509.15674: exponential weights of pairs, and feedback on
    what is offloaded alone; the estimate is that of HI's single threshold, and ours here). The client's
    answer stays its own; in the paper, thresholds settle that, too.
    """

    positive: float
    false_positive: float
    false_negative: float

    def begin(self) -> tuple[float, ...]:
        kinds = int(self.levels) + 1
        return (-1.0, 0.0, 0.0, 0.0, 0.0) + (1.0 / kinds,) * (2 * kinds) + slots(self.queue)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        level = level_of(p, request.score)
        side = side_of(p, request.client_label)
        chance = chance_of(p, m, side, level)
        m[NOW], m[P_SENT], m[LEVEL], m[KEEPS] = request.request_id, request.draw, level, side
        return -inf if request.draw < chance else inf

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        kinds, side = int(p[LEVELS]) + 1, int(m[KEEPS])
        shrunk = exp(-p[ETA] * p[C_E])
        for k in range(int(m[LEVEL]) + 1):
            m[side + k] *= shrunk
        settled(m, side, kinds)
        if is_sent and m[P_SENT] < p[EPSILON]:
            note(p, m, FIRST + 2 * kinds, now, m[NOW], p[EPSILON], 0.0)

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        word, kinds = word_of(p, m, CUT, heard), int(p[LEVELS]) + 1
        if word == WAS_CUT_OFF:
            forget(p, m, FIRST, kinds)
            forget(p, m, FIRST + kinds, kinds)
        slot = slot_of(p, m, FIRST + 2 * kinds, heard.request_id)
        if word == NOTHING or slot < 0:
            return
        m[slot + REQUEST] = -1.0
        side = side_of(p, heard.client_label)
        dear = p[OTHERS + 1] if side == FIRST else p[OTHERS + 2]
        shrunk = exp(-p[ETA] * dear * wrong(heard) / p[EPSILON])
        for k in range(level_of(p, heard.score) + 1, kinds):
            m[side + k] *= shrunk
        settled(m, side, kinds)


def side_of(p: Any, client_label: int) -> int:
    """Where the weights begin of the side that an answer of the client belongs to."""
    return FIRST if client_label == p[OTHERS] else FIRST + int(p[LEVELS]) + 1


def chance_of(p: Any, m: Any, first: int, level: int) -> float:
    """P(sent) at a level, of weights that begin at `first` and add up to 1."""
    share = 0.0
    for k in range(level + 1):
        share += m[first + k]
    return p[EPSILON] + (1.0 - p[EPSILON]) * min(share, 1.0)  # type: ignore[no-any-return]


def learn(p: Any, m: Any, heard: Outcome) -> None:
    """What Hedge and Lyapunov-EXP4 make of the end of an attempt."""
    word, kinds = word_of(p, m, CUT, heard), int(p[LEVELS]) + 1
    if word == WAS_CUT_OFF:
        forget(p, m, FIRST, kinds)
    slot = slot_of(p, m, FIRST + kinds, heard.request_id)
    if word == NOTHING or slot < 0:
        return
    m[slot + REQUEST] = -1.0
    factor = exp(-p[ETA] * (m[slot + COST] - wrong(heard)) / m[slot + CHANCE])
    for k in range(level_of(p, heard.score) + 1):
        m[FIRST + k] *= factor
    settled(m, FIRST, kinds)


def settled(m: Any, first: int, kinds: int) -> float:
    """Scales weights to a sum of about 1, none of them below LEAST; gives what they now add up to."""
    total = 0.0
    for k in range(kinds):
        total += m[first + k]
    found = 0.0
    for k in range(kinds):
        m[first + k] = max(m[first + k] / total, LEAST)
        found += m[first + k]
    return found


def forget(p: Any, m: Any, first: int, kinds: int) -> None:
    """What is kept of the evidence: w <- w^kept, the weights of so much less loss."""
    for k in range(kinds):
        m[first + k] = exp(p[KEPT] * log(m[first + k]))
    settled(m, first, kinds)
