"""How far clusters of unequal size show their own variance: leverage, and degrees of freedom.
Below `analysis.statistics.clusters`; what is known of the same requests is found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.cells import numbered
from analysis.statistics.estimates import Floats, Spread

Strata = NDArray[np.int64]
FEW = 1000  # clusters, of which each is told of for itself


class Shape(NamedTuple):
    """Which clusters hold requests, (k,), by how much the squared sum of each of these counts, (k,), and the
    degrees of freedom of each stratum, (strata,)."""

    there: NDArray[np.int64]
    scaled: Floats
    freedom: Floats


@dataclass(frozen=True)
class Held:
    """How many of some requests each client and base sample has, (clients,), (bases,); the strata of both."""

    by_client: Floats
    by_base: Floats
    client_stratum: Strata
    base_stratum: Strata

    @cached_property
    def requests(self) -> int:
        return int(self.by_base.sum())

    @cached_property
    def samples(self) -> int:
        """Distinct ones."""
        return int(np.count_nonzero(self.by_base))

    @cached_property
    def clients(self) -> int:
        """Distinct ones."""
        return int(np.count_nonzero(self.by_client))

    @property
    def counted(self) -> dict[str, int]:
        """As every estimate tells it."""
        return {"n": self.requests, "samples": self.samples, "clients": self.clients}

    def between_clients(self, sums: Floats) -> tuple[float, float]:
        """`by_cluster` of what each client contributes, (clients,)."""
        return by_cluster(sums, self.client_stratum, self._client_shape)

    def between_samples(self, sums: Floats) -> tuple[float, float]:
        """`by_cluster` of what each base sample contributes, (bases,)."""
        return by_cluster(sums, self.base_stratum, self._base_shape)

    @cached_property
    def _client_shape(self) -> Shape:
        return shape_of(self.by_client, self.client_stratum)

    @cached_property
    def _base_shape(self) -> Shape:
        return shape_of(self.by_base, self.base_stratum)


def spread_of(held: Held, by_cell: float, by_client: Floats, by_base: Floats, of_groups: float) -> Spread:
    """The variance of an estimate, from what its cells contribute less their group's mean: the sum of
    squares, and the sums by client and by base sample.

    By client plus by sample minus by cell, each the sum of squared sums (Cameron, Gelbach and Miller
    2011, equation 2.9), at least that by cell; within groups, since how many clients a group has is no
    chance, plus the chance of how many requests each group makes, `of_groups`. Clusters of unequal size are
    made up for by their leverage (Bell and McCaffrey 2002) and count as fewer; degrees of freedom after
    Satterthwaite (1946).
    """
    parts = [held.between_clients(by_client), held.between_samples(by_base)]
    variance = max(sum(variance for variance, _ in parts) - by_cell, by_cell)
    weighted = sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
    freedom = max(1.0, variance**2 / weighted) if weighted > 0 else 1.0
    return Spread(variance + of_groups, freedom)


def by_cluster(sums: Floats, stratum: Strata, shape: Shape) -> tuple[float, float]:
    """The variance between clusters, from the sum of each, (clusters,), within the `stratum` of each; and its
    degrees of freedom."""
    variances = np.bincount(stratum[shape.there], sums[shape.there] ** 2 * shape.scaled, shape.freedom.size)
    total, weighted = float(variances.sum()), float((variances**2 / shape.freedom).sum())
    return total, max(1.0, total**2 / weighted) if weighted > 0 else 1.0


def shape_of(held: Floats, stratum: Strata) -> Shape:
    """What the requests that each cluster holds, (clusters,), make of its variance.

    A cluster that holds a share w of its stratum shows too little of its own variance, by 1 - 2w + Σw². The
    degrees of freedom lie half-way, in ratio, between those of the sum of squares if the means of clusters
    varied alike (Bell and McCaffrey 2002), which are too few where one cluster makes both the mean and its
    error, and the clusters less one, which are too many (`benchmarks.coverage`); pooled over the strata.
    """
    strata, there = int(stratum.max(initial=-1)) + 1, np.flatnonzero(held)
    of, held = stratum[there], held[there]
    alike, kind = _kinds(of, held, strata)  # what follows is told of each kind, and summed over clusters
    of_kind = of[alike]
    weight = held[alike] / np.maximum(np.bincount(of, held, strata), 1e-300)[of_kind]

    def summed(values: NDArray[Any]) -> Floats:
        return np.bincount(of, values[kind], strata).astype(np.float64, copy=False)

    square = summed(weight**2)
    shown = 1 - 2 * weight + square[of_kind]
    several = (square < 1 - 1e-9)[of_kind]  # one cluster alone tells nothing of others
    scaled = np.divide(1.0, shown, out=np.zeros(shown.size), where=several)
    apart, gap = weight**2 * scaled, square[of_kind] / 2 - weight
    whole, first, second = (summed(apart * gap**power) for power in (0, 1, 2))
    mixed = 2 * whole * second + 2 * first**2 - summed((2 * apart * gap) ** 2)
    freedom = square**2 / np.maximum(summed(weight**4 * several) + mixed, 1e-300)
    members = summed(several)
    return Shape(there, scaled[kind], np.sqrt(np.maximum(1.0, freedom) * np.maximum(1.0, members - 1)))


def _kinds(of: Strata, held: Floats, strata: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """A cluster of each kind, that is of a stratum and as many requests, and which kind each of (k,) is: of
    many clusters there are few."""
    whole = held.astype(np.int64)
    if held.size < FEW or not np.array_equal(whole, held):
        return np.arange(held.size), np.arange(held.size)
    names, kind = numbered(whole * max(1, strata) + of)
    alike = np.empty(names.size, dtype=np.int64)
    alike[kind] = np.arange(held.size)
    return alike, kind
