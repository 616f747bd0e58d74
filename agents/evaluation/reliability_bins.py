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
    weight: NDArray[np.float64] | None = None,
) -> ReliabilityBins:
    """The sums over rows, float64 (3, h, BINS), in the order of `SUMS`.

    estimated: P(right), in [0, 1], (rows, h); right: (rows, h), or grades in [0, 1]; share: what each row
    weighs, (rows,); weight: how much it is asked of a sample, (rows, h), mean 1; None: all alike.
    """
    samples = estimated.shape[1]
    place = np.minimum((estimated * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(samples)
    whole = np.repeat(share, samples) * (1.0 if weight is None else weight.ravel())
    parts = (whole, whole * estimated.ravel(), whole * right.ravel())
    sums = [np.bincount(place.ravel(), weights=part, minlength=samples * BINS) for part in parts]
    return np.stack(sums).astype(np.float64).reshape(len(SUMS), samples, BINS)
