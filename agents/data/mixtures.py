"""Gaussian mixtures: data whose posterior is known in closed form, so that the Bayes rule is too.
The data set `gaussian_mixture`; tests and benchmarks ask the same mixture for eta."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.streams import stream

Points = NDArray[np.float32]
DEFAULT_SAMPLES = 10_000


@dataclass(frozen=True)
class GaussianMixture:
    """Classes of equal probability; each is a mixture of equally likely Gaussians of unit covariance.

    means: float64 (classes, components, dimensions).
    """

    means: NDArray[np.float64]

    def posterior(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """eta, float64 (n, classes): P(Y=y | X=x) of points (n, ...), flattened to (n, dimensions)."""
        classes, components, dimensions = self.means.shape
        flat = points.reshape(len(points), -1).astype(np.float64)
        means = self.means.reshape(-1, dimensions)
        # log of each component's density but for what all share, |x|^2 included
        weight = flat @ means.T - 0.5 * np.square(means).sum(axis=1)
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        per_class = weight.reshape(-1, classes, components).sum(axis=2)
        eta: NDArray[np.float64] = per_class / per_class.sum(axis=1, keepdims=True)
        return eta

    def draw(self, count: int, seed: int) -> tuple[Points, NDArray[np.int16]]:
        """`count` points, float32 (count, dimensions), and their labels, int16 (count,), keyed by `seed`."""
        classes, components, dimensions = self.means.shape
        labels = stream(seed, "mixture labels").integers(classes, size=count)
        chosen = stream(seed, "mixture components").integers(components, size=count)
        noise = stream(seed, "mixture points").normal(size=(count, dimensions))
        return (self.means[labels, chosen] + noise).astype(np.float32), labels.astype(np.int16)


def mixture_of(scenario: Scenario) -> GaussianMixture:
    """The mixture that `data.mixture` describes, means drawn from a spherical Gaussian keyed by the seed.

    In the root mean square two means are `separation` apart, where a point's own spread is 1 a dimension.
    """
    asked = scenario.data.mixture
    spread = asked.separation / np.sqrt(2.0 * asked.dimensions)
    shape = (asked.classes, asked.components, asked.dimensions)
    return GaussianMixture(spread * stream(scenario.seed, "mixture means").normal(size=shape))


def drawn_set(scenario: Scenario) -> tuple[Points, NDArray[np.int16]]:
    """The points of a scenario as images of one channel, float32 (n, 1, height, width), and their labels.

    Values are shown as they are, neither scaled nor clipped. The image is as square as `dimensions` can be
    cut: 16 are shown as 4x4, a prime number as one row.
    """
    data = scenario.data
    count = DEFAULT_SAMPLES if data.samples is None else data.samples
    points, labels = mixture_of(scenario).draw(count, scenario.seed)
    dimensions = data.mixture.dimensions
    height = max(side for side in range(1, math.isqrt(dimensions) + 1) if dimensions % side == 0)
    return points.reshape(count, 1, height, -1), labels
