"""When one thing does not work: periods of time, asked by pure functions.
Drawn or written by `sim.world.outages.times`, composed by `sim.world.outages.capacity` and
`sim.world.outages.links`."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from math import inf

import numpy as np
from numpy.typing import NDArray


class Downtime:
    """Half-open periods [from, until), in order and apart; whatever overlaps or touches is one period.

    The laws: `is_up_through(t, t) == is_up(t)`, `next_up(t) == t` iff `is_up(t)`, and between `t` and
    `next_change(t)` nothing changes.
    """

    __slots__ = ("from_s", "until_s")

    def __init__(self, periods: Iterable[tuple[float, float]] = ()) -> None:
        self.from_s, self.until_s = array("d"), array("d")
        for begin, end in sorted(periods):
            if begin >= end:
                continue  # a draw too short for the clock
            if self.until_s and begin <= self.until_s[-1]:
                self.until_s[-1] = max(self.until_s[-1], end)
            else:
                self.from_s.append(begin)
                self.until_s.append(end)

    def is_up(self, t: float) -> bool:
        """Whether it works at the instant t; the end of a period counts as up."""
        return self.is_up_through(t, t)

    def is_up_through(self, t0: float, t1: float) -> bool:
        """Whether it works at every instant of the closed span [t0, t1]."""
        after = bisect_right(self.until_s, t0)
        return after == len(self.from_s) or self.from_s[after] > t1

    def next_up(self, t: float) -> float:
        """The first instant from t on at which it works."""
        after = bisect_right(self.until_s, t)
        return t if after == len(self.from_s) or self.from_s[after] > t else self.until_s[after]

    def next_change(self, t: float) -> float:
        """The first instant after t at which it goes or comes; inf = never."""
        edges = (self.from_s, self.until_s)
        found = [(edge, bisect_right(edge, t)) for edge in edges]
        return min((edge[at] for edge, at in found if at < len(edge)), default=inf)

    def down_at(self, t: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of these instants lie in a period, shape of t."""
        begun = np.searchsorted(np.asarray(self.from_s), t, side="right")
        over = np.searchsorted(np.asarray(self.until_s), t, side="right")
        down: NDArray[np.bool_] = begun > over
        return down

    def down_s(self, end: float) -> float:
        """Seconds of [0, end) in which it does not work."""
        return float(sum(min(b, end) - min(a, end) for a, b in self))

    def __iter__(self):  # type: ignore[no-untyped-def]
        return zip(self.from_s, self.until_s, strict=True)

    def __len__(self) -> int:
        return len(self.from_s)


def either(*downtimes: Downtime) -> Downtime:
    """What is down whenever one of these is."""
    return downtimes[0] if len(downtimes) == 1 else Downtime(period for one in downtimes for period in one)
