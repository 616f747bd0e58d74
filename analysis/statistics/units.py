"""Chance from a few units that are alike: whole runs, or stretches of one run. One mechanism for any number.
Used where runs of several seeds are summed up or compared, and for the time within a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.clusters import LEVEL

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Estimate(NamedTuple):
    """A number and its 95% interval; NaN ends where there is none."""

    value: float
    low: float
    high: float


def jackknife(number: Callable[[Mask], float], units: int, level: float = LEVEL) -> Estimate:
    """`number` of all units with its interval, from what it is without each of them in turn.

    number: takes a mask of the units to use, (units,). Pseudo-values and Student's t (Tukey 1958); of a mean
    over units this is Student's own interval. Of a number that some subset lacks there is no interval.
    """
    everyone = np.ones(units, dtype=bool)
    value = number(everyone)
    if units < 2:
        return Estimate(value, np.nan, np.nan)
    without = np.array([number(everyone & (np.arange(units) != left_out)) for left_out in range(units)])
    error = float(np.sqrt((units - 1) / units * ((without - without.mean()) ** 2).sum()))
    half = float(stats.t.ppf((1 + level) / 2, units - 1)) * error
    return Estimate(value, value - half, value + half)
