"""What is compiled, and for which types of arguments; every run has the same, so one entry serves all.
The only module here that knows the event loop."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sim.engine.compiled_clock import CompiledClock, types_of, walk
from sim.engine.compiling import kept
from sim.engine.compiling.decorators import is_switched_off
from sim.engine.learning import Learning
from sim.engine.state import at_start
from sim.messages import GroupTables, Learned, Phase, Samples, Tables
from sim.scenario import Scenario
from sim.world.world import World

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
    world = World(Scenario.model_validate(SMALLEST))
    clock, learning = CompiledClock(world.parameters), Learning(world, _learned())
    return types_of(clock.context_of_nothing(at_start(world), learning))


def _learned() -> Learned:
    """Tables of one sample that nobody asks about."""
    one, none = np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int16)
    axis = Samples(one, one, one, none, np.zeros(1, dtype=np.int8), np.zeros(1, dtype=bool))
    tables = Tables((GroupTables(none[None], np.zeros((1, 1), dtype=np.float32)),), none)
    phase = Phase(0.0, one, np.array([0, 1]), np.ones((1, 1)))
    return Learned(axis, ((phase,),), tables, (("",),), {}, {}, {})


def is_kept() -> bool:
    """Whether there is nothing to compile, for any run."""
    return is_switched_off() or is_in_memory() or kept.is_kept(function, argument_types())


def is_in_memory() -> bool:
    """Whether this process has compiled it, or read it, already."""
    return bool(function.signatures)
