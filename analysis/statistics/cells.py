"""Requests in cells of one client and one base sample, in an order in which those of a cell stand together.
Below `analysis.statistics.clusters`, which sums them up block by block, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.pieces import AT_ONCE

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


class Block(NamedTuple):
    """Cells [first, end), and where their requests stand in the order of the cells."""

    first: int
    end: int
    first_row: int
    end_row: int

    def total(self, asked: NDArray[Any] | slice, values: Floats) -> float:
        """The sum of the values (c,) of the cells `asked`, (c,) or all; the same to the last bit as if all
        others were there with 0."""
        if isinstance(asked, slice) or asked.size == self.end - self.first:
            return float(values.sum())
        every = np.zeros(self.end - self.first)
        every[asked - self.first] = values
        return float(every.sum())


class Picked(NamedTuple):
    """Some requests of a block, cell by cell.

    rows: their places (k,); code: which of the cells `asked` each is of, (k,); asked: the places of these
    cells, (c,), or all of the block's.
    """

    block: Block
    rows: NDArray[Any]
    code: NDArray[np.int64]
    asked: NDArray[Any] | slice
    cells: int

    def sums(self, values: NDArray[Any]) -> Floats:
        """The sum of each cell's picked requests' values, of all requests' (n,); (c,)."""
        return np.bincount(self.code, values[self.rows], self.cells)

    def counts(self) -> NDArray[Any]:
        """How many picked requests each cell has, in as few bytes as hold it, (c,)."""
        found = np.bincount(self.code, minlength=self.cells)
        return found.astype(np.min_scalar_type(found.max(initial=0)))


@dataclass(frozen=True)
class Cells:
    """Requests in cells of one client and one base sample.

    cell: each request's cell, (n,), in the order of the cells; client, base, group: the codes of each cell's
    client, base sample and the client's group, (cells,), below `clients`, `bases` and `groups`; order: the
    requests' places cell by cell, (n,); begins: which of these are the first of their cell, (n,).
    """

    cell: Codes
    client: Codes
    base: Codes
    group: Codes
    clients: int
    bases: int
    groups: int
    order: Codes
    begins: Mask

    def only(self, rows: NDArray[np.int64]) -> Self:
        """The cells of some of the requests alone, by their places (k,): no more than these are many."""
        cell = self.cell[rows]
        asked, code, order, begins = _cells_of(cell, self.client.size)
        kept = [np.unique(each[asked], return_inverse=True) for each in (self.client, self.base, self.group)]
        client, base, group = (codes.astype(np.int32, copy=False) for _, codes in kept)
        clients, bases, groups = (names.size for names, _ in kept)
        return type(self)(code, client, base, group, clients, bases, groups, order, begins)

    @cached_property
    def blocks(self) -> list[Block]:
        """At most AT_ONCE cells each, in order."""
        cells = self.client.size
        edges = np.append(np.arange(0, max(cells, 1), AT_ONCE), cells)
        if len(edges) == 2:
            return [Block(0, cells, 0, self.order.size)]
        firsts = np.append(np.flatnonzero(self.begins), self.order.size)[edges]
        pairs = zip(edges, edges[1:], firsts, firsts[1:], strict=False)
        return [Block(*(int(edge) for edge in pair)) for pair in pairs]

    def picked(self, among: Mask) -> Iterator[Picked]:
        """The requests in a mask (n,), block by block."""
        for block in self.blocks:
            places = slice(block.first_row, block.end_row)
            order, cell = self.order[places], np.cumsum(self.begins[places]) - 1
            inside = np.flatnonzero(among[order])
            if inside.size == order.size:
                yield Picked(block, order, cell, slice(block.first, block.end), block.end - block.first)
                continue
            cell = cell[inside]
            is_new = np.append(True, cell[1:] != cell[:-1])[: cell.size]
            asked = (cell[is_new] + block.first).astype(np.int32)
            yield Picked(block, order[inside], np.cumsum(is_new) - 1, asked, asked.size)


def coded(
    client: NDArray[Any],
    base: NDArray[Any],
    group: NDArray[Any] | None,
    clients: NDArray[Any] | None,
    bases: NDArray[Any] | None,
) -> dict[str, Any]:
    """What `Cells` are made of; arguments as of `analysis.statistics.clusters.clusters`."""
    client_names = np.unique(client if clients is None else clients)
    base_names = np.unique(base if bases is None else bases)
    many = max(1, base_names.size)
    # Cells, not requests, are summed up: the cost stops growing once every cell has been asked.
    kind: Any = np.int32 if client_names.size * many < 2**31 else np.int64
    key: NDArray[Any] = np.searchsorted(client_names, client).astype(kind)
    key *= kind(many)
    key += np.searchsorted(base_names, base).astype(kind)
    cells, cell, order, begins = _cells_of(key, client_names.size * many)
    client_of, base_of = np.divmod(cells, many)
    groups = np.zeros(cells.size, dtype=np.int32) if group is None else group[order[begins]].astype(np.int32)
    return {
        "cell": cell,
        "client": client_of.astype(np.int32, copy=False),
        "base": base_of.astype(np.int32, copy=False),
        "group": groups,
        "clients": client_names.size,
        "bases": base_names.size,
        "groups": int(groups.max(initial=0)) + 1,
        "order": order,
        "begins": begins,
    }


def _cells_of(key: NDArray[Any], below: int) -> tuple[NDArray[Any], Codes, Codes, Mask]:
    """The distinct values of `key` (n,), ascending; which each of (n,) is; the order of the keys, equal ones
    as they stand; and which of these are the first of their value."""
    order = _order(key, below)
    kept = key[order]
    begins = np.append(True, kept[1:] != kept[:-1])[: kept.size]
    values = kept[begins]
    del kept
    code = np.empty(key.size, dtype=np.int32)
    code[order] = np.cumsum(begins, dtype=np.int32) - 1
    return values, code, order, begins


def _order(key: NDArray[Any], below: int) -> Codes:
    """The places of the keys (n,), all in [0, below), in ascending order, equal ones as they stand: 16 bits
    after the other, each in linear time."""
    order: Codes | None = None
    for shift in range(0, max(1, int(below - 1).bit_length()), 16):
        digit = ((key if order is None else key[order]) >> shift).astype(np.uint16)
        places = np.argsort(digit, kind="stable").astype(np.int32)
        order = places if order is None else order[places]
    assert order is not None
    return order
