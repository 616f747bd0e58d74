"""Intervals for means over requests whose clients and samples repeat, by two-way clustering.
Counts clients and base samples, never requests: a sample that was asked 500 times is one witness."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.cells import Cells, Picked, coded
from analysis.statistics.estimates import Estimates, Floats, Mask, Spread
from analysis.statistics.leverage import Held, spread_of
from analysis.statistics.pieces import AT_ONCE, mean_among

MOST_KEPT = 4  # masks of which what they hold is kept


class Summed(NamedTuple):
    """What cells contribute to an estimate, `influence`, and their requests, `sizes`, both (c,); which cells
    these are, all or their places (c,), of how many."""

    asked: NDArray[Any] | slice
    influence: Floats
    sizes: Floats
    cells: int


@dataclass(frozen=True)
class Clusters(Cells, Estimates):
    """The cells of requests, whose clients and samples repeat, and what is estimated from them."""

    def _estimate(self, values: NDArray[Any], among: Mask) -> tuple[dict[str, Any], Spread]:
        picked, held = self._asked(among)
        value, spread = None, Spread(0.0, 1.0)
        if held.requests:
            value = mean_among(values, among)
            counts = picked.counts
            spread = self._spread(
                _ratio(picked, picked.sums(values), counts, counts, values.dtype == bool), held
            )
        return {"value": value, "low": None, "high": None} | held.counted, spread

    def client_variance(self, parts: NDArray[Any], wholes: NDArray[Any]) -> float:
        """What the ratio of the sums of `parts` and `wholes`, both (n,), varies because clients of a group
        differ: their variance beyond that of their cells, at least 0. Requests count whose whole is not 0."""
        counted = wholes != 0
        if not counted.any():
            return 0.0
        picked, held = self._asked(counted)
        sizes = picked.counts
        if (more := (parts != 0) & ~counted).any():
            picked = self.picked(counted | more)
            sizes = picked.sums(counted)
        sums = sizes if wholes.dtype == bool else picked.sums(wholes)
        are_whole = parts.dtype == wholes.dtype == bool
        return self._between_clients(_ratio(picked, picked.sums(parts), sums, sizes, are_whole), held)

    def sums(self, values: Floats) -> Floats:
        """The sum of each cell's requests' values (n,); (cells,)."""
        return _sums(self.cell, values, self.client.size)

    def variance_between_clients(self, influence: Floats, sizes: Floats) -> float:
        """What `client_variance` is of what cells contribute, and their requests; (cells,)."""
        return self._between_clients(self._of_all(influence, sizes), self._held_of(sizes))

    def spread(self, influence: Floats, sizes: Floats) -> Spread:
        """The variance of an estimate from what the cells contribute to it; `sizes`: their requests;
        (cells,)."""
        return self._spread(self._of_all(influence, sizes), self._held_of(sizes))

    def held(self, among: Mask) -> Held:
        """How many of the requests in a mask (n,) each client and base sample has."""
        return self._asked(among)[1]

    def squares_by_client(self, among: Mask) -> Floats:
        """The sum over each client's samples of the square of how many of the requests in a mask (n,) are
        about it, (clients,)."""
        picked, _ = self._asked(among)
        return self._by_client(picked.asked, picked.counts.astype(np.float64) ** 2)

    @property
    def client_of_requests(self) -> NDArray[Any]:
        """The code of each request's client, (n,)."""
        return self.client[self.cell]

    def _of_all(self, influence: Floats, sizes: Floats) -> Summed:
        """Of all cells, of arrays (cells,)."""
        return Summed(slice(None), influence, sizes, influence.size)

    def _spread(self, summed: Summed, held: Held) -> Spread:
        by_cell, by_client, by_base, of_groups = self._within_groups(summed)
        return spread_of(held, by_cell, by_client, by_base, of_groups)

    def _between_clients(self, summed: Summed, held: Held) -> float:
        by_cell, by_client, _, _ = self._within_groups(summed)
        return max(0.0, held.between_clients(by_client)[0] - by_cell)

    def _within_groups(self, summed: Summed) -> tuple[float, Floats, Floats, float]:
        """Of what the cells contribute less their group's mean: the sum of squares, the sums by client and by
        base sample, (clients,) and (bases,); and the variance that the sizes of the groups make."""
        asked, influence, sizes, cells = summed
        group = self.group[asked]
        totals, members = (np.bincount(group, each, self.groups) for each in (influence, sizes))
        there = np.maximum(members, 1e-300)
        centred = influence - (totals / there)[group] * sizes
        by_base = _sums(self.base[asked], centred, self.bases)
        of_groups = float((totals**2 / there).sum())
        return in_order(asked, centred**2, cells), self._by_client(asked, centred), by_base, of_groups

    def _by_client(self, asked: NDArray[Any] | slice, values: NDArray[Any]) -> Floats:
        """The sums over the clients' cells of the values (c,) of some cells, (clients,)."""
        return _sums(self.client[asked], values, self.clients)

    def _asked(self, among: Mask) -> tuple[Picked, Held]:
        """The requests in a mask (n,), and what is known of them: found once for the last few masks, since
        much is asked about the same requests; of many the requests themselves again."""
        key = np.packbits(among).tobytes()
        known = self._last.pop(key, None)
        if known is None:
            one = self.picked(among)
            by_client = self._by_client(one.asked, one.counts)
            by_base = _sums(self.base[one.asked], one.counts, self.bases)
            held = Held(by_client, by_base, self._group_of_client, self._one_stratum)
            known = (one if one.rows.size <= AT_ONCE else None), held
        self._last[key] = known
        for oldest in list(self._last)[:-MOST_KEPT]:  # at once: two threads may ask
            self._last.pop(oldest, None)
        return known[0] or self.picked(among), known[1]

    def _held_of(self, sizes: Floats) -> Held:
        """The same of the requests of all cells, (cells,)."""
        by_client, by_base = (
            np.bincount(codes, sizes, many).astype(np.float64, copy=False)
            for codes, many in ((self.client, self.clients), (self.base, self.bases))
        )
        return Held(by_client, by_base, self._group_of_client, self._one_stratum)

    @cached_property
    def _last(self) -> dict[bytes, tuple[Picked | None, Held]]:
        return {}

    @cached_property
    def _group_of_client(self) -> NDArray[np.int64]:
        """(clients,)."""
        group_of = np.zeros(self.clients, dtype=np.int64)
        group_of[self.client] = self.group
        return group_of

    @cached_property
    def _one_stratum(self) -> NDArray[np.int64]:
        """(bases,)."""
        return np.zeros(self.bases, dtype=np.int64)


def _sums(code: NDArray[Any], values: NDArray[Any], count: int) -> Floats:
    """The sums of the values (n,) of each code (n,) below a count."""
    return np.bincount(code, values, count).astype(np.float64, copy=False)


def _ratio(
    picked: Picked, sums: Floats, wholes: NDArray[Any], sizes: NDArray[Any], are_whole: bool
) -> Summed:
    """What cells contribute to a ratio of sums, from their parts, wholes and numbers of requests, all (c,):
    its linear part, by Taylor's series; sums to zero. are_whole: the sums are of whole numbers, which have
    no order."""
    asked = slice(None) if are_whole else picked.asked
    part, whole = (in_order(asked, each, picked.cells) for each in (sums, wholes))
    return Summed(picked.asked, (sums - part / whole * wholes) / whole, sizes, picked.cells)


def in_order(asked: NDArray[Any] | slice, values: NDArray[Any], cells: int) -> float:
    """The sum of the values (c,) of some of so many cells; the same to the last bit as if all others were
    there with 0."""
    if isinstance(asked, slice) or asked.size == cells:
        return float(values.sum())
    every = np.zeros(cells)
    every[asked] = values
    return float(every.sum())


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
    return Clusters(**coded(client, base, group, clients, bases))
