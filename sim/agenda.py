"""What is known to lie ahead when a chunk begins, in the order in which it would happen.
Follows from the state's columns, so nothing of it is kept; `sim.loop` walks along it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.board import ANSWER, ARRIVE, ASK, CAPACITY, ERROR, GAIN, REACH, REFUSALS, RETRY, SCALE, TIMER, rank
from sim.clock import AgendaItem, Kind
from sim.population import CLIENT_SHIFT
from sim.rules import Rules
from sim.state import State


class Agenda(NamedTuple):
    """Events in order, as columns of equal length: instants, kinds, ranks, codes of `sim.board`, subjects."""

    at: NDArray[np.float64]
    kind: NDArray[np.int64]
    place: NDArray[np.int64]
    do: NDArray[np.int64]
    subject: NDArray[np.int64]

    def items(self) -> Iterator[AgendaItem]:
        """One by one, as plain numbers."""
        return zip(*(column.tolist() for column in self), strict=True)


NO_EVENTS = Agenda(np.zeros(0), *(np.zeros(0, dtype=np.int64) for _ in range(4)))


@dataclass
class _Collected:
    """Collects events of [start, end) as columns; NaN is an instant that does not come."""

    start: float
    end: float
    parts: list[list[NDArray[Any]]] = field(default_factory=list)

    def add(self, at: NDArray[np.float64], kind: Any, place: Any, do: int, subject: NDArray[Any]) -> None:
        within = np.flatnonzero((self.start <= at) & (at < self.end))
        if len(within):
            columns = (at, kind, place, np.int64(do), subject)
            self.parts.append([np.broadcast_to(column, at.shape)[within] for column in columns])

    def in_order(self) -> Agenda:
        parts: Any = zip(NO_EVENTS, *self.parts, strict=True)
        found = Agenda._make(np.concatenate(columns) for columns in parts)
        order = np.argsort(found.at)
        if np.any(np.diff(found.at[order]) == 0):  # ties are rare, and three keys take three sorts
            order = np.lexsort((found.place, found.kind, found.at))
        return Agenda._make(column[order] for column in found)


def agenda(rules: Rules, state: State, first: NDArray[np.int64], start: float, end: float) -> Agenda:
    """The events of [start, end) known at `start`, given the first sends decided in between, in order.

    first: indices of those sends. Each event is on the agenda even if something may come in between, such
    as an answer before a timer. Only the ends of batches and their due times are missing: the loop makes
    them from the replicas and the queue.
    """
    found = _Collected(start, end)
    _add_capacity(found, rules)
    sends = state.sends
    by_request = state.rows["request_id"][sends["row"]] if rules.has_closed_loops else sends["row"]
    place = rank(by_request, sends["attempt"].astype(np.int64))
    every = np.arange(len(place))
    client = state.rows["client"][sends["row"]]
    is_first = np.zeros(len(place), dtype=bool)
    is_first[first] = True
    asks = is_first & rules.asks[client]  # whether it is sent at all is not known yet

    # What takes no time keeps the place of its cause: a decision that of the arrival, a send the decision's.
    at_once = (state.rows["decided"] == state.rows["arrived"])[sends["row"]]
    decision = np.where(at_once, Kind.ARRIVAL, Kind.DECISION)
    no_delay = is_first & (sends["reached"] == sends["sent"])
    found.add(np.where(asks, sends["sent"], np.nan), decision, place, ASK, every)
    reached = np.where(asks, np.nan, sends["reached"])
    found.add(reached, np.where(no_delay, decision, Kind.REACH), place, REACH, every)
    earns = np.array([p.max_attempts > 1 and bool(p.allowance) for p in rules.patience])
    earning = first[earns[rules.clients.group[client[first]]] & ~asks[first]]
    # It earns just before it sends.
    found.add(sends["sent"][earning], decision[earning], place[earning] - 1, GAIN, client[earning])

    back = sends["finished"] + sends["down"]
    waits = (sends["failure"] == 0) & ~(back <= sends["timer"]) & ~asks & ~np.isnan(sends["sent"])
    found.add(np.where(waits, sends["timer"], np.nan), Kind.TIMER, place, TIMER, every)
    told = waits & np.isin(sends["cause"], REFUSALS) & (sends["over"] <= sends["timer"])
    found.add(np.where(told, sends["over"], np.nan), Kind.REPLY, place, ERROR, every)
    heard = (sends["failure"] == 0) & (back <= sends["timer"]) & rules.hears[client]
    found.add(np.where(heard, back, np.nan), Kind.REPLY, place, ANSWER, every)
    found.add(sends["retry_at"], Kind.TIMER, place + 1, RETRY, every)
    if rules.has_closed_loops:
        asking = np.arange(rules.clients.size)
        next_request = asking << CLIENT_SHIFT | state.next_k
        found.add(state.next_at, Kind.ARRIVAL, rank(next_request, 0), ARRIVE, asking)
    return found.in_order()


def _add_capacity(found: _Collected, rules: Rules) -> None:
    taken = rules.capacity.taken
    kind = np.where(np.diff(taken, prepend=taken[0]) < 0, Kind.CAPACITY_UP, Kind.CAPACITY_DOWN)
    at_s = rules.capacity.at_s
    found.add(np.where(at_s > 0, at_s, np.nan), kind, 0, CAPACITY, taken)
    if rules.autoscaling:
        interval_s = rules.autoscaling.interval_s
        ticks = np.arange(max(1, int(found.start / interval_s) - 1), int(found.end / interval_s) + 2)
        found.add(ticks * np.float64(interval_s), Kind.CAPACITY_DOWN, 1, SCALE, ticks)
