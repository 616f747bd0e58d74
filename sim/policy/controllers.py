"""Prices that remember: each is a few numbers per client and a price that follows from them.
Given nothing but its client's own numbers, decisions, and what its replies said; see `docs/policies.md`."""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass
from math import exp, inf
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.results.columns import OUTCOMES
from sim.scenario import Scenario
from sim.scenario.schema.fleet import AvailabilityAware, DriftPlusPenalty, Group, QueueAware, RateController

Own = MutableSequence[float]  # the numbers of one client, a view of WIDTH

WIDTH = 4
REMOTE, REFUSED = OUTCOMES.index("remote"), OUTCOMES.index("refused")


class PriceMemory(Protocol):
    """A price and what it remembers. Instants are virtual seconds; `own` is changed in place.

    hears_replies: whether what becomes of a client's sends counts, so that it must decide as they happen.
    """

    hears_replies: bool

    def begin(self) -> tuple[float, ...]:
        """The client's numbers at t = 0, at most WIDTH."""

    def price(self, own: Own, now: float, /) -> float:
        """λ for a request that is decided now."""

    def decided(self, own: Own, now: float, is_sent: bool, /) -> None:
        """The request was sent, or kept."""

    def heard(self, own: Own, now: float, outcome: int, backlog: int, /) -> None:
        """An attempt ended for the client: the outcome's place in OUTCOMES (remote, refused or timed_out),
        and how many waited at the server when it sent its word, -1 if no word came."""


class _Deaf:
    """A price of the client's own decisions alone."""

    hears_replies = False

    def heard(self, own: Own, now: float, outcome: int, backlog: int) -> None:
        """Nothing follows from it."""


@dataclass(frozen=True)
class RateControl(_Deaf):
    """λ = 1 - rate + gain·(sent - rate·decided), a share of calibration scores: integral control.

    own: λ. With every send it rises by gain·(1 - rate), else it falls by gain·rate, and beyond [0, 1] it
    sends nothing, or everything; so after n decisions of a client |sent/n - rate| < (1 + gain)/(gain·n),
    whatever the scores (Gibbs and Candès 2021, Proposition 4.1).
    """

    rate: float
    gain: float

    def begin(self) -> tuple[float, ...]:
        return (1.0 - self.rate,)

    def price(self, own: Own, _now: float) -> float:
        return own[0]

    def decided(self, own: Own, _now: float, is_sent: bool) -> None:
        own[0] += self.gain * (is_sent - self.rate)


@dataclass(frozen=True)
class VirtualQueue(_Deaf):
    """λ = Q/V, in units of cost: drift plus penalty (Neely 2010, section 4).

    own: Q, and when it was so. Q grows by 1 with every send and drains by rate_hz a second. What gains at
    most G is never sent while Q >= V·G, so Q <= V·G + 1, and in any t seconds at most rate_hz·t + V·G + 1
    are sent.
    """

    v: float
    rate_hz: float

    def begin(self) -> tuple[float, ...]:
        return 0.0, 0.0

    def price(self, own: Own, now: float) -> float:
        return self._left(own, now) / self.v

    def decided(self, own: Own, now: float, is_sent: bool) -> None:
        own[0], own[1] = self._left(own, now) + is_sent, now

    def _left(self, own: Own, now: float) -> float:
        left = own[0] - self.rate_hz * (now - own[1])
        return left if left > 0.0 else 0.0


@dataclass(frozen=True)
class Availability:
    """λ = c_e·P(charged)/a; c_e for a probe, when nothing was sent for `probe_every_s`.

    own: a, the share of time in which sends were answered; P(charged), likewise as far as errors tell; when
    an attempt last ended; when one was last decided to be sent. What an attempt says stands for the time
    since the one before, and fades as exp(-age/memory_s): over time, not over attempts, since a client that
    probes seldom while nothing works would else believe that it mostly does.
    """

    c_e: float
    memory_s: float
    probe_every_s: float
    charge_on: str

    hears_replies = True

    def begin(self) -> tuple[float, ...]:
        return 1.0, 1.0, 0.0, 0.0

    def price(self, own: Own, now: float) -> float:
        answered, charged, _, sent_at = own
        if not self.c_e or self.charge_on == "answer" or now - sent_at >= self.probe_every_s:
            return self.c_e
        if answered > 0.0:
            return self.c_e * (charged / answered)
        return inf if charged > 0.0 else self.c_e

    def decided(self, own: Own, now: float, is_sent: bool) -> None:
        if is_sent:
            own[3] = now

    def heard(self, own: Own, now: float, outcome: int, _backlog: int) -> None:
        kept = exp(-(now - own[2]) / self.memory_s)
        is_charged = self.charge_on == "send" or outcome != REFUSED
        own[0] = own[0] * kept + (1.0 - kept) * (outcome == REMOTE)
        own[1] = own[1] * kept + (1.0 - kept) * is_charged
        own[2] = now


@dataclass(frozen=True)
class Backlog:
    """λ = c_e + weight·backlog, as the last answer or error told it.

    own: that backlog, and when it was told. With `memory_s` it fades as exp(-age/memory_s); else a client
    that was told a large one may keep everything, and then it never hears of a smaller one.
    """

    c_e: float
    weight: float
    memory_s: float

    hears_replies = True

    def begin(self) -> tuple[float, ...]:
        return 0.0, 0.0

    def price(self, own: Own, now: float) -> float:
        return self.c_e + self.weight * (own[0] * exp(-(now - own[1]) / self.memory_s))

    def decided(self, own: Own, now: float, is_sent: bool) -> None:
        """Nothing follows from it."""

    def heard(self, own: Own, now: float, _outcome: int, backlog: int) -> None:
        if backlog >= 0:
            own[0], own[1] = backlog, now


def price_memory(scenario: Scenario, group: Group) -> PriceMemory | None:
    """What the clients of a group remember; None where their price remembers nothing."""
    costs = scenario.costs
    match group.policy.price:
        case RateController(rate=rate, gain=gain):
            return RateControl(rate, gain)
        case DriftPlusPenalty(v=v, rate_hz=rate_hz):
            return VirtualQueue(v, rate_hz)
        case AvailabilityAware(memory_s=memory_s, probe_every_s=probe_every_s):
            return Availability(costs.c_e, memory_s, probe_every_s, costs.charge_on)
        case QueueAware(weight=weight, memory_s=memory_s):
            return Backlog(costs.c_e, weight, inf if memory_s is None else memory_s)
    return None


def memories(prices: tuple[PriceMemory | None, ...], group: NDArray[np.int16]) -> NDArray[np.float64]:
    """What all clients remember at t = 0, float64 (clients, WIDTH), or (0, WIDTH) if nobody does."""
    if not any(prices):
        return np.zeros((0, WIDTH))
    begin = np.zeros((len(prices), WIDTH))
    for g, price in enumerate(prices):
        first = price.begin() if price else ()
        begin[g, : len(first)] = first
    found: NDArray[np.float64] = begin[group]
    return found


def own_of(memory: Any, client: int) -> Own:
    """The numbers of one client, of a flat view of all: a price is never handed anybody else's."""
    own: Own = memory[WIDTH * client : WIDTH * client + WIDTH]
    return own


def walk(
    price: PriceMemory,
    memory: NDArray[np.float64],
    client: NDArray[np.int32],
    at: NDArray[np.float64],
    value: NDArray[np.float64],
    anyhow: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """λ for each of n requests in the order in which each client decides them, float64 (n,).

    value: sent iff above λ; anyhow: sent whatever λ is, bool (n,).
    """
    everybody = memory.reshape(-1).data
    found = np.empty(len(value))
    columns = (column.tolist() for column in (client, at, value, anyhow))
    for i, (who, now, what, is_explored) in enumerate(zip(*columns, strict=True)):
        own = own_of(everybody, who)
        found[i] = asks = price.price(own, now)
        price.decided(own, now, what > asks or is_explored)
    return found
