"""The server second by second: who waits, who is served, how many replicas work and could.
Computed from the sends of a window after the fact, and checked against the loop's own count."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.engine.clock import Played
from sim.engine.events import REFUSALS
from sim.engine.state import Columns, State, take
from sim.errors import RunFailed
from sim.scenario.schema.values import CHUNK_S

Instants = NDArray[np.float64]


def observe(
    state: State, played: Played, start: float, end: float, in_loop: NDArray[np.bool_] | None = None
) -> Columns:
    """The rows of `timeline` for [start, end), whole seconds but for the last.

    state: as the loop left it, before the ended rows are taken out. in_loop: per client whether its requests
    arrive in a closed loop; None: nobody's. Sums of what is no whole number are made minute by minute, of
    what was there in it, in the order of `_in_order`; so the rows of a minute are the same to the last bit in
    a window of any length. Raises RunFailed if the number that wait or are in service at `end` is not what
    the loop holds, or if the integral of N(t) that it counted differs from the sum of the stays, clipped to
    the window, by more than 1e-9 of it.
    """
    seconds = Seconds(start, end)
    waiting, serving, batch_size = _stays(state, _in_order(state, in_loop), played, seconds)
    waiting.check("waiting", len(state.waiting))
    serving.check("in service", sum(len(batch) for batch in state.batch_of))
    area, stays = played.area, waiting.seconds() + serving.seconds()
    if abs(area - stays) > 1e-9 * max(1.0, stays):
        raise RunFailed("run", f"the integral of N(t) is {area} s, the sum of the stays {stays} s")
    sends, arrived = state.sends, state.rows["arrived"]
    first = sends["attempt"] == 1
    return {
        "at_s": seconds.edges[:-1],
        "waiting": waiting.number_before(),
        "in_service": serving.number_before(),
        "waiting_mean": waiting.mean(),
        "waiting_max": waiting.most(),
        "busy_replicas_mean": serving.mean(1.0 / batch_size),
        "usable_replicas_mean": _usable(played.steps, seconds),
        "requeued_s": _requeued_seconds(played, seconds),
        "arrivals": _numbers(seconds.edges, arrived),
        "first_sends": _numbers(seconds.edges, sends["sent"][first]),
        "retries": _numbers(seconds.edges, sends["sent"][~first]),
    }


class Seconds:
    """The seconds of a window and the minutes that they belong to, the first and the last maybe not whole.

    edges: float64 (n + 1,). opens: int64 (m + 1,), the first second of each minute, and n. begins: float64
    (m,), where the minutes begin.
    """

    def __init__(self, start: float, end: float) -> None:
        self.edges = np.append(np.arange(np.floor(start), end), end)
        self.edges[0] = start
        self._first = int(start // CHUNK_S)
        of_minute = (self.edges[:-1] // CHUNK_S).astype(np.int64) - self._first
        self.opens = np.searchsorted(of_minute, np.arange(of_minute[-1] + 2))
        self.begins = self.edges[self.opens[:-1]]

    def minute_of(self, at: Instants) -> NDArray[np.int64]:
        """The minute of each instant: -1 before the window, m if not before its end; NaN like inf."""
        within = np.clip(np.nan_to_num(at, nan=np.inf), self.edges[0] - CHUNK_S, self.edges[-1])
        found = (within // CHUNK_S).astype(np.int64) - self._first
        found[at < self.edges[0]] = -1
        found[~(at < self.edges[-1])] = len(self.begins)
        return found

    def of(self, minute: int) -> Instants:
        """The edges of a minute's seconds."""
        return self.edges[self.opens[minute] : self.opens[minute + 1] + 1]


def bin_of(edges: Instants, at: Instants) -> NDArray[np.int64]:
    """The bin of each instant, 0: before the first edge, n: not before the last of n; NaN like inf.

    As `np.searchsorted(edges, at, side="right")`; the edges between the first and the last are whole seconds.
    """
    start, end = edges[0], edges[-1]
    within = np.clip(np.nan_to_num(at, nan=end), start, end)  # neither -inf nor inf is a whole number
    found: NDArray[np.int64] = (np.floor(within) - (np.floor(start) - 1)).astype(np.int64)
    found[at < start] = 0
    found[~(at < end)] = len(edges)
    return found


def _numbers(edges: Instants, at: Instants) -> NDArray[np.int64]:
    """How many of these instants lie in each bin."""
    return np.bincount(bin_of(edges, at), minlength=len(edges) + 1)[1:-1]


@dataclass(frozen=True)
class Stays:
    """Stays [enter, leave) somewhere, seen through bins, the seconds of a window; inf = has not left.

    Counting in bins needs no sorting; whoever was there before the first edge counts from it. until: the last
    minute in which a stay is looked at, int64 (n,), even if it is over.
    """

    enter: Instants
    leave: Instants
    until: NDArray[np.int64]
    seen: Seconds

    @property
    def edges(self) -> Instants:
        return self.seen.edges

    @cached_property
    def _bins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The bin of each entry and each leaving: 0 = before the first edge, n + 1 = not before the last."""
        return bin_of(self.edges, self.enter), bin_of(self.edges, self.leave)

    def number_before(self) -> NDArray[np.int64]:
        """How many are inside just before each bin."""
        entries, leavings = (np.bincount(bins, minlength=len(self.edges) + 1) for bins in self._bins)
        return np.cumsum(entries - leavings)[: len(self.edges) - 1]

    def mean(self, weight: Instants | None = None) -> Instants:
        """The number inside, or the sum of their weights, averaged over each bin."""
        is_weighted, weight = weight is not None, np.ones(len(self.enter)) if weight is None else weight
        n, until = len(self.edges) - 1, np.append(self.edges, np.inf)
        change, area = np.zeros(n + 2), np.zeros(n + 2)
        for sign, at, bins in zip((1, -1), (self.enter, self.leave), self._bins, strict=True):
            within = bins <= n
            rest = np.where(within, until[bins] - np.where(within, at, 0.0), 0.0)
            change += sign * np.bincount(bins, weight, minlength=n + 2)
            area += sign * np.bincount(bins, weight * rest, minlength=n + 2)
        inside = self._by_minute(change, weight) if is_weighted else np.cumsum(change)[:n]
        mean: Instants = inside + area[1 : n + 1] / np.diff(self.edges)
        return np.maximum(mean, 0.0)

    def _by_minute(self, change: Instants, weight: Instants) -> Instants:
        """The weights inside before each bin, float64 (n,), added up anew in each minute."""
        opens, n = self.seen.opens, len(self.edges) - 1
        minutes, longest = len(opens) - 1, int(np.diff(opens).max())
        table = np.zeros((minutes, longest + 1))
        for sign, at in ((1, self.enter), (-1, self.leave)):
            since = self.seen.minute_of(at)
            more = np.maximum(self.until - since, 0)
            stay = np.repeat(np.arange(len(more)), more)
            minute = since[stay] + 1 + np.arange(len(stay)) - np.repeat(np.cumsum(more) - more, more)
            table[:, 0] += sign * np.bincount(minute, weight[stay], minlength=minutes)
        row = np.repeat(np.arange(minutes), np.diff(opens))
        column = np.arange(n) - opens[row]
        table[row, column + 1] = change[1 : n + 1]
        inside: Instants = np.cumsum(table, axis=1)[row, column]
        return inside

    def most(self) -> NDArray[np.int64]:
        """The largest number inside during each bin; who leaves at an instant leaves first."""
        enter, leave, begins = np.sort(self.enter), np.sort(self.leave), self.edges[:-1]
        number = np.arange(1, len(enter) + 1) - np.searchsorted(leave, enter, side="right")
        most = np.searchsorted(enter, begins, side="left") - np.searchsorted(leave, begins, side="right")
        bins = np.searchsorted(self.edges, enter, side="right") - 1
        np.maximum.at(most, bins[bins >= 0], number[bins >= 0])
        return most

    def seconds(self) -> float:
        """The sum of the stays, clipped to the bins."""
        start, end = self.edges[0], self.edges[-1]
        return float(np.sum(np.clip(self.leave, start, end) - np.clip(self.enter, start, end)))

    def check(self, where: str, held: int) -> None:
        """Raises RunFailed unless `held` are inside at the end."""
        inside = int(np.count_nonzero(self.leave >= self.edges[-1]))
        if inside != held:
            raise RunFailed(
                "run", f"{held} requests are {where} at {self.edges[-1]} s, but {inside} have not left"
            )


def _in_order(state: State, in_loop: NDArray[np.bool_] | None) -> Columns:
    """The sends in the order in which a run that goes minute by minute makes them: those that are known as a
    minute begins, by request, and then those that are made in it, first sends of closed loops among them."""
    sends = state.sends
    minute = sends["sent"] // CHUNK_S
    if in_loop is None:  # within a minute they are in order
        return take(sends, np.argsort(minute, kind="stable"))
    row = sends["row"]
    arrives_in_it = in_loop[state.rows["client"][row]] & (state.rows["arrived"][row] >= minute * CHUNK_S)
    is_made = (sends["attempt"] > 1) | arrives_in_it
    return take(sends, np.lexsort((np.where(is_made, 0, row), is_made, minute)))


def _stays(state: State, sends: Columns, played: Played, seen: Seconds) -> tuple[Stays, Stays, Instants]:
    """The stays in the queue, those in service, and the sizes of the batches of the latter.

    A send that an outage put back left the queue, and its replica, more than once; entries and leavings are
    counted apart, so it does not matter which belong together.
    """
    until = _last_minutes(state, seen)[sends["row"]]
    accepted = (sends["reached"] < seen.edges[-1]) & ~np.isin(sends["cause"], REFUSALS)
    served = ~np.isnan(sends["started"])
    left = np.nan_to_num(np.where(served, sends["started"], sends["over"]), nan=np.inf)
    accepted &= left > sends["reached"]
    ended = np.where(np.isnan(sends["finished"]), sends["over"], sends["finished"])
    ends = np.nan_to_num(ended, nan=np.inf)
    size, started, stopped = np.array(played.stopped, dtype=np.float64).reshape(-1, 3).T
    put_back = seen.minute_of(stopped)
    return (
        Stays(
            np.append(sends["reached"][accepted], stopped),
            np.append(left[accepted], started),
            np.append(until[accepted], put_back),
            seen,
        ),
        Stays(
            np.append(sends["started"][served], started),
            np.append(ends[served], stopped),
            np.append(until[served], put_back),
            seen,
        ),
        np.append(sends["batch_size"][served].astype(np.float64), size),
    )


def _last_minutes(state: State, seen: Seconds) -> NDArray[np.int64]:
    """Per row the minute in which it ends, with all its sends; the last one where that is not yet."""
    ends = np.nan_to_num(state.rows["resolved"], nan=np.inf)
    np.maximum.at(ends, state.sends["row"], np.nan_to_num(state.sends["over"], nan=np.inf))
    return np.minimum(seen.minute_of(ends), len(seen.begins) - 1)


def _requeued_seconds(played: Played, seen: Seconds) -> Instants:
    """Replica-seconds of work that an outage stopped and put back, in the second of the stop."""
    size, started, stopped = np.array(played.stopped, dtype=np.float64).reshape(-1, 3).T
    found = np.zeros(len(seen.edges) - 1)
    minutes = seen.minute_of(stopped)
    for minute in np.unique(minutes).tolist():
        mine, (first, end) = minutes == minute, seen.opens[minute : minute + 2]
        lost = (stopped[mine] - started[mine]) / size[mine]
        found[first:end] = np.histogram(stopped[mine], seen.of(minute), weights=lost)[0]
    return found


def _usable(steps: list[tuple[float, int]], seen: Seconds) -> Instants:
    """Replicas usable, averaged over each second.

    One by one only the minutes in which that changes, and those with a second that is not whole.
    """
    at_s, usable = np.array(steps, dtype=np.float64).T
    at_s, minutes = at_s[1:], seen.minute_of(at_s[1:])  # the first step is the window's beginning
    number = usable[np.searchsorted(minutes, np.arange(len(seen.begins)))]  # as each minute begins
    found = np.repeat(number, np.diff(seen.opens))
    broken = seen.edges[:-1][np.diff(seen.edges) != 1.0]
    for minute in np.unique(np.append(minutes, seen.minute_of(broken))).tolist():
        edges, mine = seen.of(minute), np.flatnonzero(minutes == minute)
        changes = np.append(edges[0], at_s[mine])
        until = np.append(changes[1:], np.inf)
        spans = np.clip(edges[:, None], changes, until) - np.clip(edges[0], changes, until)
        replicas = np.append(number[minute], usable[mine + 1])
        found[seen.opens[minute] : seen.opens[minute + 1]] = np.diff(spans @ replicas) / np.diff(edges)
    return found
