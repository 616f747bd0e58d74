"""Binary heaps, as arrays, and how columns and heaps become longer: of events, queues, shared links.
Moved by `sim.engine.handlers.primitives`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.parameters import Floats, Ints


class Heap(NamedTuple):
    """Binary heaps by (at, key), a row each; what: an event as code | subject << 4, or a send."""

    at: Floats
    key: Ints
    what: Ints


def heap_of(rows: int, n: int) -> Heap:
    """Heaps with room for n each."""
    return Heap(np.empty((rows, n)), *(np.empty((rows, n), dtype=np.int64) for _ in range(2)))


def longer(column: NDArray[Any], n: int, more: int) -> NDArray[Any]:
    """The first n and room for more behind them."""
    found = np.empty((n + more, *column.shape[1:]), dtype=column.dtype)
    found[:n] = column[:n]
    return found


def wider(rows: NDArray[Any], n: int) -> NDArray[Any]:
    """Rows of n, what is new of them unknown."""
    found = np.full((len(rows), n), np.nan if rows.dtype.kind == "f" else 0, dtype=rows.dtype)
    found[:, : rows.shape[1]] = rows
    return found
