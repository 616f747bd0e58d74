"""Which loop plays a run: SimPy's, which can play everything, or the compiled one, which is much faster.
Chosen once per run from the scenario; both leave the same state behind, so the choice changes no result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from sim import loop
from sim.chunk import Play
from sim.errors import RunFailed
from sim.learning import Learning
from sim.rules import Rules
from sim.scenario import Scenario
from sim.scenario.engine_checks import outside_reach
from sim.scenario.rates import mean_rate_hz
from sim.state import State

WORTH_COMPILING = 50_000  # requests: SimPy's loop plays fewer in the time that it takes to load compiled code


@dataclass
class EnginePath:
    """name: "simpy" or "compiled"; why: in words. ready_s: wall seconds until it could begin. They are many
    where it had to be compiled; the code is then kept on disk for later runs."""

    name: str
    why: str
    is_demanded: bool = False
    ready_s: float = 0.0

    def player(self, rules: Rules, state: State, learning: Learning) -> Play:
        """Plays the stretches of a run. state: as it is at the beginning.

        Raises RunFailed if compiled code is demanded and Numba cannot be loaded.
        """
        if self.name == "simpy":
            return partial(loop.play, rules)
        began = perf_counter()
        try:
            from sim.kernel.stretch import Kernel  # noqa: PLC0415  (takes time, and Numba may be broken)
        except ImportError as error:
            if self.is_demanded:
                raise RunFailed(
                    "run", f"engine.path is compiled, but Numba cannot be loaded: {error}"
                ) from error
            self.name, self.why = "simpy", f"Numba cannot be loaded: {error}"
            return partial(loop.play, rules)
        kernel = Kernel(rules)
        kernel.compile(state, learning)
        self.ready_s = perf_counter() - began
        return kernel.play

    def told(self) -> dict[str, Any]:
        """For `timing.json`."""
        return {"name": self.name, "why": self.why, "ready_s": self.ready_s}


def chosen(scenario: Scenario) -> EnginePath:
    """The path that the scenario asks for, or with `auto` the one that will be over first."""
    if scenario.engine.path != "auto":
        return EnginePath(scenario.engine.path, "as the scenario says", is_demanded=True)
    why = outside_reach(scenario)
    if why:
        return EnginePath("simpy", f"the compiled loop cannot play it: {why}")
    requests = scenario.horizon_s * sum(
        group.clients * mean_rate_hz(scenario, place) for place, group in enumerate(scenario.fleet)
    )
    if requests < WORTH_COMPILING:
        return EnginePath(
            "simpy", f"about {requests:.0f} requests; compiled code pays from {WORTH_COMPILING} on"
        )
    return EnginePath("compiled", "decisions do not depend on what happens in the run")
