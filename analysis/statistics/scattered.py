"""Very many requests, of clients and base samples that seldom meet twice: what is estimated from them.
What `clusters` estimates, by sums over clients and samples; only cells of several requests are summed up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.cells import Codes, narrow, numbered, order_of
from analysis.statistics.clusters import Clusters, clusters
from analysis.statistics.estimates import Estimates, Floats, Mask, Spread
from analysis.statistics.leverage import Held, spread_of
from analysis.statistics.pieces import AT_ONCE, mean_among, pieces
from analysis.statistics.room import room, taken

MOST_KEPT = 4  # masks of which what they hold is kept
MANY_OF_EACH = 4  # requests of a cell, on average, from which on all of them are summed up by cells
Values = Callable[[Any], NDArray[Any]]  # those of some requests, by a slice or by their places


class Summed(NamedTuple):
    """Sums of values over some requests: by client, (clients,); by base sample and group, (bases, groups); by
    group over its cells, the squares of their sums and the products of these with their numbers of requests,
    (groups,)."""

    by_client: Floats
    by_base: Floats
    squares: Floats
    crossed: Floats


class Met(NamedTuple):
    """Of the requests in a mask: what is known of them, and their numbers as `Summed` has them."""

    held: Held
    by_base: Floats
    squares: Floats

    @property
    def members(self) -> Floats:
        """By group."""
        return np.asarray(np.maximum(self.by_base.sum(axis=0), 1e-300))


@dataclass(frozen=True)
class Scattered(Estimates):
    """Requests, by client and base sample.

    client: the code of each request's client, (n,); base: that of its base sample, times `groups`, plus that
    of its client's group, (n,); group: of each client, (clients,), below `groups`; bases: how many base
    samples; again: the places of all requests that share client and base sample with another, and maybe of
    others, ascending, (k,); None: of all, as most do; cell: which of these cells each is of, (k,) or (n,).
    """

    client: Codes
    base: NDArray[Any]
    group: NDArray[np.int64]
    bases: int
    groups: int
    again: NDArray[Any] | None
    cell: Codes

    def _estimate(self, values: NDArray[Any], among: Mask) -> tuple[dict[str, Any], Spread]:
        met = self._met(among)
        value, spread = None, Spread(0.0, 1.0)
        if met.held.requests:
            value = mean_among(values, among)
            sums = self._summed(values.__getitem__, values.dtype == bool, among)
            spread = self._spread(sums, met)
        return {"value": value, "low": None, "high": None} | met.held.counted, spread

    def client_variance(self, parts: NDArray[Any], wholes: NDArray[Any]) -> float:
        """As `Clusters.client_variance`."""
        counted = wholes != 0
        if not counted.any():
            return 0.0
        met = self._met(counted)
        whole = _total(wholes)
        if wholes.dtype == bool and parts.dtype == bool and not (parts & ~counted).any():
            sums = self._summed(parts.__getitem__, True, counted)
        else:
            ratio = _total(parts) / whole
            among = counted | (parts != 0)
            sums = self._summed(lambda at: parts[at] - ratio * wholes[at], False, among, counted)
        by_cell, by_client, _ = self._centred(sums, met, whole)
        return max(0.0, met.held.between_clients(by_client)[0] - by_cell)

    def held(self, among: Mask) -> Held:
        """How many of the requests in a mask (n,) each client and base sample has."""
        return self._met(among).held

    def squares_by_client(self, among: Mask) -> Floats:
        """As `Clusters.squares_by_client`."""
        _, counts = self._of_cells(None, among)
        shared = np.bincount(self._client_of_cell, counts**2 - counts, self.group.size)
        return self.held(among).by_client + shared

    @property
    def client_of_requests(self) -> NDArray[Any]:
        """The code of each request's client, (n,)."""
        return self.client

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that grows by requests."""
        return self.client, self.base, self.cell, *(() if self.again is None else (self.again,))

    def only(self, rows: NDArray[np.integer]) -> Clusters | Scattered:
        """Some of the requests alone, by their places (k,) ascending: as much work as they are many."""
        client, base = taken(self.client, rows), taken(self.base, rows)
        if rows.size <= AT_ONCE:
            return clusters(client, base // self.groups, self.group[client])
        if self.again is None:
            return replace(self, client=client, base=base, cell=taken(self.cell, rows))
        place = np.minimum(np.searchsorted(rows, self.again), rows.size - 1)
        is_in = rows[place] == self.again
        again, cell = place[is_in].astype(np.int32), self.cell[is_in]
        return Scattered(client, base, self.group, self.bases, self.groups, again, cell)

    def _spread(self, sums: Summed, met: Met) -> Spread:
        """Of a mean of the values, from their sums."""
        whole = float(met.held.requests)
        by_group = sums.by_base.sum(axis=0)
        apart = (by_group - by_group.sum() / whole * met.members) / whole
        return spread_of(met.held, *self._centred(sums, met, whole), float((apart**2 / met.members).sum()))

    def _centred(self, sums: Summed, met: Met, whole: float) -> tuple[float, Floats, Floats]:
        """Of what cells contribute to the sum of the values by `whole`, less their group's mean: the sum of
        squares, and the sums by client and by base sample, (clients,) and (bases,)."""
        mean = sums.by_base.sum(axis=0) / met.members
        squares = sums.squares - 2 * mean * sums.crossed + mean**2 * met.squares
        by_client = sums.by_client - mean[self.group] * met.held.by_client
        by_base = (sums.by_base - mean * met.by_base).sum(axis=1)
        return max(0.0, float(squares.sum())) / whole**2, by_client / whole, by_base / whole

    def _summed(self, values: Values, are_bool: bool, among: Mask, counted: Mask | None = None) -> Summed:
        """Of the requests in a mask (n,); counted: which of them are numbered, all unless told."""
        by_client, (by_base, squares, crossed) = (
            np.zeros(self.group.size),
            np.zeros((3, self.bases * self.groups)),
        )
        for client, base, weights, numbers in self._picked(values, are_bool, among, counted):
            by_client += np.bincount(client, weights, self.group.size)
            by_base += np.bincount(base, weights, by_base.size)
            if weights is not None and self.again is not None:
                squares += np.bincount(base, weights**2, by_base.size)
                if numbers is not None:
                    crossed += np.bincount(base, weights * numbers, by_base.size)
        table = by_base.reshape(self.bases, self.groups)
        if self.again is None:
            return Summed(by_client, table, *self._squares_of_cells(values, among, counted))
        alone = table.sum(axis=0)
        of_squares = alone if are_bool else squares.reshape(table.shape).sum(axis=0)
        of_crossed = alone if counted is None else crossed.reshape(table.shape).sum(axis=0)
        return Summed(by_client, table, *self._joined(of_squares, of_crossed, values, among, counted))

    def _picked(
        self, values: Values, are_bool: bool, among: Mask, counted: Mask | None
    ) -> Iterator[tuple[Any, ...]]:
        """Client, base, value and whether it is numbered of the requests in a mask, many at a time: for each
        time there is a sum for every client. Of values that are 0 or 1 those that are 1, and no value."""
        found: list[tuple[Any, ...]] = []
        count = 0
        for places in pieces(among.size):
            asked = among[places]
            inside = np.flatnonzero(asked & values(places) if are_bool else asked)
            weights = None if are_bool else values(places).take(inside).astype(np.float64, copy=False)
            numbers = None if counted is None or are_bool else counted[places].take(inside)
            found.append((self.client[places].take(inside), self.base[places].take(inside), weights, numbers))
            count += inside.size
            if count > AT_ONCE or places.stop == among.size:
                yield tuple(
                    None if one[0] is None else np.concatenate(one) for one in zip(*found, strict=True)
                )
                found, count = [], 0

    def _joined(
        self, squares: Floats, crossed: Floats, values: Values, among: Mask, counted: Mask | None
    ) -> tuple[Floats, Floats]:
        """Sums by group as if each request had a cell of its own, made those over the cells."""
        of_cells = self._squares_of_cells(values, among, counted)
        apart = self._squares_apart(values, among, counted)
        return tuple(  # type: ignore[return-value]
            whole + joined - single
            for whole, joined, single in zip((squares, crossed), of_cells, apart, strict=True)
        )

    def _squares_of_cells(self, values: Values, among: Mask, counted: Mask | None) -> tuple[Floats, Floats]:
        """Of the cells of `again`, by group: the squares of the sums, and their products with the counts."""
        sums, counts = self._of_cells(values, among, counted)
        both = [np.bincount(self._group_of_cell, each, self.groups) for each in (sums**2, sums * counts)]
        return both[0].astype(np.float64, copy=False), both[1].astype(np.float64, copy=False)

    def _squares_apart(self, values: Values, among: Mask, counted: Mask | None) -> tuple[Floats, Floats]:
        """The same two sums of the requests `again`, as if each had a cell of its own; by group."""
        squares, crossed = np.zeros((2, self.groups))
        assert self.again is not None
        for places in pieces(self.again.size):
            rows, group = self.again[places], self._group_of_cell[self.cell[places]]
            some = np.where(among[rows], values(rows), 0.0)
            squares += np.bincount(group, some**2, self.groups)
            crossed += np.bincount(group, some if counted is None else some * counted[rows], self.groups)
        return squares, crossed

    def _of_cells(
        self, values: Values | None, among: Mask, counted: Mask | None = None
    ) -> tuple[Floats, Floats]:
        """The sum of the values of each cell of `again`, and how many of its requests are numbered."""
        sums, counts = np.zeros((2, self._client_of_cell.size))
        for places in pieces(self.cell.size):
            rows, cell = places if self.again is None else self.again[places], self.cell[places]
            asked = among[rows]
            counts += np.bincount(cell, asked if counted is None else asked & counted[rows], sums.size)
            if values is not None:
                sums += np.bincount(cell, np.where(asked, values(rows), 0.0), sums.size)
        return sums, counts

    def _met(self, among: Mask) -> Met:
        """What is known of the requests in a mask (n,): found once for the last few masks."""
        key = np.packbits(among).tobytes()
        known = self._last.pop(key, None)
        if known is None:
            numbers = self._summed(among.__getitem__, True, among)
            by_sample = numbers.by_base.sum(axis=1)
            held = Held(numbers.by_client, by_sample, self.group, self._one_stratum)
            known = Met(held, numbers.by_base, numbers.squares)
        self._last[key] = known
        for oldest in list(self._last)[:-MOST_KEPT]:  # at once: two threads may ask
            self._last.pop(oldest, None)
        return known

    @cached_property
    def _last(self) -> dict[bytes, Met]:
        return {}

    @cached_property
    def _client_of_cell(self) -> Codes:
        """Of the cells of `again`."""
        client = np.zeros(int(self.cell.max(initial=-1)) + 1, dtype=np.int32)
        client[self.cell] = self.client if self.again is None else self.client[self.again]
        return client

    @cached_property
    def _group_of_cell(self) -> NDArray[np.int64]:
        return self.group[self._client_of_cell]

    @cached_property
    def _one_stratum(self) -> NDArray[np.int64]:
        """(bases,)."""
        return np.zeros(self.bases, dtype=np.int64)


def _total(values: NDArray[Any]) -> float:
    """The sum of values (n,), piece by piece."""
    return float(sum(values[places].sum(dtype=np.float64) for places in pieces(values.size)))


def estimated(client: NDArray[Any], base: NDArray[Any], group: NDArray[Any]) -> Clusters | Scattered:
    """Requests by their clients, base samples and the codes of their clients' groups, all (n,): cell by cell,
    or, of more than are summed up at once, by client and by sample."""
    if client.size <= AT_ONCE:
        return clusters(client, base, group)
    (clients, client), (bases, base) = numbered(client), numbered(base)
    groups = int(group.max()) + 1
    group_of = np.zeros(clients.size, dtype=np.int64)
    group_of[client] = group
    below = clients.size * bases.size
    kind: Any = np.int32 if below < 2**31 else np.int64
    key = client.astype(kind)
    key *= kind(bases.size)
    key += base.astype(kind, copy=False)
    again, cell = _shared(key, below)
    del key
    mixed = narrow(base * groups + group, bases.size * groups)
    return Scattered(narrow(client, 2**31 - 1), mixed, group_of, bases.size, groups, again, cell)


def _shared(key: NDArray[Any], below: int) -> tuple[Codes | None, Codes]:
    """The places of the keys (n,), all in [0, below), that are there several times, ascending, (k,), None of
    all if there are few keys; and which of these keys each is, (k,)."""
    order = order_of(key, below)
    kept = key[order]
    is_same = kept[1:] == kept[:-1]
    first, several = np.append(True, ~is_same), np.append(is_same, False)
    if np.count_nonzero(first) * MANY_OF_EACH <= key.size:
        cell = room(key.size, np.int32)
        cell[order] = np.cumsum(first, dtype=np.int32) - 1
        return None, cell
    several[1:] |= is_same
    places = order[several]
    cell = np.cumsum(first[several], dtype=np.int32) - 1
    by_place = np.argsort(places)
    return narrow(places[by_place], 2**31 - 1), narrow(cell[by_place], 2**31 - 1)
