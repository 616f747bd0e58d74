"""Rules of what plays the event loop.
Part of the table in `sim.scenario.rules.checks`; which clock plays is chosen by `sim.engine.choice`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from sim.scenario.schema.document import Scenario
from sim.scenario.text.draft import Path


def the_compiled_clock_can_play_it(scenario: Scenario) -> Iterator[tuple[Path, Any, str]]:
    if scenario.engine.path == "compiled" and not find_spec("numba"):
        yield ("engine", "path"), scenario.engine.path, "must be auto or simpy: Numba is not installed"
    python = [group.policy.price.kind for group in scenario.fleet if group.policy.price.is_python]
    if scenario.engine.path == "compiled" and python:
        yield (
            ("engine", "path"),
            scenario.engine.path,
            f"must be auto or simpy: the policy {python[0]} is plain Python",
        )
