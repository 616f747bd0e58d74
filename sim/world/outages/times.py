"""When the outages of a scenario happen, and whose links they hit: each kind of times gives its own.
Gives each outage its time lines; `sim.world.outages.capacity` says what they do to the
server."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.registry.outage_targets import LinksTarget
from sim.scenario import Scenario
from sim.scenario.schema.server import Outage
from sim.streams import Draws
from sim.world.outages.downtime import Downtime
from sim.world.outages.drawn import Hit
from sim.world.population import Population


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
    target = outage.target
    members, is_each = np.zeros(0, dtype=np.int64), False
    if isinstance(target, LinksTarget):
        members, is_each = _members(scenario, clients, index, target), not target.correlated
    hit = Hit(scenario.seed, index, scenario.horizon_s, outage, members, clients.size, is_each)
    shared, own = outage.when.times(hit)
    return OutageTimes(outage, shared, own, members)


def _members(scenario: Scenario, clients: Population, index: int, target: LinksTarget) -> NDArray[np.int64]:
    """A share of the groups' clients: those with the smallest draws, keyed by the client."""
    named = [g for g, group in enumerate(scenario.fleet) if group.group in target.groups]
    of_groups = np.flatnonzero(np.isin(clients.group, named))
    draws = Draws(scenario.seed, "outage share").many(of_groups, index)
    chosen = np.argsort(draws, kind="stable")[: int(np.floor(target.share * len(of_groups) + 0.5))]
    return np.sort(of_groups[chosen])
