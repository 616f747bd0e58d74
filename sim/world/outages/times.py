"""When the outages of a scenario happen, and whose links they hit: each kind of times gives its own.
Gives each outage its time lines; `sim.world.outages.capacity` says what they do to the
servers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.registry.outage_targets import LinksTarget, ReplicasTarget
from sim.scenario import Scenario
from sim.scenario.schema.document import WrittenOutage
from sim.scenario.schema.server import Outage
from sim.streams import Draws
from sim.world.outages.downtime import Downtime
from sim.world.outages.drawn import Hit
from sim.world.population import Population


@dataclass(frozen=True)
class OutageTimes:
    """One outage of the scenario and when it happens.

    stations: the servers that it hits. target_name: how tables name what it hits. shared: when all that it
    hits fails together. of_client: single clients, where links fail independently. clients: whose links it
    hits, ascending. of_replica: single replicas, by their place among those that the outage takes, where
    these fail independently.
    """

    outage: Outage
    stations: tuple[int, ...]
    target_name: str
    shared: Downtime
    of_client: dict[int, Downtime] = field(default_factory=dict)
    clients: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    of_replica: dict[int, Downtime] = field(default_factory=dict)


def outage_times(scenario: Scenario, clients: Population) -> tuple[OutageTimes, ...]:
    """The time lines of every outage, up to the horizon. The law: a longer horizon only adds to them."""
    return tuple(_times(scenario, clients, n, written) for n, written in enumerate(scenario.all_outages))


def _times(scenario: Scenario, clients: Population, index: int, written: WrittenOutage) -> OutageTimes:
    outage, name = written.outage, written.target_name
    target, members = outage.target, np.zeros(0, dtype=np.int64)
    if isinstance(target, LinksTarget):
        members = _members(scenario, clients, index, target)
    elif isinstance(target, ReplicasTarget) and target.each:
        members = np.arange(target.count)
    hit = Hit(scenario.seed, index, scenario.horizon_s, outage, name, members, clients.size, target.is_each)
    shared, own = outage.when.times(hit)
    stations = scenario.hit_by(written)
    if target.hits_links:
        return OutageTimes(outage, stations, name, shared, own, members)
    return OutageTimes(outage, stations, name, shared, of_replica=own)


def _members(scenario: Scenario, clients: Population, index: int, target: LinksTarget) -> NDArray[np.int64]:
    """A share of the groups' clients: those with the smallest draws, keyed by the client."""
    named = [g for g, group in enumerate(scenario.fleet) if group.group in target.groups]
    of_groups = np.flatnonzero(np.isin(clients.group, named))
    draws = Draws(scenario.seed, "outage share").many(of_groups, index)
    chosen = np.argsort(draws, kind="stable")[: int(np.floor(target.share * len(of_groups) + 0.5))]
    return np.sort(of_groups[chosen])
