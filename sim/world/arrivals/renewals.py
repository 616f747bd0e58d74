"""Sequences of instants with keyed gaps between them, extended for many entities at once.
The engine below Gamma arrivals, the states of an MMPP and the arrivals within a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

Instants = NDArray[np.float64]
Numbers = NDArray[np.int64]
Gap = Callable[[Numbers, Numbers], Instants]

MOST_AT_ONCE = 2**19  # draws in one array


@dataclass(frozen=True)
class Renewed:
    """Instants before the limit, by entity and then by number; and of each entity the first one beyond.

    entity, number int64 (m,), at float64 (m,); next_at float64 (n,), next_number int64 (n,).
    """

    entity: Numbers
    number: Numbers
    at: Instants
    next_at: Instants
    next_number: Numbers


def renew(at: Instants, number: Numbers, until: Instants, gap: Gap, mean_gap: float, cv: float) -> Renewed:
    """Extends each entity's sequence, which stands at instant `number`, `at`, until one is not below `until`.

    gap(entity, number): seconds between instant number − 1 and instant `number`, arrays that broadcast.
    mean_gap and cv only say how many to draw at once. Instants are summed one by one, so a sequence is the
    same to the last bit however often it is extended.
    """
    at, number = at.copy(), number.copy()
    pieces: list[tuple[Numbers, Numbers, Instants]] = []
    open_ = np.flatnonzero(at < until)
    while len(open_):
        ahead = float(np.mean(until[open_] - at[open_])) / mean_gap
        most = ceil(min(ahead + cv * sqrt(ahead) / 2, MOST_AT_ONCE)) + 1
        for part in np.array_split(open_, ceil(len(open_) * most / MOST_AT_ONCE)):
            pieces.append(_extend(part, most, at, number, until, gap))
        open_ = open_[at[open_] < until[open_]]
    if not pieces:
        return Renewed(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0), at, number)
    entity, numbers, instants = (np.concatenate(column) for column in zip(*pieces, strict=True))
    if len(pieces) > 1:
        order = np.argsort(entity, kind="stable")
        entity, numbers, instants = entity[order], numbers[order], instants[order]
    return Renewed(entity, numbers, instants, at, number)


def _extend(
    part: Numbers, most: int, at: Instants, number: Numbers, until: Instants, gap: Gap
) -> tuple[Numbers, Numbers, Instants]:
    """The next instants of some entities, up to `most` of each; moves `at` and `number` past them."""
    numbers = number[part, None] + np.arange(most + 1)
    gaps = gap(part[:, None], numbers[:, 1:])
    instants = np.cumsum(np.concatenate([at[part, None], gaps], axis=1), axis=1)
    inside = instants[:, :-1] < until[part, None]
    counts = inside.sum(axis=1)
    at[part] = instants[np.arange(len(part)), counts]
    number[part] += counts
    return np.repeat(part, counts), numbers[:, :-1][inside], instants[:, :-1][inside]


def first_left(entity: Numbers, taken: NDArray[np.bool_], entities: int) -> tuple[NDArray[np.bool_], Numbers]:
    """Of each entity the first row that was not taken, where the rows are by entity and taken from the front.

    Gives whether there is one, bool (entities,), and the rows of those, int64.
    """
    rows = np.bincount(entity, minlength=entities)
    begins = np.cumsum(rows) - rows
    front = np.bincount(entity[taken], minlength=entities)
    is_left = front < rows
    return is_left, (begins + front)[is_left]


def never_back(at: Instants, entity: Numbers, latest: Instants) -> Instants:
    """Instants, by entity, none before the one in front of it nor before the entity's latest so far.

    Rounding in a shape's inverse may swap two that are a hair apart; what comes first must stay first.
    """
    if not len(at):
        return at
    heads = np.concatenate([[True], entity[1:] != entity[:-1]])
    at = np.where(heads, np.maximum(at, latest[entity]), at)
    while True:
        back = np.flatnonzero(~heads[1:] & (at[1:] < at[:-1])) + 1
        if not len(back):
            return at
        at[back] = at[back - 1]
