"""Virtual time: SimPy's Environment, whose heap is ordered by content, beside a sorted agenda.
The only place that touches SimPy's internals; `sim.engine.loop` supplies what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from heapq import heappop
from itertools import chain
from typing import Any

import simpy

from sim.errors import RunFailed


class Kind(IntEnum):
    """Simultaneous events happen in this order, and within a kind by (request, attempt)."""

    CAPACITY_UP = 0
    CAPACITY_DOWN = 1
    MODEL = 2
    COMPLETE = 3
    REACH = 4
    DUE = 5
    REPLY = 6
    TIMER = 7
    DECISION = 8
    ARRIVAL = 9


Handler = Callable[[float, int], None]
AgendaItem = tuple[float, int, int, int, int]  # instant, kind, rank, number of a handler, its subject


class Moment(simpy.Event):
    """An event of the loop in SimPy's heap: what it is about, and the callbacks that SimPy would run.

    It is scheduled when it is made and never triggered by hand, so the parent's state is not needed.
    """

    def __init__(self, callbacks: list[Any], subject: int) -> None:
        self.callbacks = callbacks
        self.subject = subject


class Clock(simpy.Environment):
    """Walks an agenda (events known beforehand, sorted) and SimPy's heap as one sequence of events.

    Keys are (instant, kind, rank), computed from content and never from the order of scheduling, so
    writing the heap out and reading it in changes nothing. Instants are absolute.
    """

    @property
    def heap(self) -> list[Any]:
        """SimPy's own heap; an event is pushed as (instant, kind, rank, moment), its key unique."""
        return self._queue

    def walk(self, agenda: Iterable[AgendaItem], handlers: Sequence[Handler], end: float) -> None:
        """Runs everything before `end`; afterwards now == end.

        agenda: sorted. Raises RunFailed if an event was put into the heap for a time that has passed.
        """
        heap = self.heap
        for at, kind, rank, do, subject in chain(agenda, [(end, -1, 0, -1, 0)]):
            while heap:
                first = heap[0]
                if first[0] >= at and (first[0] > at or (first[1], first[2]) > (kind, rank)):
                    break
                now, _, _, moment = heappop(heap)
                if now < self._now:
                    raise RunFailed("run", f"the clock ran backwards, from {self._now} s to {now} s")
                self._now = now
                for callback in moment.callbacks:
                    callback(moment)
            self._now = at
            if do >= 0:
                handlers[do](at, subject)
