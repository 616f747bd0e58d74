"""Arrivals that a function gives for each client and minute: processes that somebody brings.
Nothing is kept between draws; what a process remembers, it has to find anew from the instants it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import RunFailed
from sim.scenario.schema.values import CHUNK_S
from sim.streams import Streams
from sim.world.arrivals.processes import Columns, Drawn, Instants, sort

if TYPE_CHECKING:
    from sim.registry.shapes import Shape

OfMinute = Callable[[np.random.Generator, int, float, float], Instants]


class ByMinute:
    """A group of clients, each with draws of its own for every minute of virtual time."""

    def __init__(self, seed: int, instants: OfMinute, shape: Shape, first: int, clients: int) -> None:
        self._streams = Streams(seed, "own arrivals")
        self._instants, self._shape, self._inverse = instants, shape, shape.inverse()
        self._first, self._clients = first, clients

    def draw(self, start_s: float, end_s: float) -> Drawn:
        first, end = int(start_s // CHUNK_S), max(int(start_s // CHUNK_S) + 1, int(np.ceil(end_s / CHUNK_S)))
        at, who = [np.empty(0)], [np.empty(0, dtype=np.int32)]
        for minute in range(first, end):
            for member in range(self._clients):
                found = self._of(member, minute)
                at.append(found)
                who.append(np.full(len(found), self._first + member, dtype=np.int32))
        instants, client = np.concatenate(at), np.concatenate(who)
        kept = (instants >= start_s) & (instants < end_s)
        return sort(instants[kept], client[kept])

    def _of(self, member: int, minute: int) -> Instants:
        """Those of one client in one minute, in virtual time."""
        begin_s, until_s = minute * CHUNK_S, (minute + 1) * CHUNK_S
        low, high = self._shape.operational_s(begin_s), self._shape.operational_s(until_s)
        draw = self._streams.of(self._first + member, minute)
        found = np.asarray(self._instants(draw, member, low, high), dtype=np.float64)
        if found.ndim != 1 or not np.all((found >= low) & (found < high)) or np.any(np.diff(found) < 0):
            raise RunFailed(
                "run",
                f"the arrivals of client {member} in [{low:g}, {high:g}) s must be instants in it, "
                "ascending, of shape (n,)",
            )
        return np.clip(self._inverse(found), begin_s, np.nextafter(until_s, 0.0))

    def state(self) -> Columns:
        return {}

    def restore(self, state: Columns) -> None:
        """Nothing is kept."""
