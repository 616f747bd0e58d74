"""Policies: a score and a price. A request is sent iff its score exceeds the price in force.
Here decisions for whole chunks at once; prices that remember are in `sim.policy.controllers`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.policy.calibration import Curve
from sim.scenario.schema.fleet import (
    AlwaysLocal,
    AlwaysRemote,
    BoundedRate,
    BoundedRateThinned,
    Policy,
    RateController,
    Threshold,
)
from sim.scenario.schema.training import RANKS

if TYPE_CHECKING:
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
    """What a price compares itself with, of n requests of one group.

    score: float32 (n,). value: float64 (n,), sent iff above the price: the score itself, or for the prices
    that hold a rate its standing, the share of calibration scores below it, where ties are spread by luck.
    low, high: what the value lies between, uniformly, given the score. luck: float64 (n,), keyed draws.
    """

    score: NDArray[np.float32]
    value: Reals
    low: Reals
    high: Reals
    luck: Reals


def asked(
    policy: Policy, score: NDArray[np.float32], luck: Reals | None = None, curves: Curves = ()
) -> Asked:
    """The requests as the price of this policy sees them. luck: where it `is_calibrated`.

    A `random` score is itself a uniform draw: it has no curve, and is its own standing.
    """
    value = score.astype(np.float64)
    luck = value if luck is None else luck
    if policy.score == "random":
        return Asked(score, value, np.zeros_like(value), np.ones_like(value), luck)
    if not _holds_rate(policy):
        return Asked(score, value, value, value, luck)
    low, high = np.empty_like(value), np.empty_like(value)
    for mine, curve in curves:
        low[mine], high[mine] = curve.shares(score[mine])
    return Asked(score, low + luck * (high - low), low, high, luck)


def is_calibrated(policy: Policy) -> bool:
    """Whether the price asks for the group's calibration scores, and draws: to spread ties, or a coin."""
    return policy.score != "random" and isinstance(
        policy.price, BoundedRate | BoundedRateThinned | RateController
    )


def _holds_rate(policy: Policy) -> bool:
    """Whether the price stands among calibrated shares and not among scores."""
    return isinstance(policy.price, BoundedRate | RateController)


def fixed_price(policy: Policy) -> float:
    """λ of a price that never changes: a threshold, the share of calibration scores to be kept, +inf (never
    send) or -inf (always send)."""
    match policy.price:
        case Threshold(at=at):
            return at
        case BoundedRate(rate=rate):
            return 1.0 - rate
        case AlwaysLocal():
            return np.inf
        case AlwaysRemote():
            return -np.inf
    raise TypeError(f"'{policy.price.kind}' is not a fixed price")


def at_price(requests: Asked, price: Any) -> Decisions:
    """Sends what lies above the price: a number, or one for each request."""
    low, high, deferred = requests.low, requests.high, requests.value > price
    propensity = deferred.astype(np.float32)
    if high is not low:
        spread = np.flatnonzero(high > low)
        above = high[spread] - np.broadcast_to(price, len(low))[spread]
        propensity[spread] = np.clip(above / (high - low)[spread], 0.0, 1.0)
    return Decisions(requests.score, propensity, deferred)


def thinned(requests: Asked, price: float, rate: float, curves: Curves) -> Decisions:
    """The paper's post-hoc coin on a rule that sends what lies above a price (arXiv 2501.13810): if it sends
    a larger share of its calibration scores than the rate, each send is kept with probability rate/share,
    else each other request is sent too with probability (rate - share)/(1 - share)."""
    chance = np.empty(len(requests.value))
    for mine, curve in curves:
        share = curve.share_above(price)
        keep = rate / share if share > rate else 1.0
        add = (rate - share) / (1.0 - share) if share < rate else 0.0
        chance[mine] = np.where(requests.value[mine] > price, keep, add)
    return Decisions(requests.score, chance.astype(np.float32), requests.luck < chance)


def bayes_price(world: World, score: str) -> float:
    """The price at which a trained score decides best: 0 for a rank, c_e·P(charged)/a for a gain, with the
    availability a that its rejector was trained for."""
    if score in RANKS:
        return 0.0
    scenario = world.scenario
    a = scenario.training.availability
    if a == "observed":
        a = world.mean_availability
    if a is None or scenario.costs.charge_on != "send":
        return scenario.costs.c_e
    return scenario.costs.c_e / a if a else np.inf


def decide(policy: Policy, requests: Asked, curves: Curves = (), bayes: float = 0.0) -> Decisions:
    """Decides for many requests of one group by a price that remembers nothing. bayes: see `bayes_price`."""
    if isinstance(policy.price, BoundedRateThinned):
        return thinned(requests, bayes, policy.price.rate, curves)
    return at_price(requests, fixed_price(policy))


def explore(policy: Policy, decisions: Decisions, share: float, draw: NDArray[np.float64]) -> Decisions:
    """Sends what a policy would keep with probability `share`, so that the server's answers are seen there.

    draw: a uniform number per request, float64 (n,). P(sent) = p + (1 - p)·share where p is the policy's
    own. `always_local` stays what its name says: it never explores.
    """
    if isinstance(policy.price, AlwaysLocal):
        return decisions
    propensity = decisions.propensity + (1 - decisions.propensity) * np.float32(share)
    return replace(decisions, propensity=propensity, deferred=decisions.deferred | (draw < share))
