"""The door for other people's code: what is here stays where it is; all else may move.
`import l2h_fleet` takes no time: whatever is heavy is loaded by who asks for it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim import __version__

if TYPE_CHECKING:
    from analysis.run_folder.run import Run, load_run
    from l2h_fleet.many import compare, study, sweep
    from l2h_fleet.one import run
    from l2h_fleet.scenario import Scenario
    from sim.errors import BadInput, RunFailed

__all__ = [
    "BadInput",
    "Run",
    "RunFailed",
    "Scenario",
    "__version__",
    "compare",
    "load_run",
    "run",
    "study",
    "sweep",
]

_STANDS_IN = {
    "BadInput": "sim.errors",
    "Run": "analysis.run_folder.run",
    "RunFailed": "sim.errors",
    "Scenario": "l2h_fleet.scenario",
    "compare": "l2h_fleet.many",
    "load_run": "analysis.run_folder.run",
    "run": "l2h_fleet.one",
    "study": "l2h_fleet.many",
    "sweep": "l2h_fleet.many",
}


def __getattr__(name: str) -> Any:
    if name not in _STANDS_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_STANDS_IN[name]), name)


def __dir__() -> list[str]:
    return __all__
