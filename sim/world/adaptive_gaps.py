"""How long to wait until the next round of training: the gap at which rounds and what drifts away cost least.
Pure functions; `sim.engine.learning` asks as a round begins. After parallel successive learning
(Hosseinalipour et al. 2022, arXiv 2202.02947)."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from sim.scenario.schema.training import Online


def best_gap_s(cost: float, drift: float) -> float:
    """The gap W that minimises cost/W + drift*W/2, seconds: sqrt(2*cost/drift), inf where nothing drifts.

    A round costs `cost`, after it the loss rises by `drift` a second: over the gap by drift*W/2 in the mean.
    """
    return float(np.sqrt(2 * cost / drift)) if drift > 0 else float(np.inf)


@dataclass(frozen=True)
class Evidence:
    """What answers tell of a drift: sums over rounds and versions, each about the means of what the labels
    that came between two rounds tell of one version.

    answers: how many, less one for each such mean; of the instants squared, s²; of instants times losses, s;
    of the losses squared.
    """

    answers: float = 0.0
    at_at: float = 0.0
    at_loss: float = 0.0
    loss_loss: float = 0.0

    def then(
        self,
        memory: float,
        version: NDArray[np.int32],
        at_s: NDArray[np.float64],
        loss: NDArray[np.float64],
    ) -> Evidence:
        """With the answers of another round: which version gave each, when and with what loss, float64 (n,);
        what was known before counts `memory` as much. A short time tells little of a slope, and moves it
        little."""
        _, of, answers = np.unique(version, return_inverse=True, return_counts=True)
        after, more = (one - (np.bincount(of, one) / answers)[of] for one in (at_s, loss))
        sums = len(at_s) - len(answers), np.sum(after * after), np.sum(after * more), np.sum(more * more)
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
