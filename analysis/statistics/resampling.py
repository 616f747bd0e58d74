"""Intervals for what is no mean, such as percentiles: the two-way bootstrap of clients and base samples.
Beside `analysis.statistics.clusters`; used where runs are compared."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.clusters import LEVEL, Clusters, Floats

REPLICATES = 500


def percentiles(
    values: Floats, of: Clusters, key: str, levels: tuple[float, ...], replicates: int = REPLICATES
) -> Floats:
    """Percentiles of `values` (n,), NaN left out, in each bootstrap replicate; shape (levels, replicates).

    Clients and base samples are drawn with replacement, independently, and a request counts as often as
    its client times its sample was drawn (the pigeonhole bootstrap: McCullagh 2000; Owen 2007). Draws
    follow from `key` alone, so two runs under one key and the same names are drawn alike. A percentile is
    the smallest value at which the weights up to it reach the level's share of all of them.
    """
    there = np.flatnonzero(~np.isnan(values))
    order = there[np.argsort(values[there], kind="stable")]
    ordered, cell = values[order], of.cell[order]
    clients, bases = _generator(f"{key}/clients"), _generator(f"{key}/samples")
    results = np.full((len(levels), replicates), np.nan)
    for replicate in range(replicates):
        weights = _times(clients, of.clients)[of.client] * _times(bases, of.bases)[of.base]
        reached = np.cumsum(weights[cell])
        if reached.size and reached[-1]:
            results[:, replicate] = ordered[np.searchsorted(reached, np.multiply(levels, reached[-1]))]
    return results


def interval(replicates: Floats) -> tuple[float | None, float | None]:
    """The 95% percentile interval of a number's replicates, NaN left out; None without any."""
    replicates = replicates[~np.isnan(replicates)]
    if replicates.size == 0:
        return None, None
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _generator(key: str) -> np.random.Generator:
    digest = blake2b(f"bootstrap/{key}".encode(), digest_size=8).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def _times(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """How often each of `count` things is drawn in `count` draws; (count,)."""
    return np.bincount(generator.integers(0, max(1, count), size=count), minlength=count)
