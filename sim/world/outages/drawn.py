"""Time lines of outages that are drawn up front, from streams of their own, for many entities at once.
What the kinds of times in `sim.registry.outages` that follow a law are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.registry.durations import Duration, quantile
from sim.streams import Draws
from sim.world.outages.downtime import Downtime

if TYPE_CHECKING:
    from sim.scenario.schema.server import Outage

Times = tuple[Downtime, dict[int, Downtime]]  # shared by all that is hit, and of single clients

_EVERYBODY = 0  # draws of a time line that all share; those of a client are keyed by its number + 1
_AT_ONCE = 1024  # clients whose time lines are drawn by one array operation


class Hit(NamedTuple):
    """An outage whose times are asked: its number in the scenario, and what it hits.

    target_name: how tables name it. members: clients whose links it hits, or places of replicas that fail
    each on its own, ascending, int64; else empty. clients: how many the fleet has. is_each: whether they are
    hit each at times of its own.
    """

    seed: int
    number: int
    horizon_s: float
    outage: Outage
    target_name: str
    members: NDArray[np.int64]
    clients: int
    is_each: bool


def drawn(hit: Hit, up: Duration, down: Duration, begins_up: float) -> Times:
    """Up and down times in turn. begins_up: P(up at t = 0), where a line begins with the rest of an up time
    or, else, of a down time."""
    if hit.is_each:
        lines = _lines(hit, up, down, begins_up, hit.members + 1)
        return Downtime(), dict(zip(hit.members.tolist(), lines, strict=True))
    return next(_lines(hit, up, down, begins_up, np.array([_EVERYBODY], dtype=np.int64))), {}


def _lines(
    hit: Hit, up: Duration, down: Duration, begins_up: float, entities: NDArray[np.int64]
) -> Iterator[Downtime]:
    """A time line per entity, keyed by (outage, entity, cycle)."""
    for first in range(0, len(entities), _AT_ONCE):
        some = entities[first : first + _AT_ONCE]
        are_up = np.ones(len(some), dtype=bool)
        if begins_up < 1.0:
            are_up = Draws(hit.seed, "outage state").many(some, hit.number) < begins_up
        for edges in _edges(hit.seed, hit.number, up, down, some, are_up, hit.horizon_s):
            periods = edges[: len(edges) // 2 * 2].reshape(-1, 2)
            yield Downtime(map(tuple, periods[periods[:, 0] < hit.horizon_s].tolist()))


def _edges(
    seed: int,
    index: int,
    up: Duration,
    down: Duration,
    entities: NDArray[np.int64],
    begins_up: NDArray[np.bool_],
    horizon_s: float,
) -> NDArray[np.float64]:
    """Instants at which each entity goes and comes in turn, shape (entities, 2·cycles), past the horizon."""
    cycles = 16
    while True:
        k = np.arange(cycles)[None, :] + (index << 20)
        spans = np.empty((len(entities), cycles, 2))
        for column, (purpose, duration) in enumerate((("outage up", up), ("outage down", down))):
            spans[:, :, column] = quantile(duration)(Draws(seed, purpose).many(entities[:, None], k))
        spans[~begins_up, 0, 0] = 0.0
        edges: NDArray[np.float64] = np.cumsum(spans.reshape(len(entities), -1), axis=1)
        if not len(edges) or edges[:, -1].min() > horizon_s:
            return edges
        cycles *= 2
