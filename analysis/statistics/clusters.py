"""Intervals for means over requests whose clients and samples repeat, by two-way clustering.
Counts clients and base samples, never requests: a sample that was asked 500 times is one witness."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.95
LEAST_SAMPLES = 10  # distinct ones; fewer show no spread to speak of
Z = 1.959963984540054  # the normal quantile of (1 + LEVEL) / 2
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


class Spread(NamedTuple):
    """The variance of an estimate and its degrees of freedom."""

    variance: float
    freedom: float

    def half_width(self) -> float:
        """Half of the 95% interval, by Student's t."""
        return student(self.freedom) * float(np.sqrt(self.variance))


class Shape(NamedTuple):
    """By how much the squared sum of each cluster counts, (clusters,), and the degrees of freedom of each
    stratum, (strata,)."""

    scaled: Floats
    freedom: Floats


@dataclass(frozen=True)
class Clusters:
    """Requests in cells of one client and one base sample.

    cell: each request's cell, (n,), in the order of the cells; client, base, group: the codes of each cell's
    client, base sample and the client's group, (cells,), below `clients`, `bases` and `groups`.
    """

    cell: Codes
    client: Codes
    base: Codes
    group: Codes
    clients: int
    bases: int
    groups: int

    def only(self, rows: NDArray[np.int64]) -> Clusters:
        """The cells of some of the requests alone, by their places (k,): no more than these are many."""
        cell = self.cell[rows]
        dense = 16 * cell.size > self.client.size
        asked, _, code = _coded(cell, self.client.size) if dense else np.unique(cell, True, True)
        kept = [np.unique(each[asked], return_inverse=True) for each in (self.client, self.base, self.group)]
        client, base, group = (codes.astype(np.int32, copy=False) for _, codes in kept)
        clients, bases, groups = (names.size for names, _ in kept)
        return Clusters(code.astype(np.int32, copy=False), client, base, group, clients, bases, groups)

    def share(self, hits: Mask, among: Mask) -> dict[str, Any]:
        """The share of `hits` among the requests in `among`, as `mean` gives it; masks (n,).

        The interval is Wilson's for as many trials as would give the share this variance. The variance is
        widened by that of one sample all right and one all wrong, as what few samples are hard may not have
        been met; but not beyond that of samples that are wholly right or wholly wrong.
        """
        estimate, spread = self._estimate(hits.astype(np.float64), among)
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

    def _estimate(self, values: Floats, among: Mask) -> tuple[dict[str, Any], Spread]:
        counts = np.bincount(self.cell[among], minlength=self.client.size).astype(np.float64)
        n = int(counts.sum())
        asked = counts > 0
        samples, clients = (np.count_nonzero(np.bincount(codes[asked])) for codes in (self.base, self.client))
        value, spread = None, Spread(0.0, 1.0)
        if n:
            value = float(values[among].mean())
            influence = _influence(self.sums(np.where(among, values, 0.0)), counts)
            spread = self.spread(influence, counts)
        estimate = {"value": value, "low": None, "high": None, "n": n, "samples": samples, "clients": clients}
        return estimate, spread

    def influence(self, parts: Floats, wholes: Floats) -> Floats:
        """What each cell contributes to the ratio of the sums of `parts` and `wholes`, both (n,); (cells,).

        Its linear part, by Taylor's series; sums to zero. The sum of `wholes` must not be zero.
        """
        return _influence(self.sums(parts), self.sums(wholes))

    def sums(self, values: Floats) -> Floats:
        """The sum of each cell's requests' values (n,); (cells,)."""
        return np.bincount(self.cell, values, self.client.size).astype(np.float64, copy=False)

    def variance_between_clients(self, influence: Floats, sizes: Floats) -> float:
        """What an estimate varies because clients of a group differ: their variance beyond that of their
        cells, at least 0; from what the cells contribute, and their requests; (cells,)."""
        centred, _ = self._within_groups(influence, sizes)
        return max(0.0, self._by_client(centred, sizes).variance - float((centred**2).sum()))

    def spread(self, influence: Floats, sizes: Floats) -> Spread:
        """The variance of an estimate from what the cells contribute to it; `sizes`: their requests;
        (cells,).

        By client plus by sample minus by cell, each the sum of squared sums (Cameron, Gelbach and Miller
        2011, equation 2.9), at least that by cell; within groups, since how many clients a group has is no
        chance, plus the chance of how many requests each group makes. Clusters of unequal size are made up
        for by their leverage (Bell and McCaffrey 2002) and count as fewer; degrees of freedom after
        Satterthwaite (1946).
        """
        centred, of_groups = self._within_groups(influence, sizes)
        by_cell = float((centred**2).sum())
        parts = [
            self._by_client(centred, sizes),
            self._by_base(centred, sizes),
        ]
        variance = max(sum(part.variance for part in parts) - by_cell, by_cell)
        weighted = sum(part.variance**2 / part.freedom for part in parts if part.variance > 0)
        freedom = max(1.0, variance**2 / weighted) if weighted > 0 else 1.0
        return Spread(variance + of_groups, freedom)

    def _by_client(self, influence: Floats, sizes: Floats) -> Spread:
        codes, stratum = self.client, self._group_of_client
        return _by_cluster(influence, codes, stratum, self._shape("client", sizes, codes, stratum))

    def _by_base(self, influence: Floats, sizes: Floats) -> Spread:
        codes, stratum = self.base, self._one_stratum
        return _by_cluster(influence, codes, stratum, self._shape("base", sizes, codes, stratum))

    def _shape(self, by: str, sizes: Floats, codes: Codes, stratum: NDArray[np.int64]) -> Shape:
        """The shape of the clusters; where it was asked of the same requests last, it is there."""
        last = self._shapes.get(by)
        if last is None or not np.array_equal(last[0], sizes):
            last = self._shapes[by] = sizes.copy(), _shape_of(sizes, codes, stratum)
        return last[1]

    @cached_property
    def _shapes(self) -> dict[str, tuple[Floats, Shape]]:
        return {}

    @cached_property
    def _group_of_client(self) -> NDArray[np.int64]:
        group_of = np.zeros(self.clients, dtype=np.int64)
        group_of[self.client] = self.group
        return group_of

    @cached_property
    def _one_stratum(self) -> NDArray[np.int64]:
        return np.zeros(self.bases, dtype=np.int64)

    def _within_groups(self, influence: Floats, sizes: Floats) -> tuple[Floats, float]:
        """The influence less its group's mean, and the variance that the sizes of the groups make."""
        totals, members = (np.bincount(self.group, part, self.groups) for part in (influence, sizes))
        there = np.maximum(members, 1e-300)
        return influence - (totals / there)[self.group] * sizes, float((totals**2 / there).sum())


def _influence(per_part: Floats, per_whole: Floats) -> Floats:
    total = per_whole.sum()
    return np.asarray((per_part - per_part.sum() / total * per_whole) / total)


def student(freedom: float, level: float = (1 + LEVEL) / 2) -> float:
    """The quantile of Student's t; `scipy.stats` gives the same and takes twenty times as long."""
    return float(special.stdtrit(freedom, level))


def _by_cluster(influence: Floats, codes: Codes, stratum: NDArray[np.int64], shape: Shape) -> Spread:
    """The variance between clusters, `codes` of each cell (cells,), within the `stratum` of each."""
    sums = np.bincount(codes, influence, stratum.size)
    variances = np.bincount(stratum, sums**2 * shape.scaled)
    total, weighted = float(variances.sum()), float((variances**2 / shape.freedom).sum())
    return Spread(total, max(1.0, total**2 / weighted) if weighted > 0 else 1.0)


def _shape_of(sizes: Floats, codes: Codes, stratum: NDArray[np.int64]) -> Shape:
    """What the requests of each cell, `sizes` (cells,), make of its clusters' variance.

    A cluster that holds a share w of its stratum shows too little of its own variance, by 1 - 2w + Σw². The
    degrees of freedom lie half-way, in ratio, between those of the sum of squares if the means of clusters
    varied alike (Bell and McCaffrey 2002), which are too few where one cluster makes both the mean and its
    error, and the clusters less one, which are too many (`benchmarks.coverage`); pooled over the strata.
    """
    held = np.bincount(codes, sizes, stratum.size)
    weight = held / np.maximum(np.bincount(stratum, held), 1e-300)[stratum]
    square = np.bincount(stratum, weight**2)
    shown = 1 - 2 * weight + square[stratum]
    several = (square < 1 - 1e-9)[stratum] & (held > 0)  # one cluster alone tells nothing of others
    scaled = np.divide(1.0, shown, out=np.zeros(shown.size), where=several)
    apart, gap = weight**2 * scaled, square[stratum] / 2 - weight
    whole, first, second = (np.bincount(stratum, apart * gap**power) for power in (0, 1, 2))
    mixed = 2 * whole * second + 2 * first**2 - np.bincount(stratum, (2 * apart * gap) ** 2)
    freedom = square**2 / np.maximum(np.bincount(stratum, weight**4 * several) + mixed, 1e-300)
    freedom = np.sqrt(np.maximum(1.0, freedom) * np.maximum(1.0, np.bincount(stratum, several) - 1))
    return Shape(scaled, freedom)


def wilson(share: Floats | float, trials: Floats | float, quantile: float = Z) -> tuple[Floats, Floats]:
    """Wilson's (1927) interval of a binomial share, 95% unless told; arrays of one shape, trials > 0."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    square = quantile**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    inner = share * (1 - share) / trials + square / (4 * trials**2)
    half = quantile / (1 + square / trials) * np.sqrt(inner)
    low, high = np.maximum(centre - half, 0.0), np.maximum(centre + half, 0.0)
    return np.minimum(low, 1.0), np.minimum(high, 1.0)


def clusters(
    client: NDArray[Any],
    base: NDArray[Any],
    group: NDArray[Any] | None = None,
    clients: NDArray[Any] | None = None,
    bases: NDArray[Any] | None = None,
) -> Clusters:
    """The cells of the clients and base samples that occur in the two columns (n,).

    group: the code of each request's client's group (n,), one group if none. `clients` and `bases` may name
    more than occur: two runs over the same names have the same codes.
    """
    client_names = np.unique(client if clients is None else clients)
    base_names = np.unique(base if bases is None else bases)
    many = max(1, base_names.size)
    # Cells, not requests, are summed up: the cost stops growing once every cell has been asked.
    kind: Any = np.int32 if client_names.size * many < 2**31 else np.int64
    key: NDArray[Any] = np.searchsorted(client_names, client).astype(kind)
    key = key * kind(many) + np.searchsorted(base_names, base).astype(kind)
    cells, first, cell = _coded(key, client_names.size * many)
    client_of, base_of = np.divmod(cells, many)
    groups = np.zeros(cells.size, dtype=np.int32) if group is None else group[first].astype(np.int32)
    return Clusters(
        cell.astype(np.int32, copy=False),
        client_of.astype(np.int32),
        base_of.astype(np.int32),
        groups,
        client_names.size,
        base_names.size,
        int(groups.max(initial=0)) + 1,
    )


def _coded(key: NDArray[Any], below: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The distinct values of `key` (n,), ascending; where each stands first; and which each of (n,) is.

    As `numpy.unique` gives them, but where values are dense without its sort, which takes time and memory.
    """
    if below > max(4 * key.size, 2**20):
        return np.unique(key, return_index=True, return_inverse=True)
    first: NDArray[Any] = np.full(below, -1, dtype=np.int32 if key.size < 2**31 else np.int64)
    first[key[::-1]] = np.arange(
        key.size - 1, -1, -1, dtype=first.dtype
    )  # of a repeated place the last stays
    values = np.flatnonzero(first >= 0)
    code = np.zeros(below, dtype=np.int32)
    code[values] = np.arange(values.size, dtype=np.int32)
    return values, first[values], code[key]
