"""The server second by second: who waits, who is served, how many replicas work and could.
Computed from the sends of a window after the fact, and checked against the loop's own count."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.clock import Played
from sim.engine.events import REFUSALS
from sim.engine.state import Columns, State, take
from sim.engine.station_state import StationState
from sim.errors import RunFailed
from sim.sorting import by_time

Instants = NDArray[np.float64]

GRAIN = 2.0**34  # parts of a second; half a million such numbers add up exactly

# What stays are told by, of a send.
TOLD_BY = ("reached", "started", "finished", "closed_at", "shed", "cause", "batch_size", "replica")


def observe(state: State, played: Played, start: float, end: float) -> tuple[Columns, list[Columns]]:
    """The rows of `timeline` for [start, end), whole seconds but for the last; and of each server its own.

    state: as the loop left it, before the ended rows are taken out. A second has the same bits in a window of
    any length: whole numbers are counted, and parts of seconds in steps of 1 / `GRAIN`, so no sum depends on
    an order. Raises RunFailed if the number that wait or are in service at `end` is not what the loop holds,
    or if the integral of N(t) that it counted differs from the sum of the stays, clipped to the window, by
    more than 1e-9 of it.
    """
    edges, sends, arrived = seconds_of(start, end), state.sends, state.rows["arrived"]
    told, of_servers = {name: sends[name] for name in TOLD_BY}, []
    for number, server in enumerate(state.stations):
        mine, stopped = told, played.stopped[:, :3]
        if len(state.stations) > 1:
            mine = take(told, sends["server"] == number)
            stopped = stopped[played.stopped[:, 3] == number]
        area, steps, halts = played.area[number], played.steps[number], played.halts[number]
        of_servers.append(_of_server(mine, stopped, server, area, steps, halts, edges))
    first = sends["attempt"] == 1
    whole: Columns = {"at_s": edges[:-1]} | _added(of_servers)
    if len(state.stations) > 1:  # the most at once of all is no sum
        every = _stays(told, played.stopped[:, :3], edges)[0]
        whole["waiting_max"] = every.most()
    return whole | {
        "arrivals": _numbers(edges, arrived),
        "first_sends": _numbers(edges, sends["sent"][first]),
        "retries": _numbers(edges, sends["sent"][~first]),
    }, of_servers


def _of_server(
    sends: Columns,
    stopped: NDArray[np.float64],
    server: StationState,
    area: float,
    steps: list[tuple[float, int]],
    halts: list[tuple[float, int, float]],
    edges: Instants,
) -> Columns:
    """What the time line tells of one server."""
    waiting, serving, is_one_of_batch = _stays(sends, stopped, edges)
    halted_at, held, thrown_away = np.array(halts, dtype=np.float64).T
    _check_halts(server, int(held[-1]), edges[-1])
    waiting.check("waiting", len(server.waiting))
    serving.check("in service", sum(len(batch) for batch in server.batch_of))
    stays = waiting.seconds() + serving.seconds()
    if abs(area - stays) > 1e-9 * max(1.0, stays):
        raise RunFailed("run", f"the integral of N(t) is {area} s, the sum of the stays {stays} s")
    return {
        "waiting": waiting.number_before(),
        "in_service": serving.number_before(),
        "waiting_mean": waiting.mean(),
        "waiting_max": waiting.most(),
        "busy_replicas_mean": serving.of(is_one_of_batch).without(halted_at, held).mean() / server.stages,
        "usable_replicas_mean": _usable(steps, edges),
        "requeued_s": _requeued_seconds(stopped, halted_at, thrown_away, edges) / server.stages,
    }


def _added(of_servers: list[Columns]) -> Columns:
    """The sums over the servers, in their order."""
    first, *others = of_servers
    found = dict(first)
    for one in others:
        found = {name: column + one[name] for name, column in found.items()}
    return found


def seconds_of(start: float, end: float) -> Instants:
    """The edges of the seconds of a window, the first and the last maybe not whole; float64 (n + 1,)."""
    edges = np.append(np.arange(np.floor(start), end), end)
    edges[0] = start
    return edges


def bin_of(edges: Instants, at: Instants) -> NDArray[np.int64]:
    """The bin of each instant, 0: before the first edge, n: not before the last of n; NaN like inf.

    As `np.searchsorted(edges, at, side="right")`; the edges between the first and the last are whole seconds.
    """
    return _bin_of(edges, at, within(edges, at))


def _bin_of(edges: Instants, at: Instants, inside: Instants) -> NDArray[np.int64]:
    """The same; inside: the instants as `within` gives them."""
    found: NDArray[np.int64] = (np.floor(inside) - (np.floor(edges[0]) - 1)).astype(np.int64)
    found[at < edges[0]] = 0
    found[inside == edges[-1]] = len(edges)
    return found


def within(edges: Instants, at: Instants) -> Instants:
    """The instants, those outside the window moved to its nearer end; NaN like inf."""
    moved: Instants = np.maximum(np.fmin(at, edges[-1]), edges[0])
    return moved


def _numbers(edges: Instants, at: Instants) -> NDArray[np.int64]:
    """How many of these instants lie in each bin."""
    return np.bincount(bin_of(edges, at), minlength=len(edges) + 1)[1:-1]


@dataclass(frozen=True)
class Stays:
    """Stays [enter, leave) somewhere, seen through bins, the seconds of a window; inf = has not left.

    Counting in bins needs no sorting; whoever was there before the first edge counts from it.
    """

    enter: Instants
    leave: Instants
    edges: Instants

    @cached_property
    def _within(self) -> tuple[Instants, Instants]:
        """Entries and leavings, clipped to the bins."""
        return within(self.edges, self.enter), within(self.edges, self.leave)

    @cached_property
    def _bins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The bin of each entry and each leaving: 0 = before the first edge, n + 1 = not before the last."""
        enter, leave = self._within
        return _bin_of(self.edges, self.enter, enter), _bin_of(self.edges, self.leave, leave)

    @cached_property
    def _change(self) -> NDArray[np.int64]:
        """By how many more are inside after each of those bins."""
        entries, leavings = (np.bincount(bins, minlength=len(self.edges) + 1) for bins in self._bins)
        return entries - leavings

    def number_before(self) -> NDArray[np.int64]:
        """How many are inside just before each bin."""
        return np.cumsum(self._change)[: len(self.edges) - 1]

    def of(self, counts: NDArray[np.bool_]) -> Stays:
        """Those that count."""
        return self if counts.all() else Stays(self.enter[counts], self.leave[counts], self.edges)

    def without(self, at: Instants, number: Instants) -> Stays:
        """But for a number of them from each of these instants on, who go out and come in again."""
        change = np.diff(number, prepend=0.0).astype(np.int64)
        if not change.any():
            return self
        out, back = (np.repeat(at, np.maximum(sign * change, 0)) for sign in (1, -1))
        return Stays(np.append(self.enter, back), np.append(self.leave, out), self.edges)

    def mean(self) -> Instants:
        """The number inside, averaged over each bin."""
        n, until = len(self.edges) - 1, np.append(self.edges, self.edges[-1])
        area = np.zeros(n)
        for sign, inside, bins in zip((1, -1), self._within, self._bins, strict=True):
            rest = until[bins] - inside
            area += sign * np.bincount(bins, np.rint(rest * GRAIN), minlength=n + 2)[1 : n + 1]
        mean: Instants = self.number_before() + area / GRAIN / np.diff(self.edges)
        return np.maximum(mean, 0.0)

    def most(self) -> NDArray[np.int64]:
        """The largest number inside during each bin; who leaves at an instant leaves first."""
        enter, leave = (at[by_time(at)] for at in (self.enter, self.leave))
        begins = self.edges[:-1]
        number = np.arange(1, len(enter) + 1) - np.searchsorted(leave, enter, side="right")
        most = np.searchsorted(enter, begins, side="left") - np.searchsorted(leave, begins, side="right")
        bins = np.searchsorted(self.edges, enter, side="right") - 1
        np.maximum.at(most, bins[bins >= 0], number[bins >= 0])
        return most

    def seconds(self) -> float:
        """The sum of the stays, clipped to the bins."""
        enter, leave = self._within
        return float(np.sum(leave - enter))

    def check(self, where: str, held: int) -> None:
        """Raises RunFailed unless `held` are inside at the end."""
        inside = int(np.count_nonzero(self.leave >= self.edges[-1]))
        if inside != held:
            raise RunFailed(
                "run", f"{held} requests are {where} at {self.edges[-1]} s, but {inside} have not left"
            )


def _stays(
    sends: Columns, told: NDArray[np.float64], edges: Instants
) -> tuple[Stays, Stays, NDArray[np.bool_]]:
    """The stays in the queue, those in service, and whether each of the latter is the one of its batch that
    stands for its replica. told: of `Played.stopped` what is theirs.

    A send that an outage put back left the queue, and its replica, more than once; entries and leavings are
    counted apart, so it does not matter which belong together.
    """
    is_shed = ~np.isnan(sends["shed"])
    accepted = (sends["reached"] < edges[-1]) & (~np.isin(sends["cause"], REFUSALS) | is_shed)
    served = ~np.isnan(sends["started"])
    left = np.where(is_shed, sends["shed"], np.where(served, sends["started"], sends["closed_at"]))
    left = np.nan_to_num(left, nan=np.inf)
    accepted &= left > sends["reached"]
    ended = np.where(np.isnan(sends["finished"]), sends["closed_at"], sends["finished"])
    ends = np.nan_to_num(ended, nan=np.inf)
    size, started, stopped = told.T
    served_alone = _one_of_each(*(sends[name][served] for name in ("batch_size", "started", "replica")))
    return (
        Stays(np.append(sends["reached"][accepted], stopped), np.append(left[accepted], started), edges),
        Stays(np.append(sends["started"][served], started), np.append(ends[served], stopped), edges),
        np.append(served_alone, _one_of_each(size, started, stopped)),
    )


def _one_of_each(size: NDArray[Any], begin: Instants, other: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each member of batches of these sizes is the one that counts; `begin` and `other` tell batches
    apart, or those that do not differ in what they count for."""
    found: NDArray[np.bool_] = size <= 1
    shared = np.flatnonzero(~found)
    order = shared[np.lexsort((other[shared], begin[shared]))]
    is_first = np.append(True, (np.diff(begin[order]) != 0) | (np.diff(other[order]) != 0))[: len(order)]
    since = np.arange(len(order)) - np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    found[order] = since % size[order] == 0
    return found


def _check_halts(server: StationState, held: int, at: float) -> None:
    """Raises RunFailed unless `held` batches stand still, each on a replica that is not usable."""
    still = np.flatnonzero(~np.isnan(server.left))
    if len(still) != held or np.any(still < server.usable) or not all(server.batch_of[n] for n in still):
        raise RunFailed(
            "run", f"batches stand still on replicas {still.tolist()} at {at} s, not {held} stopped"
        )


def _requeued_seconds(
    told: NDArray[np.float64], halted_at: Instants, thrown_away: Instants, edges: Instants
) -> Instants:
    """Replica-seconds of work that an outage stopped, and that begins anew, in the second of the stop."""
    size, started, stopped = told.T
    lost = np.rint(np.append((stopped - started) / size, thrown_away) * GRAIN)
    bins, n = bin_of(edges, np.append(stopped, halted_at)), len(edges)
    found: Instants = np.bincount(bins, lost, minlength=n + 1)[1:n] / GRAIN
    return found


def _usable(steps: list[tuple[float, int]], edges: Instants) -> Instants:
    """Replicas usable, averaged over each second: as many as when it begins, and what changes in it counts
    from then on. Steps that change nothing do not count, so a second has the same bits in every window."""
    at_s, usable = np.array(steps, dtype=np.float64).T
    number = usable[np.searchsorted(at_s, edges[:-1], side="right") - 1]
    change = np.diff(usable)
    at_s, change = at_s[1:][change != 0], change[change != 0]
    second = np.searchsorted(edges, at_s, side="right") - 1
    within = (second < len(number)) & (at_s > edges[second])
    at_s, change, second = at_s[within], change[within], second[within]
    added = np.bincount(second, change * (edges[second + 1] - at_s), minlength=len(number))
    means: Instants = number + added / np.diff(edges)
    return means
