"""The whole scenario, as one frozen object: what `read` returns and every other module reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.fleet import Group
from sim.scenario.server import Server
from sim.scenario.training import Costs, Data, Study, Training
from sim.scenario.values import Instant, Name, Part


class Engine(Part):
    """How the event loop is run, which changes no result. compiled: by Numba; auto: where that is faster."""

    path: Literal["auto", "simpy", "compiled"] = "auto"


class Scenario(Part):
    """A question put to a fleet: who the clients are, what the server can do, when it fails, what learns."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    horizon_s: Instant
    warm_up_s: Instant = 0.0
    data: Data = Data()
    costs: Costs = Costs()
    fleet: Annotated[tuple[Group, ...], Field(min_length=1)]
    server: Server
    training: Training = Training()
    study: Study | None = None
    engine: Engine = Engine()

    @property
    def clients(self) -> int:
        """Number of clients in all groups."""
        return sum(group.clients for group in self.fleet)
