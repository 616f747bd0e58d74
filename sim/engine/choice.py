"""Which loop plays a run: SimPy's, which can play everything, or the compiled one, which is much faster.
Chosen once per run from the scenario and from what is compiled by then; both leave the same state behind, so
the choice changes no result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter
from typing import Any, ClassVar

from sim.engine.clock import Clock
from sim.engine.simpy_clock import SimPyClock
from sim.errors import RunFailed
from sim.scenario import Scenario
from sim.scenario.rules.rates import expected_requests
from sim.world.parameters import Parameters

WORTH_LOADING = 50_000  # requests: SimPy's loop plays fewer in the time that it takes to load compiled code
SAVED_S = 5e-6  # wall time that compiled code saves with each request, at most
COMPILE_S = 20.0  # wall time to compile it, on a core of its own
FEW = "about {:.0f} requests; compiled code pays from {} on"
COLD = (
    "about {:.0f} requests; to compile the loop pays from {:.0f} on "
    "(one run with engine.path=compiled, and later ones find it compiled)"
)
NOT_YET = "about {:.0f} requests; the loop is still being compiled, and to wait for it pays from {:.0f} on"


@dataclass
class EnginePath:
    """name: "simpy" or "compiled"; why: in words. ready_s: wall seconds until it could begin. They are many
    where it had to be compiled; the code is then kept on disk for later runs. tell: hears which share of that
    is over, and whether another process does it."""

    name: str
    why: str
    is_demanded: bool = False
    ready_s: float = 0.0
    tell: Callable[[float, bool], None] = lambda _done, _elsewhere: None

    is_measured: ClassVar[bool] = False  # whether replicas stop and start when they do, and not as planned

    def clock(self, parameters: Parameters) -> Clock:
        """What plays the stretches of a run.

        Raises RunFailed if compiled code is demanded and Numba cannot be loaded.
        """
        if self.name == "simpy":
            return SimPyClock(parameters)
        began = perf_counter()
        try:
            from sim.engine.compiled_clock import CompiledClock  # noqa: PLC0415  (takes time)
            from sim.engine.compiling import kept, target  # noqa: PLC0415
        except ImportError as error:
            if self.is_demanded:
                raise RunFailed(
                    "run", f"engine.path is compiled, but Numba cannot be loaded: {error}"
                ) from error
            self.name, self.why = "simpy", f"Numba cannot be loaded: {error}"
            return SimPyClock(parameters)
        try:
            clock, is_cold = CompiledClock(parameters), not target.is_kept()
        except TypeError as error:  # a price that Numba cannot compile
            if self.is_demanded:
                raise RunFailed("run", f"engine.path is compiled, but {error}") from error
            self.name, self.why = "simpy", f"the compiled clock cannot play it: {error}"
            return SimPyClock(parameters)
        if is_cold:
            kept.wait(
                target.function, target.argument_types(), lambda since_s: self.tell(_share(since_s), True)
            )
        is_elsewhere = target.is_kept()
        if not is_elsewhere:
            self.tell(0.0, False)
        clock.compile()
        if is_cold:
            self.tell(1.0, is_elsewhere)
        self.ready_s = perf_counter() - began
        return clock

    def told(self) -> dict[str, Any]:
        """For `timing.json`."""
        return {"name": self.name, "why": self.why, "ready_s": self.ready_s}


def chosen(scenario: Scenario) -> EnginePath:
    """The path that the scenario asks for, or with `auto` the one that will be over first.

    Where no code has been compiled yet, that is SimPy's for all but the longest runs.
    """
    if scenario.engine.path != "auto":
        return EnginePath(scenario.engine.path, "as the scenario says", is_demanded=True)
    if not find_spec("numba"):
        return EnginePath("simpy", "Numba is not installed")
    if _has_python_policies(scenario):
        return EnginePath("simpy", "a policy is plain Python")
    requests = expected_requests(scenario)
    if requests < WORTH_LOADING:
        return EnginePath("simpy", FEW.format(requests, WORTH_LOADING))
    left_s, is_begun = _until_compiled_s()
    if requests * SAVED_S < left_s:
        return EnginePath("simpy", (NOT_YET if is_begun else COLD).format(requests, left_s / SAVED_S))
    return EnginePath("compiled", f"about {requests:.0f} requests")


def is_worth_compiling_beside(scenario: Scenario) -> bool:
    """Whether the compiled loop would play this, were it compiled, and it neither is nor is about to be."""
    if scenario.engine.path == "simpy" or not find_spec("numba") or not scenario.horizon_s:
        return False
    if _has_python_policies(scenario):
        return False
    if scenario.engine.path == "auto" and expected_requests(scenario) < WORTH_LOADING:
        return False
    left_s, is_begun = _until_compiled_s()
    return left_s > 0 and not is_begun


def is_half_compiled() -> bool:
    """Whether some process has compiled for so long that it would be a pity to end it now."""
    left_s, is_begun = _until_compiled_s()
    return is_begun and left_s <= COMPILE_S / 2


def is_compiled() -> bool:
    """Whether there is nothing to compile and nothing to wait for."""
    return _until_compiled_s()[0] == 0


def _has_python_policies(scenario: Scenario) -> bool:
    return any(group.policy.price.is_python for group in scenario.fleet)


def _until_compiled_s() -> tuple[float, bool]:
    """Wall seconds until there is compiled code, as far as one can know; whether some process is at it."""
    try:
        from sim.engine.compiling import kept, target  # noqa: PLC0415
    except ImportError:
        return 0.0, False  # that Numba cannot be loaded, `clock` finds out and says
    if target.is_kept():
        return 0.0, False
    since_s = kept.compiling_since_s(target.function, target.argument_types())
    if since_s is None:
        return COMPILE_S, False
    return max(COMPILE_S - since_s, since_s / 4), True  # who is late will be later


def _share(since_s: float) -> float:
    """Of the compiling that is over after so many seconds: never all, and nine tenths when it should be."""
    return float(1 - 0.1 ** (since_s / COMPILE_S))
