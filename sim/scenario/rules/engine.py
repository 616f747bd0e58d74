"""Which scenarios the compiled event loop can play, and why it cannot play the others.
Asked when a scenario demands that path, and by `sim.engine.choice`, which chooses one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from sim.scenario.schema.arrivals import ClosedLoop
from sim.scenario.schema.document import Scenario
from sim.scenario.text.draft import Path

HEAR_REPLIES = ("availability_aware", "queue_aware")  # so decisions must wait for the loop
DISCIPLINES = ("fifo", "lifo", "edf")


def outside_reach(scenario: Scenario) -> str:
    """Why the compiled loop cannot play this scenario; "" if it can."""
    for group in scenario.fleet:
        if group.policy.price.kind in HEAR_REPLIES:
            return f"the price {group.policy.price.kind} of {group.group} follows what happens in the run"
        if isinstance(group.arrivals.process, ClosedLoop):
            return f"the clients of {group.group} wait for answers before they ask again"
    if scenario.server.autoscaling is not None:
        return "the server scales itself"
    if scenario.server.discipline not in DISCIPLINES:
        return f"the discipline is {scenario.server.discipline}"
    return "" if find_spec("numba") else "Numba is not installed"


def the_compiled_path_can_play(scenario: Scenario) -> Iterator[tuple[Path, Any, str]]:
    why = outside_reach(scenario) if scenario.engine.path == "compiled" else ""
    if why:
        yield ("engine", "path"), scenario.engine.path, f"must be auto or simpy: {why}"
