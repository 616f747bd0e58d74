"""What a clock may do in its own way: put an event, draw a number, widen an integer; and binary heaps.
Written here as the compiled clock has them; SimPy's clock has its own of the first three."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.engine.events import CODE_BITS
from sim.engine.linking import handler
from sim.streams import mix_word, mix_words, to_unit


@handler
def put(heap: Any, r: Any, at: Any, key: Any, code: Any, subject: Any) -> Any:
    """An event is to happen. key: its kind and rank."""
    r.events = push(heap, 0, r.events, at, key, code | subject << CODE_BITS)


@handler
def uniform(root: Any, request_id: Any, attempt: Any) -> Any:
    """`Draws.one` of the first trial."""
    trial = np.uint64(attempt) << np.uint64(16)  # the column has 8 bits, which plain Python would keep to
    return _to_unit(_mix_words(root, np.uint64(request_id), trial, _mix_word))


@handler
def whole_number(value: Any) -> Any:
    """A number or flag as an integer of 64 bits."""
    return np.int64(value)


@handler
def real_number(value: Any) -> Any:
    """A number as a float of 64 bits."""
    return np.float64(value)


@handler
def push(heap: Any, row: Any, n: Any, at: Any, key: Any, what: Any) -> Any:
    """Adds to a row's heap of n; gives how many there are now."""
    place = n
    while place > 0:
        above = (place - 1) >> 1
        if heap.at[row, above] < at or (heap.at[row, above] == at and heap.key[row, above] < key):
            break
        move(heap, row, above, place)
        place = above
    heap.at[row, place], heap.key[row, place], heap.what[row, place] = at, key, what
    return n + 1


@handler
def drop_first(heap: Any, row: Any, n: Any) -> Any:
    """Takes the first out of a row's heap of n; gives how many are left."""
    n -= 1
    at, key, what = heap.at[row, n], heap.key[row, n], heap.what[row, n]
    place, below = 0, 1
    while below < n:
        if below + 1 < n and (
            heap.at[row, below + 1] < heap.at[row, below]
            or (
                heap.at[row, below + 1] == heap.at[row, below]
                and heap.key[row, below + 1] < heap.key[row, below]
            )
        ):
            below += 1
        if at < heap.at[row, below] or (at == heap.at[row, below] and key < heap.key[row, below]):
            break
        move(heap, row, below, place)
        place, below = below, 2 * below + 1
    heap.at[row, place], heap.key[row, place], heap.what[row, place] = at, key, what
    return n


@handler
def move(heap: Any, row: Any, one: Any, to: Any) -> Any:
    heap.at[row, to], heap.key[row, to], heap.what[row, to] = (
        heap.at[row, one],
        heap.key[row, one],
        heap.what[row, one],
    )


_mix_word, _mix_words, _to_unit = handler(mix_word), handler(mix_words), handler(to_unit)
