"""Estimates of being right, summed up by sample and bin: small however many clients there are, and sums of
disjoint clients add up, so that blocks need not send their estimates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10
SUMS = ("weight", "estimated", "right")
ReliabilityBins = NDArray[np.float64]


def reliability_bins(
    estimated: NDArray[np.floating],
    right: NDArray[np.bool_] | NDArray[np.float32],
    share: NDArray[np.float64],
) -> ReliabilityBins:
    """The sums over rows, float64 (3, h, TENTHS), in the order of `SUMS`.

    estimated: P(right), in [0, 1], (rows, h); right: (rows, h), or grades in [0, 1]; share: what each row
    weighs, (rows,).
    """
    samples = estimated.shape[1]
    place = np.minimum((estimated * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(samples)
    weight = np.repeat(share, samples)
    parts = (weight, weight * estimated.ravel(), weight * right.ravel())
    sums = [np.bincount(place.ravel(), weights=part, minlength=samples * BINS) for part in parts]
    return np.stack(sums).astype(np.float64).reshape(len(SUMS), samples, BINS)
