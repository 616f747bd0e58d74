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
LEAST_SAMPLES = 10  # distinct ones; fewer show no spread to speak of
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Resampling:
    """Two-way bootstrap of means over (client, base sample) cells.

    Clients and base samples are drawn with replacement, independently, and a cell counts as often as
    its client times its sample was drawn (the pigeonhole bootstrap: McCullagh 2000; Owen 2007). The
    same draws serve every number of a run. cell: each request's cell, (n,), in the order of the cells;
    client, base: the codes of each cell's client and base sample, (cells,). client_weights
    (replicates, clients), base_weights (replicates, bases).
    """

    cell: Ints
    client: Ints
    base: Ints
    client_weights: Floats
    base_weights: Floats

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
            sums = np.bincount(self.cell[among], weights=values[among], minlength=self.client.size)
            weighted, totals = self._weighted(sums.astype(np.float64)), self._weighted(counts)
            ratios = weighted[totals > 0] / totals[totals > 0]
            low, high = (float(q) for q in np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        return {"value": value, "low": low, "high": high, "n": n, "samples": samples, "clients": clients}

    def _weighted(self, sums: Floats) -> Floats:
        """Per replicate, the sum over the cells of `sums` (cells,) times their weights."""
        shape = (self.client_weights.shape[1], self.base_weights.shape[1])
        matrix = sparse.csr_array((sums, (self.client, self.base)), shape)
        per_base = np.asarray((matrix.T @ self.client_weights.T).T)
        return np.asarray((per_base * self.base_weights).sum(axis=1), dtype=np.float64)


def wilson(share: Floats | float, trials: Floats | float) -> tuple[Floats, Floats]:
    """Wilson's (1927) 95% interval of a binomial share; arrays of one shape, trials > 0."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z = 1.959963984540054
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def resampling(seed: int, client: Ints, base: Ints, replicates: int = REPLICATES) -> Resampling:
    """Draws keyed by `seed` alone, over the clients and base samples that occur in the two columns (n,)."""
    client_names, client_codes = np.unique(client, return_inverse=True)
    base_names, base_codes = np.unique(base, return_inverse=True)
    # Cells, not requests, are multiplied: the cost stops growing once every cell has been asked.
    cells, cell = np.unique(client_codes * max(1, base_names.size) + base_codes, return_inverse=True)
    client_of, base_of = np.divmod(cells, max(1, base_names.size))
    return Resampling(
        cell.astype(np.int64),
        client_of.astype(np.int64),
        base_of.astype(np.int64),
        _multinomial(seed, "clients", client_names.size, replicates),
        _multinomial(seed, "samples", base_names.size, replicates),
    )


def _multinomial(seed: int, of: str, count: int, replicates: int) -> Floats:
    """How often each of `count` things is drawn in `count` draws; shape (replicates, count)."""
    if count == 0:
        return np.zeros((replicates, 0))
    digest = blake2b(f"{seed}/bootstrap/{of}".encode(), digest_size=8).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    drawn = generator.integers(0, count, size=(replicates, count))
    rows = np.arange(replicates)[:, None] * count
    times = np.bincount((drawn + rows).ravel(), minlength=replicates * count)
    return times.reshape(replicates, count).astype(np.float64)
