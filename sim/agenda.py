"""What is known to lie ahead when a chunk begins, in the order in which it would happen.
Follows from the state's columns, so nothing of it is kept; `sim.loop` walks along it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.clock import AgendaItem, Kind
from sim.loop import CAPACITY, ERROR, GAIN, REACH, REFUSALS, RETRY, TIMER, rank
from sim.outages import Capacity
from sim.rules import Rules
from sim.state import State


@dataclass
class _Agenda:
    """Collects events of [start, end) as columns; NaN is an instant that does not come."""

    start: float
    end: float
    parts: list[list[NDArray[Any]]] = field(default_factory=list)

    def add(self, at: NDArray[np.float64], kind: Any, place: Any, do: int, subject: NDArray[Any]) -> None:
        within = (self.start <= at) & (at < self.end)
        columns = np.broadcast_arrays(at, kind, place, do, subject)
        self.parts.append([column[within] for column in columns])

    def in_order(self) -> Iterator[AgendaItem]:
        at, kind, place, do, subject = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        order = np.argsort(at)
        if np.any(np.diff(at[order]) == 0):  # ties are rare, and three keys take three sorts
            order = np.lexsort((place, kind, at))
        return zip(*(column[order].tolist() for column in (at, kind, place, do, subject)), strict=True)


def agenda(
    rules: Rules, state: State, first: NDArray[np.int64], start: float, end: float
) -> Iterator[AgendaItem]:
    """The events of [start, end) known at `start`, given the first sends decided in between, in order.

    first: indices of those sends. Each event is on the agenda even if something may come in between, such
    as an answer before a timer. Only the ends of batches and their due times are missing: the loop makes
    them from the replicas and the queue.
    """
    found = _Agenda(start, end)
    _add_capacity(found, rules.capacity)
    sends = state.sends
    place = rank(sends["row"], sends["attempt"].astype(np.int64))
    every = np.arange(len(place))

    # What takes no time keeps the place of its cause: a decision that of the arrival, a send the decision's.
    at_once = (state.rows["decided"] == state.rows["arrived"])[sends["row"]]
    decision = np.where(at_once, Kind.ARRIVAL, Kind.DECISION)
    no_delay = np.zeros(len(place), dtype=bool)
    no_delay[first] = sends["reached"][first] == sends["sent"][first]
    found.add(sends["reached"], np.where(no_delay, decision, Kind.REACH), place, REACH, every)
    client = state.rows["client"][sends["row"][first]]
    earns = np.array([p.max_attempts > 1 and bool(p.allowance) for p in rules.patience])
    gain_at = np.where(earns[rules.clients.group[client]], sends["sent"][first], np.nan)
    found.add(gain_at, decision[first], place[first] - 1, GAIN, client)  # it earns just before it sends

    waits = ~(sends["given_up"] | (sends["finished"] + sends["down"] <= sends["timer"]))
    found.add(np.where(waits, sends["timer"], np.nan), Kind.TIMER, place, TIMER, every)
    told = waits & np.isin(sends["cause"], REFUSALS) & (sends["over"] <= sends["timer"])
    found.add(np.where(told, sends["over"], np.nan), Kind.REPLY, place, ERROR, every)
    found.add(sends["retry_at"], Kind.TIMER, place + 1, RETRY, every)
    return found.in_order()


def _add_capacity(found: _Agenda, capacity: Capacity) -> None:
    usable = capacity.usable
    kind = np.where(np.diff(usable, prepend=usable[0]) > 0, Kind.CAPACITY_UP, Kind.CAPACITY_DOWN)
    found.add(np.where(capacity.at_s > 0, capacity.at_s, np.nan), kind, 0, CAPACITY, usable)
