"""What an own kind is made from: base classes, what prices and policies are told, and codes.
For who writes plugins; each name stands in `l2h_fleet`, docs/own_code.md shows it at work."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.policy.outcomes import Outcome, Request
from sim.policy.own import LOCAL
from sim.registry.arrivals import ArrivalProcess
from sim.registry.durations import RandomDuration as Duration
from sim.registry.outages import OutageWhen as Outage
from sim.registry.service import ServiceLaw as Service
from sim.registry.shapes import RateShape as Shape
from sim.results.columns import OUTCOMES
from sim.scenario import Scenario
from sim.world.arrivals.by_minute import ByMinute
from sim.world.arrivals.processes import Group
from sim.world.population import Population

__all__ = [
    "LOCAL",
    "REFUSED",
    "REMOTE",
    "TIMED_OUT",
    "Arrivals",
    "Duration",
    "Outage",
    "Outcome",
    "Request",
    "Service",
    "Shape",
]

REMOTE, REFUSED, TIMED_OUT = (OUTCOMES.index(name) for name in ("remote", "refused", "timed_out"))


class Arrivals(ArrivalProcess):
    """A process that says, client by client and minute by minute, when requests arrive."""

    def instants(
        self, draw: np.random.Generator, client: int, from_s: float, until_s: float
    ) -> NDArray[np.float64]:
        """Seconds in [from_s, until_s), ascending, (n,), of a client, numbered from 0 in its group.

        draw: of this client and minute alone, so the same in whatever windows a run is played.
        """
        raise NotImplementedError

    def source(self, scenario: Scenario, clients: Population, place: int) -> Group:
        group: Any = scenario.fleet[place]
        return ByMinute(
            scenario.seed, self.instants, group.arrivals.shape, clients.first[place], group.clients
        )
