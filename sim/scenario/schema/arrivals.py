"""What a scenario says about when requests arrive at a client: a process, and a shape laid over it.
Their kinds stand in `sim.registry`."""

from __future__ import annotations

from sim.registry.arrivals import Process
from sim.registry.shapes import Constant, Shape
from sim.scenario.schema.values import Part


class Arrivals(Part):
    """When requests arrive at each client of a group."""

    process: Process
    """Law of the gaps between a client's requests."""
    shape: Shape = Constant()
    """How the rate changes over virtual time."""
