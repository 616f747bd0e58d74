"""The same shares of many latencies as their curve tells, without putting all of them in order.
Beside `analysis.statistics.percentiles`: of a few levels only the values near them are looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.pieces import pieces

Floats = NDArray[np.float64]
MOST_OPEN = 10_000  # requests; of more the whole curve is found
SLACK = 1e-9  # of a share that counts as reached


class Ranked:
    """What share of requests was answered within which time, as `Curve` tells it.

    taken_s: (n,), n > 0, at least 0, inf without an answer, NaN where still open; open_s: how long those have
    taken so far, (k,). Values that begin with the same bits lie in one drawer, in the order of the drawers.
    """

    def __init__(self, taken_s: NDArray[Any], open_s: Floats) -> None:
        self._taken = taken_s
        bits = taken_s.view(f"u{taken_s.itemsize}")
        shift = 8 * taken_s.itemsize - 16
        self._drawer, counts = np.empty(taken_s.size, dtype=np.uint16), np.zeros(2**16, dtype=np.int64)
        for places in pieces(taken_s.size):
            self._drawer[places] = bits[places] >> shift
            counts += np.bincount(self._drawer[places], minlength=2**16)
        self._end = int(np.array(np.inf, taken_s.dtype).view(bits.dtype)) >> shift
        self._upto = np.cumsum(counts[: self._end])
        self._open = np.sort(open_s)
        self._sorted: dict[int, NDArray[Any]] = {}

        self.has_negatives = bool(counts[2**15 : 2**15 + self._end].any())

    def at(self, level: float) -> float:
        """The shortest time within which a share `level` was answered; NaN where open ones do not let it be
        told, inf where it is never reached."""
        wanted, survived, n = level - SLACK, 1.0, self._taken.size
        answered = [*self._answered_by_open.tolist(), int(self._upto[-1])]
        before = 0
        for censored, until in enumerate(answered):
            at_risk = n - before - censored
            if until > before:
                rank = _least(wanted, survived, at_risk)
                if rank <= until - before:
                    return self._value(before + rank)
                survived *= (at_risk - (until - before)) / at_risk
            before = until
        return math.nan if self._open.size else math.inf

    @cached_property
    def _answered_by_open(self) -> NDArray[np.int64]:
        """How many had their answer by the time at which each of the open ones was left, (k,)."""
        if not self._open.size:
            return np.zeros(0, dtype=np.int64)
        kind = self._taken.dtype
        bits = self._open.astype(kind).view(f"u{kind.itemsize}")
        near = np.zeros(2**16, dtype=bool)
        drawer = np.minimum(bits >> (8 * kind.itemsize - 16), self._end - 1).astype(np.int64)
        # What is rounded may lie a drawer beside its own.
        for beside in (-1, 0, 1):
            near[np.clip(drawer + beside, 0, self._end - 1)] = True
        held = np.diff(self._upto, prepend=0)
        looked_at = self._in(near.__getitem__)
        lower = np.concatenate([[0], np.cumsum(np.where(near[: self._end], 0, held))])
        # Of drawers that nobody looks into, all below; of the others one by one.
        found: NDArray[np.int64] = lower[drawer]
        return found + np.searchsorted(looked_at.astype(np.float64), self._open, side="right")

    def _in(self, is_asked: Callable[[NDArray[np.uint16]], NDArray[np.bool_]]) -> NDArray[Any]:
        """The values in some drawers, in order."""
        found = [self._taken[places][is_asked(self._drawer[places])] for places in pieces(self._taken.size)]
        return np.sort(np.concatenate(found))

    def _value(self, rank: int) -> float:
        """The value of that rank, from 1, among those that were answered."""
        drawer = int(np.searchsorted(self._upto, rank))
        if drawer not in self._sorted:
            self._sorted[drawer] = self._in(lambda drawers: drawers == drawer)
        below = int(self._upto[drawer - 1]) if drawer else 0
        return float(self._sorted[drawer][rank - below - 1])


def _least(wanted: float, survived: float, at_risk: int) -> int:
    """How many of those at risk must be answered, one at least, for a share `wanted` of all to be."""

    def reached(count: int) -> float:
        return count / at_risk if survived == 1.0 else 1 - survived * ((at_risk - count) / at_risk)

    count = max(1, math.ceil(at_risk * (1 - (1 - wanted) / survived)))
    while count > 1 and reached(count - 1) >= wanted:
        count -= 1
    while count <= at_risk and reached(count) < wanted:
        count += 1
    return count
