"""The door for other people's code: what is here stays where it is; all else may move.
`import l2h_fleet` takes no time: whatever is heavy is loaded by who asks for it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim import __version__

if TYPE_CHECKING:
    from analysis.metrics.measures import Ratio
    from analysis.run_folder.run import Run, load_run
    from analysis.theory.prediction import Law, Prediction, Simulated
    from commands.plugins.loading import load as load_plugin
    from commands.plugins.registering import register
    from l2h_fleet.checks import check
    from l2h_fleet.gym import FleetEnv, make_env, make_vec_env
    from l2h_fleet.many import Capacity, capacity, compare, study, sweep
    from l2h_fleet.one import run
    from l2h_fleet.own import (
        LOCAL,
        REFUSED,
        REMOTE,
        TIMED_OUT,
        Arrivals,
        Duration,
        Outage,
        Outcome,
        Request,
        Service,
        Shape,
    )
    from l2h_fleet.scenario import Scenario
    from sim.errors import BadInput, RunFailed
    from sim.registry.choices import Candidate
    from sim.registry.disciplines import Waiting

__all__ = [
    "LOCAL",
    "REFUSED",
    "REMOTE",
    "TIMED_OUT",
    "Arrivals",
    "BadInput",
    "Candidate",
    "Capacity",
    "Duration",
    "FleetEnv",
    "Law",
    "Outage",
    "Outcome",
    "Prediction",
    "Ratio",
    "Request",
    "Run",
    "RunFailed",
    "Scenario",
    "Service",
    "Shape",
    "Simulated",
    "Waiting",
    "__version__",
    "capacity",
    "check",
    "compare",
    "load_plugin",
    "load_run",
    "make_env",
    "make_vec_env",
    "register",
    "run",
    "study",
    "sweep",
]

_STANDS_IN = {
    "BadInput": "sim.errors",
    "Candidate": "sim.registry.choices",
    "Waiting": "sim.registry.disciplines",
    "FleetEnv": "l2h_fleet.gym",
    "Law": "analysis.theory.prediction",
    "Prediction": "analysis.theory.prediction",
    "Ratio": "analysis.metrics.measures",
    "Run": "analysis.run_folder.run",
    "RunFailed": "sim.errors",
    "Scenario": "l2h_fleet.scenario",
    "Simulated": "analysis.theory.prediction",
    "Capacity": "l2h_fleet.many",
    "capacity": "l2h_fleet.many",
    "check": "l2h_fleet.checks",
    "compare": "l2h_fleet.many",
    "load_plugin": "commands.plugins.loading:load",
    "load_run": "analysis.run_folder.run",
    "make_env": "l2h_fleet.gym",
    "make_vec_env": "l2h_fleet.gym",
    "register": "commands.plugins.registering",
    "run": "l2h_fleet.one",
    "study": "l2h_fleet.many",
    "sweep": "l2h_fleet.many",
}
_OWN = set(__all__) - set(_STANDS_IN) - {"__version__"}


def __getattr__(name: str) -> Any:
    if name not in _STANDS_IN and name not in _OWN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _STANDS_IN.get(name, "l2h_fleet.own").partition(":")
    return getattr(import_module(module), there or name)


def __dir__() -> list[str]:
    return __all__
