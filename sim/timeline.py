"""The server second by second: who waits, who is served, how many replicas work and could.
Computed from the sends of a chunk after the fact, and checked against the loop's own count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.errors import RunFailed
from sim.loop import REFUSALS
from sim.outages import Capacity
from sim.state import Columns, State

Instants = NDArray[np.float64]


def observe(state: State, capacity: Capacity, start: float, end: float) -> Columns:
    """The rows of `timeline` for [start, end), whole seconds but for the last.

    state: as the loop left it, before the ended rows are taken out. Raises RunFailed if the number of
    sends that wait or are in service at `end` is not what the loop holds, or if the integral of that number
    over the chunk differs from the sum of the clipped stays by more than 1e-9 of it.
    """
    waits, serves = _stays(state.sends, end)
    _check("waiting", len(state.waiting), *waits, start, end)
    _check("in service", sum(len(batch) for batch in state.batch_of), *serves[:2], start, end)
    edges = np.append(np.arange(np.floor(start), end), end)
    edges[0] = start
    widths = np.diff(edges)
    sends, arrived = state.sends, state.rows["arrived"]
    first = sends["attempt"] == 1
    return {
        "at_s": edges[:-1],
        "waiting": _count_before(*waits, edges[:-1]),
        "in_service": _count_before(*serves[:2], edges[:-1]),
        "waiting_mean": _mean(*waits, np.ones(len(waits[0])), edges),
        "waiting_max": _most(*waits, edges),
        "busy_replicas_mean": _mean(serves[0], serves[1], 1.0 / serves[2], edges),
        "usable_replicas_mean": np.diff(_usable_seconds(capacity, edges)) / widths,
        "arrivals": np.histogram(arrived[arrived >= start], edges)[0],
        "first_sends": np.histogram(sends["sent"][first], edges)[0],
        "retries": np.histogram(sends["sent"][~first], edges)[0],
    }


def _stays(
    sends: Columns, end: float
) -> tuple[tuple[Instants, Instants], tuple[Instants, Instants, Instants]]:
    """When each accepted send joined and left the queue; when its service began and ended, in how many."""
    accepted = (sends["reached"] < end) & ~np.isin(sends["cause"], REFUSALS)
    served = ~np.isnan(sends["started"])
    left = np.nan_to_num(np.fmin(sends["started"], sends["over"]), nan=np.inf)
    stopped = np.nan_to_num(np.fmin(sends["finished"], sends["over"]), nan=np.inf)
    return (
        (sends["reached"][accepted], left[accepted]),
        (sends["started"][served], stopped[served], sends["batch_size"][served].astype(np.float64)),
    )


def _check(where: str, held: int, enter: Instants, leave: Instants, start: float, end: float) -> None:
    inside = int(np.count_nonzero(leave >= end))
    if inside != held:
        raise RunFailed("run", f"{held} requests are {where} at {end} s, but {inside} have not left")
    begins, ends = np.clip(enter, start, end), np.clip(leave, start, end)
    sojourns = float(np.sum(ends - begins))
    at = np.concatenate([begins, ends])
    order = np.argsort(at, kind="stable")
    number = np.cumsum(np.repeat([1, -1], len(begins))[order])
    area = float(np.sum(number[:-1] * np.diff(at[order]))) if len(at) else 0.0
    if abs(area - sojourns) > 1e-9 * max(1.0, sojourns):
        raise RunFailed("run", f"the integral of N(t), {where}, is {area} s, the sum of stays {sojourns} s")


def _count_before(enter: Instants, leave: Instants, at: Instants) -> NDArray[np.int64]:
    """How many have entered and not left just before each instant."""
    return np.searchsorted(np.sort(enter), at, side="left") - np.searchsorted(np.sort(leave), at, side="left")


def _mean(enter: Instants, leave: Instants, weight: Instants, edges: Instants) -> Instants:
    """The weighted number inside, averaged over each bin."""
    inside = _seconds(enter, weight, edges) - _seconds(leave, weight, edges)
    return np.maximum(np.diff(inside), 0.0) / np.diff(edges)


def _seconds(since: Instants, weight: Instants, edges: Instants) -> Instants:
    """Sum of weight·max(0, edge - since) at each edge, counted from the first edge."""
    order = np.argsort(since, kind="stable")
    offset = np.maximum(since[order] - edges[0], 0.0)
    offset, weight = np.where(np.isinf(offset), 0.0, offset), weight[order]
    upto = np.searchsorted(since[order], edges, side="right")
    weights, moments = (np.concatenate([[0.0], np.cumsum(x)]) for x in (weight, weight * offset))
    area: Instants = weights[upto] * (edges - edges[0]) - moments[upto]
    return area


def _most(enter: Instants, leave: Instants, edges: Instants) -> NDArray[np.int64]:
    """The largest number inside during each bin."""
    at = np.concatenate([edges[:-1], enter, leave])
    step = np.repeat([0, 1, -1], [len(edges) - 1, len(enter), len(leave)])
    order = np.lexsort((step, at))  # who leaves at an instant leaves first
    number = np.cumsum(step[order])
    return np.maximum.reduceat(number, np.flatnonzero(order < len(edges) - 1))


def _usable_seconds(capacity: Capacity, edges: Instants) -> Instants:
    """Replica-seconds usable from the first edge to each."""
    until = np.append(capacity.at_s[1:], np.inf)
    spans = np.clip(edges[:, None], capacity.at_s, until) - np.clip(edges[0], capacity.at_s, until)
    seconds: Instants = spans @ capacity.usable
    return seconds
