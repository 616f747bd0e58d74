"""Requests in cells of one client and one base sample, in an order in which those of a cell stand together.
Below `analysis.statistics.clusters`, which sums them up; of very many see `scattered`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.estimates import Floats, Mask
from analysis.statistics.room import laid_down, let_go, room, taken

Codes = NDArray[np.int32]


class Picked(NamedTuple):
    """Some requests, cell by cell.

    rows: their places (k,); code: which of the cells `asked` each is of, (k,); asked: the places of these
    cells, (c,), or all; counts: how many of the requests each has, (c,); cells: how many there are in all.
    """

    rows: NDArray[Any]
    code: NDArray[np.int64]
    asked: NDArray[Any] | slice
    counts: NDArray[Any]
    cells: int

    def sums(self, values: NDArray[Any]) -> Floats:
        """The sum of each cell's picked requests' values, of all requests' (n,); (c,)."""
        return np.bincount(self.code, values[self.rows], self.counts.size).astype(np.float64, copy=False)


@dataclass(frozen=True)
class Cells:
    """Requests in cells of one client and one base sample.

    cell: each request's cell, (n,), in the order of the cells; client, base, group: the codes of each cell's
    client, base sample and the client's group, (cells,), below `clients`, `bases` and `groups`; order: the
    requests' places cell by cell, (n,); begins: which of these are the first of their cell, (n,).
    """

    cell: Codes
    client: NDArray[Any]
    base: NDArray[Any]
    group: NDArray[Any]
    clients: int
    bases: int
    groups: int
    order: Codes
    begins: Mask

    def only(self, rows: NDArray[np.integer]) -> Self:
        """The cells of some of the requests alone, by their places (k,): no more than these are many."""
        asked, code, order, begins = _cells_of(self.cell[rows], self.client.size)
        kept = [numbered(each[asked]) for each in (self.client, self.base, self.group)]
        client, base, group = (narrow(codes, names.size) for names, codes in kept)
        clients, bases, groups = (names.size for names, _ in kept)
        return type(self)(code, client, base, group, clients, bases, groups, order, begins)

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that grows by requests."""
        return self.cell, self.client, self.base, self.group, self.order

    def picked(self, among: Mask) -> Picked:
        """The requests in a mask (n,)."""
        cells, cell = self.client.size, np.cumsum(self.begins) - 1
        inside = np.flatnonzero(among[self.order])
        if inside.size == self.order.size:
            return Picked(self.order, cell, slice(None), _counts(cell, cells), cells)
        cell = cell[inside]
        is_new = np.append(True, cell[1:] != cell[:-1])[: cell.size]
        asked, code = cell[is_new].astype(np.int32), np.cumsum(is_new) - 1
        return Picked(self.order[inside], code, asked, _counts(code, asked.size), cells)


def _counts(code: NDArray[np.int64], cells: int) -> NDArray[Any]:
    """How often each of so many cells stands there, in as few bytes as hold it."""
    found = np.bincount(code, minlength=cells)
    return found.astype(np.min_scalar_type(found.max(initial=0)))


def coded(
    client: NDArray[Any],
    base: NDArray[Any],
    group: NDArray[Any] | None,
    clients: NDArray[Any] | None,
    bases: NDArray[Any] | None,
) -> dict[str, Any]:
    """What `Cells` are made of; arguments as of `analysis.statistics.clusters.clusters`."""
    client_count, client_code = _among(client, clients)
    base_count, base_code = _among(base, bases)
    many = max(1, base_count)
    # Cells, not requests, are summed up: the cost stops growing once every cell has been asked.
    kind: Any = np.int32 if client_count * many < 2**31 else np.int64
    key: NDArray[Any] = client_code.astype(kind, copy=False)
    key *= kind(many)
    key += base_code.astype(kind, copy=False)
    del client_code, base_code
    cells, cell, order, begins = _cells_of(key, client_count * many)
    del key
    client_of = cells // many
    groups = np.zeros(cells.size, dtype=np.int32) if group is None else group[order[begins]]
    group_count = int(groups.max(initial=0)) + 1
    return {
        "cell": cell,
        "client": narrow(client_of, client_count),
        "base": narrow(cells - client_of * kind(many), base_count),
        "group": narrow(groups, group_count),
        "clients": client_count,
        "bases": base_count,
        "groups": group_count,
        "order": order,
        "begins": begins,
    }


def numbered(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The distinct values, ascending, and which of them each of (n,) is. Without a sort where they are whole
    numbers that lie close."""
    if not values.size or values.dtype.kind not in "iu" or values.min() < 0:
        return np.unique(values, return_inverse=True)
    end = int(values.max()) + 1
    if end > 4 * values.size + 2**16:
        return np.unique(values, return_inverse=True)
    is_there = np.zeros(end, dtype=bool)
    is_there[values] = True
    return np.flatnonzero(is_there), (np.cumsum(is_there, dtype=np.int32) - 1)[values]


def _among(values: NDArray[Any], names: NDArray[Any] | None) -> tuple[int, NDArray[Any]]:
    """How many names there are, those of the values unless told, and which each of (n,) has."""
    if names is None:
        found, code = numbered(values)
        return found.size, code
    known, _ = numbered(names)  # np.unique is slow with many distinct numbers, unless it has to sort
    return known.size, np.searchsorted(known, values)


def narrow(codes: NDArray[Any], count: int) -> NDArray[Any]:
    """Codes below a count in as few bytes as hold them."""
    kind = next(kind for kind in (np.int8, np.int16, np.int32) if count <= np.iinfo(kind).max)
    return laid_down(lambda piece: codes[piece].astype(kind), codes.size, kind)


def _cells_of(key: NDArray[Any], below: int) -> tuple[NDArray[Any], Codes, Codes, Mask]:
    """The distinct values of `key` (n,), ascending; which each of (n,) is; the order of the keys, equal ones
    as they stand; and which of these are the first of their value."""
    order = order_of(key, below)
    kept = key[order]
    begins = np.append(True, kept[1:] != kept[:-1])[: kept.size]
    values = kept[begins]
    del kept
    code = room(key.size, np.int32)
    code[order] = np.cumsum(begins, dtype=np.int32) - 1
    let_go([code, order])
    return values, code, order, begins


def order_of(key: NDArray[Any], below: int) -> Codes:
    """The places of the keys (n,), all in [0, below), in ascending order, equal ones as they stand: 16 bits
    after the other, each in linear time."""
    order: Codes | None = None
    for shift in range(0, max(1, int(below - 1).bit_length()), 16):
        digit = ((key if order is None else key[order]) >> shift).astype(np.uint16)
        places = np.argsort(digit, kind="stable")
        order = narrow(places, np.iinfo(np.int32).max) if order is None else taken(order, places)
    assert order is not None
    return order
