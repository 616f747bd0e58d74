"""Prices that move: each is a few numbers per client and a threshold that follows from them.
Told of nothing but its client's own decisions and what became of them; see `docs/policies.md`. Those that
learn from answers are in `sim.policy.online`."""

# ruff: noqa: ARG004  (all prices take the same)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.policy.moving import Parameters
from sim.policy.moving import Price as Price  # noqa: PLC0414  (others take it from here)
from sim.policy.online import bounds, weights
from sim.policy.online.levels import FAILURES
from sim.policy.outcomes import Outcome, Request
from sim.policy.own import PythonPolicy
from sim.registry import online_prices as online
from sim.registry.prices import (
    PRICES,
    AvailabilityAware,
    DriftPlusPenalty,
    EnergyAware,
    QueueAware,
    RateController,
)
from sim.registry.registry import Code
from sim.results.columns import OUTCOMES
from sim.scenario import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.training import Costs

BOUNDS: dict[str, Callable[..., Price]] = {
    "hi_lcb": bounds.Monotone,
    "hi_lcb_lite": bounds.Lite,
    "ucb": bounds.UpperBound,
}
REMOTE, REFUSED = OUTCOMES.index("remote"), OUTCOMES.index("refused")


@dataclass(frozen=True)
class RateControl(Parameters):
    """λ = 1 - rate + gain·(sent - rate·decided), a share of calibration scores: integral control.

    m: λ. With every send it rises by gain·(1 - rate), else it falls by gain·rate, and beyond [0, 1] it
    sends nothing, or everything; so after n decisions of a client |sent/n - rate| < (1 + gain)/(gain·n),
    whatever the scores (Gibbs and Candès 2021, Proposition 4.1).
    """

    rate: float
    gain: float

    def begin(self) -> tuple[float, ...]:
        return (1.0 - self.rate,)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        return m[0]  # type: ignore[no-any-return]

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        m[0] += p[1] * (is_sent - p[0])


@dataclass(frozen=True)
class VirtualQueue(Parameters):
    """λ = Q/V, in units of cost: drift plus penalty (Neely 2010, section 4).

    m: Q, and when it was so. Q grows by 1 with every send and drains by rate_hz a second. What gains at
    most G is never sent while Q >= V·G, so Q <= V·G + 1, and in any t seconds at most rate_hz·t + V·G + 1
    are sent.
    """

    v: float
    rate_hz: float

    def begin(self) -> tuple[float, ...]:
        return 0.0, 0.0

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        left = m[0] - p[1] * (now - m[1])
        return max(left, 0.0) / p[0]  # type: ignore[no-any-return]

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        left = m[0] - p[1] * (now - m[1])
        m[0], m[1] = max(left, 0.0) + is_sent, now


@dataclass(frozen=True)
class Availability(Parameters):
    """λ = c_e·P(charged)/a; c_e for a probe, when nothing was sent for `probe_every_s`.

    m: a, the share of time in which sends were answered; P(charged), likewise as far as errors tell; when
    an attempt last ended; when one was last decided to be sent. What an attempt says stands for the time
    since the one before, and fades as exp(-age/memory_s): over time, not over attempts, since a client that
    probes seldom while nothing works would else believe that it mostly does. charge_on_send: 1 if every
    attempt is charged, however it ends; charge_on_answer: 1 if only answers are.
    """

    c_e: float
    memory_s: float
    probe_every_s: float
    charge_on_send: float
    charge_on_answer: float

    def begin(self) -> tuple[float, ...]:
        return 1.0, 1.0, 0.0, 0.0

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        found = p[0]
        if p[0] != 0.0 and p[4] == 0.0 and now - m[3] < p[2]:
            if m[0] > 0.0:
                found = p[0] * (m[1] / m[0])
            elif m[1] > 0.0:
                found = inf
        return found  # type: ignore[no-any-return]

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        if is_sent:
            m[3] = now

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        kept = exp(-(now - m[2]) / p[1])
        is_charged = p[3] != 0.0 or heard.outcome != REFUSED
        m[0] = m[0] * kept + (1.0 - kept) * (heard.outcome == REMOTE)
        m[1] = m[1] * kept + (1.0 - kept) * is_charged
        m[2] = now


@dataclass(frozen=True)
class Backlog(Parameters):
    """λ = c_e + weight·backlog, as the last answer or error told it.

    m: that backlog, and when it was told. With `memory_s` it fades as exp(-age/memory_s); else a client
    that was told a large one may keep everything, and then it never hears of a smaller one.
    """

    c_e: float
    weight: float
    memory_s: float

    def begin(self) -> tuple[float, ...]:
        return 0.0, 0.0

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        return p[0] + p[1] * (m[0] * exp(-(now - m[1]) / p[2]))  # type: ignore[no-any-return]

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        if heard.backlog >= 0:
            m[0], m[1] = heard.backlog, now


@dataclass(frozen=True)
class Charge(Parameters):
    """λ = at + weight·(1 − charge), charge being the share of its battery that a device has left.

    m: nothing. What is empty of a battery is a virtual queue of energy, and (θ − E)/V what drift plus penalty
    pays for a unit of it (Huang and Neely 2013, "Utility optimal scheduling in energy-harvesting networks"):
    with θ the capacity that is this λ, with weight = capacity·energy of a send/V.
    """

    at: float
    weight: float

    def begin(self) -> tuple[float, ...]:
        return ()

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        return p[0] + p[1] * (1.0 - request.charge)  # type: ignore[no-any-return]


# What makes the price of a kind that keeps state, of its part of the scenario and the costs.
CONTROLLERS: Code[Callable[[Any, Costs], Price]] = Code(PRICES)


@CONTROLLERS.of("rate_controller")
def _rate_control(price: RateController, _costs: Costs) -> Price:
    return RateControl(price.rate, price.gain)


@CONTROLLERS.of("drift_plus_penalty")
def _virtual_queue(price: DriftPlusPenalty, _costs: Costs) -> Price:
    return VirtualQueue(price.v, price.rate_hz)


@CONTROLLERS.of("availability_aware")
def _availability(price: AvailabilityAware, costs: Costs) -> Price:
    charged = (float(costs.charge_on == when) for when in ("send", "answer"))
    return Availability(costs.c_e, price.memory_s, price.probe_every_s, *charged)


@CONTROLLERS.of("queue_aware")
def _backlog(price: QueueAware, costs: Costs) -> Price:
    return Backlog(costs.c_e, price.weight, inf if price.memory_s is None else price.memory_s)


@CONTROLLERS.of("energy_aware")
def _charge(price: EnergyAware, _costs: Costs) -> Price:
    return Charge(price.at, price.weight)


@CONTROLLERS.of("hi_lcb", "hi_lcb_lite", "ucb")
def _confident(price: online.Confident, costs: Costs) -> Price:
    return BOUNDS[price.kind](*_levels(price, costs), price.alpha)


@CONTROLLERS.of("thompson")
def _thompson(price: online.Thompson, costs: Costs) -> Price:
    return bounds.Sampled(*_levels(price, costs), price.scale)


@CONTROLLERS.of("weighted_median")
def _weighted_median(price: online.WeightedMedian, costs: Costs) -> Price:
    return weights.Median(*_levels(price, costs), price.eta, price.beta)


@CONTROLLERS.of("h2t2")
def _two_thresholds(price: online.TwoThresholds, costs: Costs) -> Price:
    shared = (*_levels(price, costs), price.eta, price.epsilon, price.queue, price.wait_s)
    return weights.TwoThresholds(*shared, price.positive, price.false_positive, price.false_negative)


@CONTROLLERS.of("hedge_queue")
def _hedge(price: online.HedgeQueue, costs: Costs) -> Price:
    return weights.Hedge(*_levels(price, costs), price.eta, price.epsilon, price.queue, price.wait_s)


@CONTROLLERS.of("lyapunov_exp4")
def _lyapunov(price: online.LyapunovExp4, costs: Costs) -> Price:
    shared = (*_levels(price, costs), price.eta, price.epsilon, price.queue, price.wait_s)
    return weights.Lyapunov(*shared, price.v, price.rate)


def _levels(price: online.OnlineRule, costs: Costs) -> tuple[float, float, float, float, float, float, float]:
    """What all prices that learn from answers begin with, in the order of
    `sim.policy.online.levels.Levels`."""
    width = (price.high - price.low) / price.levels
    failure = FAILURES.index(price.on_failure)
    return costs.c_e, price.levels, price.low, width, failure, price.kept, 1.0 / width


def moving_price(scenario: Scenario, group: Group, options: int = 1) -> Price | None:
    """The price of a group whose clients have so many options, if it moves; None where it stays."""
    price = group.policy.price
    made = CONTROLLERS[price.kind](price, scenario.costs) if price.keeps_state else None
    return made.among(options) if isinstance(made, PythonPolicy) else made


def memories(prices: tuple[Price | None, ...], group: NDArray[np.int16]) -> NDArray[np.float64]:
    """What all clients remember at t = 0, float64 (clients, n), n as the greediest price has it; (0, 1) if
    nobody does."""
    begins = [price.begin() if price else () for price in prices]
    width = max(map(len, begins))
    if not width:
        return np.zeros((0, 1))
    begin = np.zeros((len(prices), width))
    for row, first in zip(begin, begins, strict=True):
        row[: len(first)] = first
    found: NDArray[np.float64] = begin[group]
    return found
