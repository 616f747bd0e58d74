"""How long to wait until the next round of training: the gap at which rounds and what drifts away cost least.
Pure functions; `sim.engine.learning` asks as a round begins. After parallel successive learning
(Hosseinalipour et al. 2022, arXiv 2202.02947)."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from sim.scenario.schema.training import Online


def best_gap_s(cost: float, speed: float, power: float = 1.0) -> float:
    """The gap W that minimises cost/W + (1/W)*int_0^W (speed*t)^power dt, seconds; inf where nothing drifts.

    A round costs `cost`, after it the loss rises as (speed*t)^power. The mean of both has its minimum at
    W^(power + 1) = cost*(power + 1)/(power*speed^power): sqrt(2*cost/speed) where the loss rises evenly, and
    against speed in logarithms a line of slope -power/(power + 1).
    """
    if speed <= 0:
        return float(np.inf)
    longest = np.log(cost * (power + 1) / power) - power * np.log(speed)
    return float(np.exp(longest / (power + 1)))


@dataclass(frozen=True)
class Evidence:
    """What answers tell of a drift: sums over versions, each about the version's own means.

    answers: how many, less one a version; of the instants squared, s²; of instants times losses, s; of the
    losses squared.
    """

    answers: float = 0.0
    at_at: float = 0.0
    at_loss: float = 0.0
    loss_loss: float = 0.0

    def then(self, memory: float, at_s: NDArray[np.float64], loss: NDArray[np.float64]) -> Evidence:
        """With the answers of another version, float64 (n,) each; what was known before counts `memory` as
        much. A short gap tells little of a slope, and moves it little."""
        if not len(at_s):
            return Evidence(*(memory * before for before in astuple(self)))
        after, more = at_s - at_s.mean(), loss - loss.mean()
        sums = len(at_s) - 1, np.sum(after * after), np.sum(after * more), np.sum(more * more)
        return Evidence(*(memory * old + float(new) for old, new in zip(astuple(self), sums, strict=True)))

    def drift(self) -> float:
        """By how much the loss rises a second: the slope of least squares less its standard error, at least
        0, which it is where too few answers came to tell."""
        if self.answers <= 1 or self.at_at <= 0:
            return 0.0
        slope = self.at_loss / self.at_at
        left = max(0.0, self.loss_loss - slope * self.at_loss)
        return float(max(0.0, slope - np.sqrt(left / (self.answers - 1) / self.at_at)))


def next_gap_s(online: Online, known: Evidence) -> float:
    """The gap that this evidence asks for, within what is allowed, seconds."""
    assert online.adaptive is not None
    gap_s = best_gap_s(online.adaptive.cost, known.drift())
    return min(max(gap_s, online.adaptive.at_least_s), online.every_s)
