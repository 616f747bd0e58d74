"""When outages happen: written, drawn up front from streams of their own, or read from a trace.
Gives each outage of a scenario its time lines; `sim.world.outages.capacity` says what they do to the
server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.scenario.schema.server import Intermittent, Intervals, LinksTarget, Outage, Renewal, TraceOutage
from sim.scenario.schema.values import Duration, Exponential
from sim.streams import Draws
from sim.world.durations import quantile
from sim.world.outages.downtime import Downtime
from sim.world.outages.trace import read_trace
from sim.world.population import Population

_EVERYBODY = 0  # draws of a time line that all share; those of a client are keyed by its number + 1
_AT_ONCE = 1024  # clients whose time lines are drawn by one array operation


@dataclass(frozen=True)
class OutageTimes:
    """One outage of the scenario and when it happens.

    shared: to all that it hits together. of_client: to single clients, where links fail independently.
    clients: whose links it hits, ascending; empty for outages of the server.
    """

    outage: Outage
    shared: Downtime
    of_client: dict[int, Downtime] = field(default_factory=dict)
    clients: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def outage_times(scenario: Scenario, clients: Population) -> tuple[OutageTimes, ...]:
    """The time lines of every outage, up to the horizon. The law: a longer horizon only adds to them."""
    return tuple(_times(scenario, clients, n, outage) for n, outage in enumerate(scenario.server.outages))


def _times(scenario: Scenario, clients: Population, index: int, outage: Outage) -> OutageTimes:
    target, when, horizon_s = outage.target, outage.when, scenario.horizon_s
    hit = (
        _members(scenario, clients, index, target)
        if isinstance(target, LinksTarget)
        else np.zeros(0, dtype=np.int64)
    )
    if isinstance(when, Intervals):
        return OutageTimes(outage, Downtime(when.at), clients=hit)
    if isinstance(when, TraceOutage):
        known = clients.size if isinstance(target, LinksTarget) else 0
        shared, own = read_trace(when.file, outage.target_name, outage.effect.kind, known)
        mine = {client: own[client] for client in sorted(own) if client in set(hit.tolist())}
        return OutageTimes(outage, shared, mine, hit)
    if isinstance(target, LinksTarget) and not target.correlated:
        lines = _drawn(scenario.seed, index, when, hit + 1, horizon_s)
        return OutageTimes(outage, Downtime(), dict(zip(hit.tolist(), lines, strict=True)), hit)
    everybody = np.array([_EVERYBODY], dtype=np.int64)
    return OutageTimes(outage, next(_drawn(scenario.seed, index, when, everybody, horizon_s)), clients=hit)


def _members(scenario: Scenario, clients: Population, index: int, target: LinksTarget) -> NDArray[np.int64]:
    """A share of the groups' clients: those with the smallest draws, keyed by the client."""
    named = [g for g, group in enumerate(scenario.fleet) if group.group in target.groups]
    of_groups = np.flatnonzero(np.isin(clients.group, named))
    draws = Draws(scenario.seed, "outage share").many(of_groups, index)
    chosen = np.argsort(draws, kind="stable")[: int(np.floor(target.share * len(of_groups) + 0.5))]
    return np.sort(of_groups[chosen])


def _drawn(
    seed: int, index: int, when: Renewal | Intermittent, entities: NDArray[np.int64], horizon_s: float
) -> Iterator[Downtime]:
    """A time line per entity, keyed by (outage, entity, cycle).

    A renewal process begins with an up time. An intermittent one is a two-state Markov process in
    equilibrium: up and down times are exponential, and it begins down with probability 1 − availability.
    """
    up, down = _durations(when)
    for first in range(0, len(entities), _AT_ONCE):
        some = entities[first : first + _AT_ONCE]
        begins_up = np.ones(len(some), dtype=bool)
        if isinstance(when, Intermittent):
            begins_up = Draws(seed, "outage state").many(some, index) < when.availability
        for edges in _edges(seed, index, up, down, some, begins_up, horizon_s):
            periods = edges[: len(edges) // 2 * 2].reshape(-1, 2)
            yield Downtime(map(tuple, periods[periods[:, 0] < horizon_s].tolist()))


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


def _durations(when: Renewal | Intermittent) -> tuple[Duration, Duration]:
    if isinstance(when, Renewal):
        return when.up, when.down
    up_s = when.availability * when.mean_cycle_s
    return _exponential(up_s), _exponential(when.mean_cycle_s - up_s)


def _exponential(mean_s: float) -> Duration:
    """A mean below what the vocabulary allows, such as the down time of an availability of 1, is 0."""
    return Exponential.model_construct(kind="exponential", mean_s=mean_s)
