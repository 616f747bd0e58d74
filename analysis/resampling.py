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
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Resampling:
    """Two-way bootstrap of means over (client, base sample) cells.

    Clients and base samples are drawn with replacement, independently, and a cell counts as often as
    its client times its sample was drawn (the pigeonhole bootstrap: McCullagh 2000; Owen 2007, where
    it is shown to err, if at all, on the side of intervals that are too wide). The same draws serve
    every number of a run. client, base: the code of each request's client and base sample, (n,).
    client_weights (replicates, clients), base_weights (replicates, bases).
    """

    client: NDArray[np.int64]
    base: NDArray[np.int64]
    client_weights: NDArray[np.float64]
    base_weights: NDArray[np.float64]

    def share(self, hits: Mask, among: Mask) -> dict[str, Any]:
        """The share of `hits` among the requests in `among`, as `mean` gives it; masks (n,)."""
        return self.mean(hits.astype(np.float64), among)

    def mean(self, values: NDArray[np.float64], among: Mask) -> dict[str, Any]:
        """The mean of `values` (n,) over the requests in the mask `among` (n,), with a 95% interval.

        value is the plain mean; low and high are percentiles over the replicates, null with fewer
        than two distinct samples; n counts requests, samples distinct base samples.
        """
        n = int(among.sum())
        if n == 0:
            return {"value": None, "low": None, "high": None, "n": 0, "samples": 0}
        samples = int(np.unique(self.base[among]).size)
        low = high = None
        if samples > 1:
            sums, totals = self._weighted(values[among], among), self._weighted(np.ones(n), among)
            ratios = sums[totals > 0] / totals[totals > 0]
            low, high = (float(q) for q in np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        return {"value": float(values[among].mean()), "low": low, "high": high, "n": n, "samples": samples}

    def _weighted(self, values: NDArray[np.float64], among: Mask) -> NDArray[np.float64]:
        """Per replicate, the weighted sum of `values` (as many as `among` has ones)."""
        shape = (self.client_weights.shape[1], self.base_weights.shape[1])
        # Cells, not requests, are multiplied: the cost stops growing once every cell has been asked.
        cells, cell_of = np.unique(self.client[among] * shape[1] + self.base[among], return_inverse=True)
        sums = np.bincount(cell_of, weights=values, minlength=cells.size)
        matrix = sparse.csr_array((sums, (cells // shape[1], cells % shape[1])), shape)
        per_base = np.asarray((matrix.T @ self.client_weights.T).T)
        return np.asarray((per_base * self.base_weights).sum(axis=1), dtype=np.float64)


def resampling(
    seed: int, client: NDArray[np.int64], base: NDArray[np.int64], replicates: int = REPLICATES
) -> Resampling:
    """Draws keyed by `seed` alone, over the clients and base samples that occur in the two columns (n,)."""
    client_names, client_codes = np.unique(client, return_inverse=True)
    base_names, base_codes = np.unique(base, return_inverse=True)
    return Resampling(
        client_codes.astype(np.int64),
        base_codes.astype(np.int64),
        _multinomial(seed, "clients", client_names.size, replicates),
        _multinomial(seed, "samples", base_names.size, replicates),
    )


def _multinomial(seed: int, of: str, count: int, replicates: int) -> NDArray[np.float64]:
    """How often each of `count` things is drawn in `count` draws; shape (replicates, count)."""
    if count == 0:
        return np.zeros((replicates, 0))
    digest = blake2b(f"{seed}/bootstrap/{of}".encode(), digest_size=8).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    drawn = generator.integers(0, count, size=(replicates, count))
    rows = np.arange(replicates)[:, None] * count
    times = np.bincount((drawn + rows).ravel(), minlength=replicates * count)
    return times.reshape(replicates, count).astype(np.float64)
