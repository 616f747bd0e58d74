"""What is compiled, and for which types of arguments; every run has the same, so one entry serves all.
The only module here that knows the event loop."""

from __future__ import annotations

from functools import cache
from typing import Any

from sim.engine.compiling import kept
from sim.engine.compiling.decorators import is_switched_off
from sim.engine.kernel.stretch import Kernel
from sim.engine.kernel.walk import walk
from sim.engine.state import at_start
from sim.scenario import Scenario
from sim.world.outages.capacity import slowness
from sim.world.parameters import rules

SMALLEST = {
    "name": "smallest",
    "horizon_s": 1.0,
    "fleet": ({"group": "one", "clients": 1, "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}}},),
    "server": {"service": {"kind": "affine", "base_s": 1.0}},
}

function = walk


@cache
def argument_types() -> tuple[Any, ...]:
    """Numba's types of what the function is called with, whatever the scenario."""
    scenario = Scenario.model_validate(SMALLEST)
    parameters = rules(scenario)
    state = at_start(scenario, int(parameters.capacity.usable[0]))
    return Kernel(parameters).argument_types(state, slowness(scenario))


def is_kept() -> bool:
    """Whether there is nothing to compile."""
    return is_switched_off() or kept.is_kept(function, argument_types())
