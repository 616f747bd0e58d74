"""Chance from a few units that are alike: whole runs, or stretches of one run. One mechanism for any number.
Used where runs of several seeds are summed up or compared, and for the time within a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.estimates import LEVEL, student

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST_SKEWED = 5  # units: fewer do not show how skewed they are
BEND = 0.9  # how far an end is bent at most, 1 being where the cube root of its shift turns and stretches it


class Estimate(NamedTuple):
    """A number and its 95% interval; NaN ends where there is none."""

    value: float
    low: float
    high: float


def jackknife(number: Callable[[Mask], float], units: int) -> Estimate:
    """`number` of all units with its interval, from what it is without each of them in turn.

    number: takes a mask of the units to use, (units,). By pseudo-values (Tukey 1958): of a mean over units
    this is `mean_of_units`. Of a number that some subset lacks there is no interval.
    """
    everyone = np.ones(units, dtype=bool)
    value = number(everyone)
    if units < 2:
        return Estimate(value, np.nan, np.nan)
    without = np.array([number(everyone & (np.arange(units) != left_out)) for left_out in range(units)])
    sums = (units - 1) / units * (without.mean() - without)
    return Estimate(value, *skewed_interval(value, variance_of(sums), sums))


def mean_of_units(values: Floats, chance: float = (1 - LEVEL) / 2) -> Estimate:
    """The mean of independent values (units,); each end of the interval is wrong with the given chance."""
    mean = float(values.mean())
    if values.size < 2:
        return Estimate(mean, np.nan, np.nan)
    sums = (values - mean) / values.size
    return Estimate(mean, *skewed_interval(mean, variance_of(sums), sums, chance))


def variance_of(sums: Floats) -> float:
    """The variance of an estimate from what each unit adds to it, (units,), which sums to zero."""
    return float((sums**2).sum()) * sums.size / (sums.size - 1)


def skewed_interval(
    value: float, variance: float, sums: Floats, chance: float = (1 - LEVEL) / 2
) -> tuple[float, float]:
    """Student's interval of an estimate to which each unit adds `sums`, (units,).

    From LEAST_SKEWED units on its ends are shifted by their skewness (Willink 2005). Few units show much
    of it by chance, so the shift is bounded: at 95% no end lies 1.9 times as far as Student's, and the whole
    is at most a third wider.
    """
    count, centred = sums.size, sums - sums.mean()
    reach = student(count - 1, 1 - chance)
    deviation, skew = float(np.sqrt((centred**2).sum() / (count - 1))), 0.0
    if deviation > 0 and count >= LEAST_SKEWED:
        third = count / ((count - 1) * (count - 2)) * float((centred**3).sum()) / deviation**3
        most = (np.sqrt(reach**2 + 4 * BEND / 6) - reach) / 2  # where 6 skew (reach + skew) is BEND
        skew = min(max(third / (6 * np.sqrt(count)), -most), most)

    def bent(end: float) -> float:
        return end if abs(skew) < 1e-6 else float(np.cbrt(1 + 6 * skew * (end - skew)) - 1) / (2 * skew)

    error = float(np.sqrt(variance))
    return value - bent(reach) * error, value - bent(-reach) * error
