"""What is known to come when a stretch of time begins, in the order in which it would happen.
Follows from the state's columns, so nothing of it is kept; each clock walks along it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engine.events import (
    ANSWER,
    ARRIVE,
    ASK,
    BEGIN,
    CAPACITY,
    ERROR,
    GAIN,
    HEDGE,
    JOIN,
    KIND_SHIFT,
    PASS,
    REACH,
    REFUSALS,
    RETRY,
    SCALE,
    TAKEN_BITS,
    TIMER,
    UNBATCH,
    UPLOAD,
    Kind,
    place,
    place_bits,
    rank,
)
from sim.engine.shared_links import link_of_sends
from sim.engine.state import State
from sim.periods import begin_of, period_of, periods_before
from sim.policy.waiting import is_in_time
from sim.sorting import by_time
from sim.world.parameters import Parameters
from sim.world.population import CLIENT_SHIFT


class KnownEvents(NamedTuple):
    """Events in order, as columns of equal length: instants, keys, codes and subjects of
    `sim.engine.events`."""

    at: NDArray[np.float64]
    key: NDArray[np.int64]
    do: NDArray[np.int64]
    subject: NDArray[np.int64]


NO_EVENTS = KnownEvents(np.zeros(0), *(np.zeros(0, dtype=np.int64) for _ in range(3)))


@dataclass
class _Collected:
    """Collects events of [start, end) as columns; NaN is an instant that does not come."""

    start: float
    end: float
    parts: list[list[NDArray[Any]]] = field(default_factory=list)

    def due(self, at: NDArray[np.float64]) -> NDArray[np.int64]:
        """Which of these instants come, as indices: mostly few, and the rest is asked of those alone."""
        return np.flatnonzero((self.start <= at) & (at < self.end))

    def add(self, at: NDArray[np.float64], kind: Any, order: Any, do: int, subject: NDArray[Any]) -> None:
        """Adds events that all come."""
        if len(at):
            key = np.asarray(kind, dtype=np.int64) << KIND_SHIFT | np.asarray(order, dtype=np.int64)
            columns = (np.asarray(column, dtype=np.int64) for column in (key, do, subject))
            self.parts.append([at, *(np.broadcast_to(column, at.shape) for column in columns)])

    def in_order(self) -> KnownEvents:
        parts: Any = zip(*(self.parts or [list(NO_EVENTS)]), strict=True)
        found = KnownEvents._make(one[0] if len(one) == 1 else np.concatenate(one) for one in parts)
        order = by_time(found.at)
        if np.any(np.diff(found.at[order]) == 0):  # ties are rare, and two keys take two sorts
            order = np.lexsort((found.key, found.at))
        return KnownEvents._make(column[order] for column in found)


def known_events(parameters: Parameters, state: State, first: int, start: float, end: float) -> KnownEvents:
    """The events of [start, end) known at `start`, given the first sends decided in between, in order.

    first: from which on the sends are those. Each event is on the known events even if something may come in
    between, such as an answer before a timer. Only the ends of batches and their due times are missing: the
    loop makes them from the replicas and the queue.
    """
    found = _Collected(start, end)
    _add_capacity(found, parameters)
    _add_first_sends(found, parameters, state, first)
    _add_under_way(found, parameters, state, first)
    if parameters.comes_in_loop.any():
        _add_who_comes(found, parameters, state)
    if parameters.has_closed_loops:
        asking = found.due(state.next_at)
        request = place(asking << CLIENT_SHIFT | state.next_k[asking], place_bits(parameters.clients.size))
        found.add(state.next_at[asking], Kind.ARRIVAL, rank(request, 0), ARRIVE, asking)
    return found.in_order()


def _place(parameters: Parameters, state: State, which: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of these sends among events of a kind."""
    request = _place_of_rows(parameters, state, state.sends["row"][which])
    found: NDArray[np.int64] = rank(request, state.sends["attempt"][which].astype(np.int64))
    return found


def _add_who_comes(found: _Collected, parameters: Parameters, state: State) -> None:
    """Requests come to devices that may have no power."""
    rows = state.rows
    coming = np.where((rows["decided"] == np.inf) & np.isnan(rows["completed_at"]), rows["arrived"], np.nan)
    which = found.due(coming)
    which = which[parameters.comes_in_loop[parameters.clients.group[rows["client"][which]]]]
    request = _place_of_rows(parameters, state, which)
    found.add(coming[which], Kind.ARRIVAL, rank(request, 0), BEGIN, which)


def _place_of_rows(parameters: Parameters, state: State, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """What these rows rank by."""
    found: NDArray[np.int64] = place(state.rows["request_id"][row], place_bits(parameters.clients.size))
    return found


def _add_first_sends(found: _Collected, parameters: Parameters, state: State, first: int) -> None:
    """They leave, or ask whether they may, and reach the server. None has been sent before `start`.

    What takes no time keeps the place of its cause: a decision that of the arrival, a send the decision's.
    """
    sent, reached = state.sends["sent"], state.sends["reached"]
    earns = np.array([(p.max_attempts > 1 or p.is_shared) and p.allowance > 0 for p in parameters.patience])

    def client(which: NDArray[np.int64]) -> NDArray[np.int32]:
        return state.rows["client"][state.sends["row"][which]]

    def decision(which: NDArray[np.int64]) -> NDArray[np.int64]:
        """The kind that a decision ranks as."""
        row = state.sends["row"][which]
        at_once = state.rows["decided"][row] == state.rows["arrived"][row]
        return np.where(at_once, Kind.ARRIVAL, Kind.DECISION)

    new = np.arange(first, len(sent))
    if parameters.has_obstacles.any():  # whether those are sent at all is not known yet
        kept = parameters.has_obstacles[client(new)]
        asking, new = new[kept], new[~kept]
        found.add(sent[asking], decision(asking), _place(parameters, state, asking), ASK, asking)
    if earns.any():  # it earns just before it sends
        earning = new[earns[parameters.clients.group[client(new)]]]
        before = _place(parameters, state, earning) - 1
        found.add(sent[earning], decision(earning), before, GAIN, client(earning))
    coming = new[found.due(reached[new])]
    no_delay = reached[coming] == sent[coming]
    kind = np.full(len(coming), Kind.REACH)
    kind[no_delay] = decision(coming[no_delay])
    found.add(reached[coming], kind, _place(parameters, state, coming), REACH, coming)


def _add_under_way(found: _Collected, parameters: Parameters, state: State, first: int) -> None:
    """What may become of sends: those of before reach the server, clients hear of them or give them up."""
    sends, client_of = state.sends, state.rows["client"]

    def waits(which: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the client still waits for it, as far as one knows; who kept first sets its own timer."""
        back = sends["finished"][which] + sends["downlink_s"][which]
        kept = (which >= first) & parameters.has_obstacles[client_of[sends["row"][which]]]
        is_sent = ~kept & ~np.isnan(sends["sent"][which])
        found: NDArray[np.bool_] = (
            is_sent & (sends["failure"][which] == 0) & ~is_in_time(back, sends["timeout_at"][which])
        )
        return found

    def add(at: NDArray[np.float64], which: NDArray[np.int64], kind: Kind, do: int, later: int = 0) -> None:
        found.add(at[which], kind, _place(parameters, state, which) + later, do, which)

    add(sends["reached"], found.due(sends["reached"][:first]), Kind.REACH, REACH)
    given_up = found.due(sends["timeout_at"])
    add(sends["timeout_at"], given_up[waits(given_up)], Kind.TIMER, TIMER)
    told = found.due(sends["closed_at"])
    told = told[
        np.isin(sends["cause"][told], REFUSALS)
        & is_in_time(sends["closed_at"][told], sends["timeout_at"][told])
    ]
    add(sends["closed_at"], told[waits(told)], Kind.REPLY, ERROR)
    if parameters.heeds_answers.any():
        back = sends["finished"] + sends["downlink_s"]
        heard = found.due(back)
        heard = heard[(sends["failure"][heard] == 0) & is_in_time(back[heard], sends["timeout_at"][heard])]
        add(back, heard[parameters.heeds_answers[client_of[sends["row"][heard]]]], Kind.REPLY, ANSWER)
    after_s = np.array([p.hedge_after_s for p in parameters.patience])
    if np.isfinite(after_s).any():
        first_ones = np.flatnonzero(sends["attempt"][:first] == 1)
        at = np.full(len(sends["sent"]), np.nan)
        at[first_ones] = (
            sends["sent"][first_ones] + after_s[parameters.clients.group[client_of[sends["row"][first_ones]]]]
        )
        add(at, found.due(at), Kind.HEDGE, HEDGE)
    if len(parameters.network.names):
        link = link_of_sends(parameters, state)
        coming = found.due(np.where(sends["hop"] >= 0, sends["joined"], np.nan))
        add(sends["joined"], coming, Kind.REACH, JOIN)
        passing = found.due(
            np.where((link >= 0) & ~parameters.network.is_shared[link], sends["passes"], np.nan)
        )
        add(sends["passes"], passing, Kind.REACH, PASS)
    if any(parameters.batches):
        held, until = _held(parameters, state)
        come = (found.start <= until) & (until < found.end)
        found.add(until[come], Kind.TIMER, _place(parameters, state, held[come]), UNBATCH, held[come])
    if parameters.computes.any():
        is_open = (sends["reached"] == np.inf) & np.isnan(sends["closed_at"]) & (sends["hop"] < 0)
        computing = found.due(np.where(is_open, sends["computed_at"], np.nan))
        add(sends["computed_at"], computing, Kind.DECISION, UPLOAD)
    again = found.due(sends["retry_at"])
    add(sends["retry_at"], again, Kind.TIMER, RETRY, later=1)


def _held(parameters: Parameters, state: State) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first sends that wait for others, and how long at most."""
    sends, rows = state.sends, state.rows
    held = np.flatnonzero(np.isnan(sends["sent"]) & np.isnan(sends["closed_at"]))
    row = sends["row"][held]
    full_at = rows["decided"][row] + parameters.batch_wait_s[parameters.clients.group[rows["client"][row]]]
    return held, np.minimum(full_at, rows["deadline"][row])


def _add_capacity(found: _Collected, parameters: Parameters) -> None:
    for server, station in enumerate(parameters.stations):
        at_s, taken = station.capacity.at_s, station.capacity.taken
        kind = np.where(np.diff(taken, prepend=taken[0]) < 0, Kind.CAPACITY_UP, Kind.CAPACITY_DOWN)
        come = found.due(np.where(at_s > 0, at_s, np.nan))
        found.add(at_s[come], kind[come], server << 1, CAPACITY, server << TAKEN_BITS | taken[come])
        if station.autoscaling:
            interval_s = station.autoscaling.interval_s
            ticks = np.arange(
                max(1, period_of(found.start, interval_s)), periods_before(found.end, interval_s) + 1
            )
            at = begin_of(ticks, np.float64(interval_s))
            come = found.due(at)
            found.add(at[come], Kind.CAPACITY_DOWN, server << 1 | 1, SCALE, np.full(len(come), server))
