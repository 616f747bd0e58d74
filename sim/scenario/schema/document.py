"""The whole scenario, as one frozen object: what `read` returns and every other module reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.schema.fleet import Group
from sim.scenario.schema.server import Server
from sim.scenario.schema.training import Costs, Data, Study, Training
from sim.scenario.schema.values import Instant, Name, Part


class Engine(Part):
    """How the event loop is run, which changes no result."""

    path: Literal["auto", "simpy", "compiled"] = "auto"
    """`compiled`: by Numba; `simpy`: by SimPy's loop; `auto`: by whichever is over first."""


class Scenario(Part):
    """A question put to a fleet: who the clients are, what the server can do, when it fails, what learns."""

    name: Name
    """Name of the scenario, and of its run folder unless `--out` says otherwise."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Every draw follows from it; two scenarios under one seed share the draws that both need."""
    horizon_s: Instant
    """Virtual time at which the run ends; 0 learns only and simulates no traffic."""
    warm_up_s: Instant = 0.0
    """Requests that arrive before it are simulated and left out of every number of the summary; less than the
    horizon."""
    data: Data = Data()
    """Samples and how they are shared out."""
    costs: Costs = Costs()
    """What a send and a wrong answer cost."""
    fleet: Annotated[tuple[Group, ...], Field(min_length=1)]
    """The groups of clients."""
    server: Server
    """The one server that all clients share."""
    training: Training = Training()
    """How server and rejectors learn, before and during the run."""
    study: Study | None = None
    """More settings in which rejectors are trained and judged, without traffic; null: none."""
    engine: Engine = Engine()
    """How the event loop is played; it changes no result."""

    @property
    def clients(self) -> int:
        """Number of clients in all groups."""
        return sum(group.clients for group in self.fleet)
