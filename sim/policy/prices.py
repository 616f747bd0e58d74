"""Policies: a score and a price. A request is sent iff its score exceeds the price in force.
Here what a request is compared by, and prices that stay; those that move are in `sim.policy.controllers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.policy.calibration import Curve
from sim.policy.decision import decide
from sim.registry.prices import (
    PRICES,
    AlwaysLocal,
    AlwaysRemote,
    BoundedRate,
    BoundedRateThinned,
    RiskControlled,
    Safe,
    Threshold,
)
from sim.registry.registry import Code
from sim.registry.scores import SCORES
from sim.scenario.schema.fleet import Policy

if TYPE_CHECKING:
    from sim.world.options import Option
    from sim.world.world import World

Reals = NDArray[np.float64]
Curves = Sequence[tuple[NDArray[np.int64], Curve]]  # of each version, with the places that are decided by it


@dataclass(frozen=True)
class Decisions:
    """score float32 (n,); propensity float32 (n,), P(sent) before the draw; deferred bool (n,)."""

    score: NDArray[np.float32]
    propensity: NDArray[np.float32]
    deferred: NDArray[np.bool_]


@dataclass(frozen=True)
class Asked:
    """What n requests of one group are decided by; see `sim.policy.decision.decide`.

    score: float32 (n,). value, low, high, threshold: float64 (n,). The value is the score itself, or for the
    prices that hold a rate its standing, the share of calibration scores below it, where ties are spread by a
    draw. threshold: of a price that stays; NaN where a price that remembers sets it.
    """

    score: NDArray[np.float32]
    value: Reals
    low: Reals
    high: Reals
    threshold: Reals


def asked(
    policy: Policy,
    score: NDArray[np.float32],
    draw: Reals | None = None,
    curves: Curves = (),
    bayes: float = 0.0,
) -> Asked:
    """The requests as the price of this policy sees them.

    draw: uniform numbers, where it `is_calibrated`. bayes: see `bayes_price`. A `random` score is itself a
    uniform draw: it has no curve, and is its own standing.
    """
    value = score.astype(np.float64)
    draw = value if draw is None else draw
    price = policy.price
    if isinstance(price, BoundedRateThinned):
        minus_chance = -thinned(value, bayes, price.rate, curves)
        return Asked(score, -draw, np.full_like(value, -1.0), np.zeros_like(value), minus_chance)
    threshold = np.full_like(value, np.nan if price.keeps_state else fixed_price(policy))
    if _is_drawn(policy):
        return Asked(score, value, np.zeros_like(value), np.ones_like(value), threshold)
    if price.unit != "share":
        return Asked(score, value, value, value, threshold)
    low, high = np.empty_like(value), np.empty_like(value)
    for mine, curve in curves:
        low[mine], high[mine] = curve.shares(score[mine])
    return Asked(score, low + draw * (high - low), low, high, threshold)


def decide_all(requests: Asked, coin: Any = 1.0, exploration: float = 0.0) -> Decisions:
    """Decides requests of a price that stays."""
    of = requests
    with np.errstate(invalid="ignore"):  # a score may be infinite
        sent, chance = decide(of.value, of.low, of.high, of.threshold, coin, exploration)
    return Decisions(of.score, chance, sent)


def explored(policy: Policy, exploration: float) -> float:
    """The share that this policy explores: `always_local` stays what its name says."""
    return exploration if policy.price.explores else 0.0


def is_calibrated(policy: Policy) -> bool:
    """Whether the price asks for the group's calibration scores, and draws: to spread ties, or a coin."""
    return policy.price.needs_calibration and not _is_drawn(policy)


def _is_drawn(policy: Policy) -> bool:
    """Whether its score is a uniform draw per request."""
    return SCORES[policy.score].made_from == "draw"


# What a price is that never changes, of its part of the scenario.
FIXED: Code[Callable[[Any], float]] = Code(PRICES)


@FIXED.of("threshold")
def _threshold(price: Threshold) -> float:
    return price.at


@FIXED.of("safe", "risk_controlled")
def _told_less(_price: Safe | RiskControlled) -> float:
    return 0.0  # the learners' tables hold the score less the threshold


@FIXED.of("bounded_rate")
def _share_to_keep(price: BoundedRate) -> float:
    return 1.0 - price.rate


@FIXED.of("always_local")
def _never(_price: AlwaysLocal) -> float:
    return np.inf


@FIXED.of("always_remote")
def _always(_price: AlwaysRemote) -> float:
    return -np.inf


def fixed_price(policy: Policy) -> float:
    """λ of a price that never changes: a threshold, the share of calibration scores to be kept, +inf (never
    send) or -inf (always send)."""
    if policy.price.kind not in FIXED:
        raise TypeError(f"'{policy.price.kind}' is not a fixed price")
    return FIXED[policy.price.kind](policy.price)


def thinned(value: Reals, price: float, rate: float, curves: Curves) -> Reals:
    """P(sent) under the paper's post-hoc coin on a rule that sends what lies above a price (2501.13810): if
    it sends a larger share of its calibration scores than the rate, each send is kept with probability
    rate/share, else each other request is sent too with probability (rate - share)/(1 - share)."""
    chance = np.empty(len(value))
    for mine, curve in curves:
        share = curve.share_above(price)
        keep = rate / share if share > rate else 1.0
        add = (rate - share) / (1.0 - share) if share < rate else 0.0
        chance[mine] = np.where(value[mine] > price, keep, add)
    return chance


def bayes_price(world: World, score: str, option: Option) -> float:
    """The price at which a trained score of an option decides best: 0 for a rank, c_e·P(charged)/a for a
    gain, with the availability a that its rejector was trained for."""
    if SCORES[score].unit == "rank":
        return 0.0
    scenario = world.scenario
    a = scenario.training.availability
    if a == "observed":
        a = world.availabilities[option.server]
    if a is None or scenario.costs.charge_on != "send":
        return option.c_e
    return option.c_e / a if a else np.inf
