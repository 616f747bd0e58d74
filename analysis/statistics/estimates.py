"""Estimates over requests whose clients and samples repeat: a mean or a share, and its interval.
Below `analysis.statistics.clusters` and `scattered`, which find the variance, each in its own way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEVEL = 0.95
LEAST_SAMPLES = 10  # distinct ones; fewer show no spread to speak of
Z = 1.959963984540054  # the normal quantile of (1 + LEVEL) / 2


class Spread(NamedTuple):
    """The variance of an estimate and its degrees of freedom."""

    variance: float
    freedom: float

    def half_width(self) -> float:
        """Half of the 95% interval, by Student's t."""
        return student(self.freedom) * float(np.sqrt(self.variance))


class Estimates:
    """What is estimated of requests (n,), by whoever knows the variance of a mean."""

    def share(self, hits: Mask, among: Mask) -> dict[str, Any]:
        """The share of `hits` among the requests in `among`, as `mean` gives it; masks (n,).

        The interval is Wilson's for as many trials as would give the share this variance. The variance is
        widened by that of one sample all right and one all wrong, as what few samples are hard may not have
        been met; but not beyond that of samples that are wholly right or wholly wrong.
        """
        estimate, spread = self._estimate(hits, among)
        value, samples = estimate["value"], estimate["samples"]
        if samples >= LEAST_SAMPLES:
            unlike = value * (1 - value) / samples
            more = min((value**2 + (1 - value) ** 2) / samples**2, unlike)
            trials, quantile = float(samples), Z
            if unlike > 0:
                widened = spread.variance + more
                freedom = widened**2 / (spread.variance**2 / spread.freedom + more**2 / (samples - 1))
                trials = max(1.0, value * (1 - value) / widened)
                quantile = student(max(1.0, freedom))
            low, high = wilson(value, trials, quantile)
            estimate["low"], estimate["high"] = float(low), float(high)
        return estimate

    def mean(self, values: Floats, among: Mask) -> dict[str, Any]:
        """The mean of `values` (n,) over the requests in the mask `among` (n,), with a 95% interval.

        low and high are null with fewer than LEAST_SAMPLES distinct samples; n counts requests, samples
        and clients distinct ones.
        """
        estimate, spread = self._estimate(values, among)
        if estimate["samples"] >= LEAST_SAMPLES:
            half = spread.half_width()
            estimate["low"], estimate["high"] = estimate["value"] - half, estimate["value"] + half
        return estimate

    def _estimate(self, values: NDArray[Any], among: Mask) -> tuple[dict[str, Any], Spread]:
        """The mean of the values (n,) over those in the mask without its interval, and its spread."""
        raise NotImplementedError


def student(freedom: float, level: float = (1 + LEVEL) / 2) -> float:
    """The quantile of Student's t; `scipy.stats` gives the same and takes twenty times as long."""
    return float(special.stdtrit(freedom, level))


def wilson(share: Floats | float, trials: Floats | float, quantile: float = Z) -> tuple[Floats, Floats]:
    """Wilson's (1927) interval of a binomial share, 95% unless told; arrays of one shape, trials > 0."""
    square = quantile**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    inner = share * (1 - share) / trials + square / (4 * (trials * trials))
    half = quantile / (1 + square / trials) * np.sqrt(inner)
    low, high = np.maximum(centre - half, 0.0), np.maximum(centre + half, 0.0)
    return np.minimum(low, 1.0), np.minimum(high, 1.0)
