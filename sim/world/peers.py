"""Devices of clients that answer for others: which have a server's model, and when they cannot be had.
Pure functions of the scenario; `sim.world.outages.capacity` takes them from the server's replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.world.outages.downtime import Downtime

if TYPE_CHECKING:
    from sim.scenario import Scenario
    from sim.world.outages.times import OutageTimes
    from sim.world.population import Population
    from sim.world.presence import Presence


def devices_with(scenario: Scenario, clients: Population, station: int) -> NDArray[np.int64]:
    """The clients whose devices may be a server's replicas: those that have its model; of others none."""
    peers_of = getattr(scenario.stations[station], "peers_of", None)
    if peers_of is None:
        return np.empty(0, dtype=np.int64)
    (model,) = scenario.models_of(station)
    place = [group.group for group in scenario.fleet].index(peers_of)
    has_it = (clients.group == place) & (clients.variant == scenario.server_models[model].variant)
    return np.flatnonzero(has_it)


def away(
    scenario: Scenario,
    clients: Population,
    station: int,
    times: Sequence[OutageTimes],
    presence: Presence,
) -> list[Downtime]:
    """Per replica of a server of peers when it is not to be had: its client is away, or its link is down."""
    found, devices = [], devices_with(scenario, clients, station)
    for client in devices[: scenario.stations[station].replicas].tolist():
        periods = [*presence.away(client, scenario.horizon_s)]
        for one in times:
            if one.outage.effect.stops and client in one.clients:
                periods += [*one.shared, *one.of_client.get(client, ())]
        found.append(Downtime(periods))
    return found
