"""What models together say of samples: a mean of probabilities or of logits, a table whoever they are.
Plain NumPy without torch; `agents.warm_start` fills it with what clients upload."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Chances = NDArray[np.float32]


def chances_of(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Softmax of logits (n, classes), float64."""
    numbers = np.asarray(logits, dtype=np.float64)
    shares = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return found


class Ensemble:
    """A weighted mean of `probabilities` or `logits`, a model after the other (Lin et al. 2020, arXiv
    2006.07242, who average logits).

    Laws: its negative log-likelihood is at most the weighted mean of the models' (-log and log-sum-exp are
    convex), whichever is averaged; only what models say matters, not what they are.
    """

    def __init__(self, average: str) -> None:
        self._average, self._weight = average, 0.0
        self._sum: NDArray[np.float64] | float = 0.0

    def add(self, logits: NDArray[np.floating], weight: float) -> None:
        """What a model says, (n, classes), and how much it counts, more than 0."""
        part = chances_of(logits) if self._average == "probabilities" else np.asarray(logits, np.float64)
        self._sum, self._weight = self._sum + weight * part, self._weight + weight

    def chances(self) -> NDArray[np.float64]:
        """The probabilities of all together, float64 (n, classes). Raises ValueError before the first."""
        if not self._weight:
            raise ValueError("nobody has said anything")
        mean = np.asarray(self._sum / self._weight)
        return mean if self._average == "probabilities" else chances_of(mean)


@dataclass(frozen=True)
class Teacher:
    """What clients together say, float32 (n, classes): pool, of `Plan.server_pool`; calibration, of the pool
    of that name. clients: how many answered."""

    pool: Chances
    calibration: Chances
    clients: int
