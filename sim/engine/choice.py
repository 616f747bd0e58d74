"""Which loop plays a run: SimPy's, which can play everything, or the compiled one, which is much faster.
Chosen once per run from the scenario; both leave the same state behind, so the choice changes no result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from sim.engine.clock import Clock
from sim.engine.learning import Learning
from sim.engine.simpy_clock import SimPyClock
from sim.engine.state import State
from sim.errors import RunFailed
from sim.scenario import Scenario
from sim.scenario.rules.rates import mean_rate_hz
from sim.world.parameters import Rules

WORTH_LOADING = 50_000  # requests: SimPy's loop plays fewer in the time that it takes to load compiled code
WORTH_COMPILING = 10_000_000  # and it loses 1 to 2 s with each million, so this many are worth 20 s


@dataclass
class EnginePath:
    """name: "simpy" or "compiled"; why: in words. ready_s: wall seconds until it could begin. They are many
    where it had to be compiled; the code is then kept on disk for later runs. tell: hears 0.0 before it is
    compiled, and 1.0 after."""

    name: str
    why: str
    is_demanded: bool = False
    ready_s: float = 0.0
    tell: Callable[[float], None] = lambda _done: None

    def clock(self, rules: Rules, state: State, learning: Learning) -> Clock:
        """What plays the stretches of a run. state: as it is at the beginning.

        Raises RunFailed if compiled code is demanded and Numba cannot be loaded.
        """
        if self.name == "simpy":
            return SimPyClock(rules)
        began = perf_counter()
        try:
            from sim.engine.compiled_clock import CompiledClock  # noqa: PLC0415  (takes time)
            from sim.engine.compiling import is_kept  # noqa: PLC0415
        except ImportError as error:
            if self.is_demanded:
                raise RunFailed(
                    "run", f"engine.path is compiled, but Numba cannot be loaded: {error}"
                ) from error
            self.name, self.why = "simpy", f"Numba cannot be loaded: {error}"
            return SimPyClock(rules)
        try:
            clock, is_cold = CompiledClock(rules), not is_kept()
        except TypeError as error:  # a price that Numba cannot compile
            if self.is_demanded:
                raise RunFailed("run", f"engine.path is compiled, but {error}") from error
            self.name, self.why = "simpy", f"the compiled clock cannot play it: {error}"
            return SimPyClock(rules)
        if is_cold:
            self.tell(0.0)
        clock.compile(state, learning)
        if is_cold:
            self.tell(1.0)
        self.ready_s = perf_counter() - began
        return clock

    def told(self) -> dict[str, Any]:
        """For `timing.json`."""
        return {"name": self.name, "why": self.why, "ready_s": self.ready_s}


def chosen(scenario: Scenario) -> EnginePath:
    """The path that the scenario asks for, or with `auto` the one that will be over first.

    Where no earlier run has left compiled code, that is SimPy's for all but the longest runs.
    """
    if scenario.engine.path != "auto":
        return EnginePath(scenario.engine.path, "as the scenario says", is_demanded=True)
    if not find_spec("numba"):
        return EnginePath("simpy", "Numba is not installed")
    requests = scenario.horizon_s * sum(
        group.clients * mean_rate_hz(scenario, place) for place, group in enumerate(scenario.fleet)
    )
    if requests < WORTH_LOADING:
        return EnginePath(
            "simpy", f"about {requests:.0f} requests; compiled code pays from {WORTH_LOADING} on"
        )
    if requests < WORTH_COMPILING and not _is_compiled():
        return EnginePath(
            "simpy",
            f"about {requests:.0f} requests; to compile the loop pays from {WORTH_COMPILING} on "
            "(one run with engine.path=compiled, and later ones find it compiled)",
        )
    return EnginePath("compiled", f"about {requests:.0f} requests")


def _is_compiled() -> bool:
    try:
        from sim.engine.compiling import is_kept  # noqa: PLC0415
    except ImportError:
        return True  # that Numba cannot be loaded, `player` finds out and says
    return is_kept()
