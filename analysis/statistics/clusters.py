"""Intervals for means over requests whose clients and samples repeat, by two-way clustering.
Counts clients and base samples, never requests: a sample that was asked 500 times is one witness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

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
        return float(stats.t.ppf((1 + LEVEL) / 2, self.freedom) * np.sqrt(self.variance))


@dataclass(frozen=True)
class Clusters:
    """Requests in cells of one client and one base sample.

    cell: each request's cell, (n,), in the order of the cells; client, base: the codes of each cell's
    client and base sample, (cells,), below `clients` and `bases`.
    """

    cell: Codes
    client: Codes
    base: Codes
    clients: int
    bases: int

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
                quantile = float(stats.t.ppf((1 + LEVEL) / 2, max(1.0, freedom)))
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
        samples, clients = (int(np.unique(codes[asked]).size) for codes in (self.base, self.client))
        value, spread = None, Spread(0.0, 1.0)
        if n:
            sums = np.bincount(self.cell[among], weights=values[among], minlength=self.client.size)
            value = float(values[among].mean())
            spread = self.spread((sums - value * counts) / n, asked)
        estimate = {"value": value, "low": None, "high": None, "n": n, "samples": samples, "clients": clients}
        return estimate, spread

    def influence(self, parts: Floats, wholes: Floats) -> Floats:
        """What each cell contributes to the ratio of the sums of `parts` and `wholes`, both (n,); (cells,).

        Its linear part, by Taylor's series; sums to zero. The sum of `wholes` must not be zero.
        """
        per_part, per_whole = (
            np.bincount(self.cell, weights=values, minlength=self.client.size) for values in (parts, wholes)
        )
        total = per_whole.sum()
        return np.asarray((per_part - per_part.sum() / total * per_whole) / total)

    def spread(self, influence: Floats, asked: Mask) -> Spread:
        """The variance of an estimate from what the cells (cells,) contribute to it; `asked`: those it uses.

        By client plus by sample minus by cell, each the sum of squared sums (Cameron, Gelbach and Miller
        2011, equation 2.9), at least that by cell, with the usual G/(G-1) for G clusters; degrees of freedom
        after Satterthwaite (1946).
        """
        by_cell = float((influence**2).sum())
        total, weighted = -by_cell, 0.0
        for codes, size in ((self.client, self.clients), (self.base, self.bases)):
            groups = int(np.unique(codes[asked]).size)
            if groups > 1:
                sums = np.bincount(codes, weights=influence, minlength=size)
                variance = float((sums**2).sum()) * groups / (groups - 1)
                total, weighted = total + variance, weighted + variance**2 / (groups - 1)
        variance = max(total, by_cell)
        return Spread(variance, max(1.0, variance**2 / weighted) if weighted > 0 else 1.0)


def wilson(share: Floats | float, trials: Floats | float, quantile: float = Z) -> tuple[Floats, Floats]:
    """Wilson's (1927) interval of a binomial share, 95% unless told; arrays of one shape, trials > 0."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    square = quantile**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    inner = share * (1 - share) / trials + square / (4 * trials**2)
    half = quantile / (1 + square / trials) * np.sqrt(inner)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def clusters(
    client: NDArray[Any],
    base: NDArray[Any],
    clients: NDArray[Any] | None = None,
    bases: NDArray[Any] | None = None,
) -> Clusters:
    """The cells of the clients and base samples that occur in the two columns (n,).

    `clients` and `bases` may name more of them: two runs over the same names have the same codes.
    """
    client_names = np.unique(client if clients is None else clients)
    base_names = np.unique(base if bases is None else bases)
    many = max(1, base_names.size)
    # Cells, not requests, are summed up: the cost stops growing once every cell has been asked.
    key = np.searchsorted(client_names, client) * many + np.searchsorted(base_names, base)
    cells, cell = np.unique(key, return_inverse=True)
    client_of, base_of = np.divmod(cells, many)
    return Clusters(
        cell.astype(np.int32),
        client_of.astype(np.int32),
        base_of.astype(np.int32),
        client_names.size,
        base_names.size,
    )
