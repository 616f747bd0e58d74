"""Whether a queue still grows at the end of a run: a trend in its last stretch without outage.
Between what waits second by second and the verdict on a server; validity tells the same trend in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.traffic import Floats

LEAST_TREND_S = 20  # a shorter stretch without outage shows no trend
GOOD_TREND_S = 60  # judged where the stretch is as long, even if a quarter of the run is shorter
BATCHES = 10
T_OF_TREND = 5.04  # one-sided 0.9995 quantile of Student's t with BATCHES - 2 degrees of freedom


class Growth(NamedTuple):
    """By how many requests a queue rises in so many seconds, and whether so steadily that it is no chance."""

    rise: float
    seconds: int
    is_steady: bool


def growth_of(waiting: Floats, is_quiet: NDArray[np.bool_], observed_s: float) -> Growth | None:
    """The trend at the end of `waiting`, the requests that wait, means per second; None where no stretch
    without outage is long enough to show one.

    A straight line is fitted to ten batch means of the waiting requests, as successive seconds are far
    from independent (method of batch means; Law, Simulation Modeling and Analysis, chapter 9).
    """
    part = _last_quiet(waiting, is_quiet, observed_s)
    if part.size < LEAST_TREND_S:
        return None
    means = np.array([batch.mean() for batch in np.array_split(part, BATCHES)])
    x = np.arange(BATCHES) - (BATCHES - 1) / 2
    slope = float((x * means).sum() / (x**2).sum())
    residual = means - means.mean() - slope * x
    error = float(np.sqrt((residual**2).sum() / (BATCHES - 2) / (x**2).sum()))
    return Growth(slope * (BATCHES - 1), part.size, slope > T_OF_TREND * error)


def _last_quiet(waiting: Floats, is_quiet: NDArray[np.bool_], observed_s: float) -> Floats:
    """Of the requests that wait, by second, those at the end of the latest 20 s or more without outage.

    Of that stretch the last seconds, as many as a quarter of the run has or 60, so that a slow wave in a
    short run is not taken for growth; empty where there is no such stretch.
    """
    edges = np.concatenate([[-1], np.flatnonzero(~is_quiet), [is_quiet.size]])
    quiet = np.flatnonzero(np.diff(edges) - 1 >= LEAST_TREND_S)
    if quiet.size == 0:
        return np.zeros(0)
    start, end = edges[quiet[-1]] + 1, edges[quiet[-1] + 1]
    most = max(GOOD_TREND_S, int(observed_s / 4))
    return waiting[max(start, end - most) : end]
