"""Intervals for means over requests whose samples and clients repeat.
Resamples clients and base samples, never requests: a sample that was asked 500 times is one witness."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

REPLICATES = 500
LEVEL = 0.95
BLOCK = 50  # replicates that are weighted at a time
LEAST_SAMPLES = 10  # distinct ones; fewer show no spread to speak of
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Counts = NDArray[np.uint8]


@dataclass(frozen=True)
class Resampling:
    """Two-way bootstrap of means over (client, base sample) cells.

    Clients and base samples are drawn with replacement, independently, and a cell counts as often as
    its client times its sample was drawn (the pigeonhole bootstrap: McCullagh 2000; Owen 2007). The
    same draws serve every number of a run. cell: each request's cell, (n,), in the order of the cells;
    client, base: the codes of each cell's client and base sample, (cells,). client_weights
    (replicates, clients), base_weights (replicates, bases), both small counts.
    """

    cell: Codes
    client: Codes
    base: Codes
    client_weights: Counts
    base_weights: Counts

    def share(self, hits: Mask, among: Mask) -> dict[str, Any]:
        """The share of `hits` among the requests in `among`, as `mean` gives it; masks (n,).

        The interval is widened to Wilson's for as many trials as there are distinct samples: where
        nearly all answers are right the replicates differ too little.
        """
        estimate = self.mean(hits.astype(np.float64), among)
        if estimate["low"] is not None:
            low, high = wilson(estimate["value"], estimate["samples"])
            estimate["low"] = min(estimate["low"], float(low))
            estimate["high"] = max(estimate["high"], float(high))
        return estimate

    def mean(self, values: Floats, among: Mask) -> dict[str, Any]:
        """The mean of `values` (n,) over the requests in the mask `among` (n,), with a 95% interval.

        value is the plain mean; low and high are percentiles over the replicates, null with fewer than
        LEAST_SAMPLES distinct samples; n counts requests, samples and clients distinct ones.
        """
        counts = np.bincount(self.cell[among], minlength=self.client.size).astype(np.float64)
        n, asked = int(counts.sum()), counts > 0
        samples, clients = (int(np.unique(codes[asked]).size) for codes in (self.base, self.client))
        value = low = high = None
        if n:
            value = float(values[among].mean())
        if samples >= LEAST_SAMPLES:
            ratios = self.ratios(np.where(among, values, 0.0), among.astype(np.float64))
            low, high = interval(ratios)
        return {"value": value, "low": low, "high": high, "n": n, "samples": samples, "clients": clients}

    def ratios(self, parts: Floats, wholes: Floats) -> Floats:
        """Per replicate, the weighted sum of `parts` over that of `wholes`; both (n,), at least 0 the latter.

        NaN in a replicate that drew nothing; shape (replicates,).
        """
        sums, totals = (
            self._weighted(np.bincount(self.cell, weights=values, minlength=self.client.size))
            for values in (parts, wholes)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(totals > 0, sums / totals, np.nan))

    def request_weights(self, replicate: int) -> NDArray[np.uint16]:
        """How often each request counts in a replicate; (n,)."""
        per_cell = self.client_weights[replicate, self.client].astype(np.uint16)
        per_cell *= self.base_weights[replicate, self.base]
        weights: NDArray[np.uint16] = per_cell[self.cell]
        return weights

    def _weighted(self, sums: NDArray[Any]) -> Floats:
        """Per replicate, the sum over the cells of `sums` (cells,) times their weights; in blocks of
        replicates, so that no product of replicates and clients or samples stands whole in memory."""
        shape = (self.base_weights.shape[1], self.client_weights.shape[1])
        matrix = sparse.csr_array((sums, (self.base, self.client)), shape)
        found = np.zeros(len(self.client_weights))
        for start in range(0, found.size, BLOCK):
            block = slice(start, start + BLOCK)
            per_base = matrix @ self.client_weights[block].T.astype(np.float64)
            found[block] = (per_base * self.base_weights[block].T).sum(axis=0)
        return found


def interval(replicates: Floats) -> tuple[float | None, float | None]:
    """The 95% percentile interval of a number's bootstrap replicates, NaN left out; None without any."""
    replicates = replicates[~np.isnan(replicates)]
    if replicates.size == 0:
        return None, None
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def wilson(share: Floats | float, trials: Floats | float) -> tuple[Floats, Floats]:
    """Wilson's (1927) 95% interval of a binomial share; arrays of one shape, trials > 0."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z = 1.959963984540054
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def resampling(
    seed: int | str,
    client: NDArray[Any],
    base: NDArray[Any],
    replicates: int = REPLICATES,
    clients: NDArray[Any] | None = None,
    bases: NDArray[Any] | None = None,
) -> Resampling:
    """Draws keyed by `seed` alone, over the clients and base samples that occur in the two columns (n,).

    `clients` and `bases` may name more of them: two runs over the same names are drawn alike.
    """
    client_names = np.unique(client) if clients is None else np.unique(clients)
    base_names = np.unique(base) if bases is None else np.unique(bases)
    # Cells, not requests, are multiplied: the cost stops growing once every cell has been asked.
    key = np.searchsorted(client_names, client) * max(1, base_names.size) + np.searchsorted(base_names, base)
    cells, cell = np.unique(key, return_inverse=True)
    client_of, base_of = np.divmod(cells, max(1, base_names.size))
    return Resampling(
        cell.astype(np.int32),
        client_of.astype(np.int32),
        base_of.astype(np.int32),
        _multinomial(seed, "clients", client_names.size, replicates),
        _multinomial(seed, "samples", base_names.size, replicates),
    )


def _multinomial(seed: int | str, of: str, count: int, replicates: int) -> Counts:
    """How often each of `count` things is drawn in `count` draws; shape (replicates, count).

    A byte each: among a million draws of a million things none is drawn 255 times.
    """
    times = np.zeros((replicates, count), dtype=np.uint8)
    if count:
        digest = blake2b(f"{seed}/bootstrap/{of}".encode(), digest_size=8).digest()
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
        for row in times:
            row[:] = np.bincount(generator.integers(0, count, size=count), minlength=count)
    return times
