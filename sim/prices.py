"""Policies: a score and a price. A request is sent iff its score exceeds the price in force.
Here the decisions of policies that keep no state; they are taken for whole chunks at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.scenario.fleet import AlwaysLocal, AlwaysRemote, Policy, Threshold


@dataclass(frozen=True)
class Decisions:
    """score float32 (n,); propensity float32 (n,), P(sent) before the draw; deferred bool (n,)."""

    score: NDArray[np.float32]
    propensity: NDArray[np.float32]
    deferred: NDArray[np.bool_]


def fixed_price(policy: Policy) -> float:
    """λ of a price that never changes: the threshold, +inf (never send) or -inf (always send)."""
    match policy.price:
        case Threshold(at=at):
            return at
        case AlwaysLocal():
            return np.inf
        case AlwaysRemote():
            return -np.inf
    raise TypeError(f"'{policy.price.kind}' is not a fixed price")


def decide(policy: Policy, score: NDArray[np.float32]) -> Decisions:
    """Decides for many requests of one group; a `random` score is uniform, so its P(sent) is known."""
    price = fixed_price(policy)
    deferred = score.astype(np.float64) > price
    if policy.score == "random":
        propensity = np.full(len(score), np.clip(1.0 - price, 0.0, 1.0), dtype=np.float32)
    else:
        propensity = deferred.astype(np.float32)
    return Decisions(score, propensity, deferred)


def explore(policy: Policy, decisions: Decisions, share: float, draw: NDArray[np.float64]) -> Decisions:
    """Sends what a policy would keep with probability `share`, so that the server's answers are seen there.

    draw: a uniform number per request, float64 (n,). P(sent) = p + (1 - p)·share where p is the policy's
    own. `always_local` stays what its name says: it never explores.
    """
    if isinstance(policy.price, AlwaysLocal):
        return decisions
    propensity = decisions.propensity + (1 - decisions.propensity) * np.float32(share)
    return replace(decisions, propensity=propensity, deferred=decisions.deferred | (draw < share))
