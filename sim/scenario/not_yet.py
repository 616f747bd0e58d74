"""What the vocabulary already has words for and the simulator cannot do yet.
A table of paths and the values that work today; when something is built, its line here changes or goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sim.scenario.document import Scenario
from sim.scenario.draft import Finding, Path
from sim.scenario.wording import show

WORKS_TODAY: dict[str, tuple[Any, ...]] = {
    "fleet.*.rejector.family": ("linear", "mlp", "lenet5"),
}


class Met(NamedTuple):
    path: Path
    value: Any


def findings(scenario: Scenario) -> Iterator[Finding]:
    """One finding for each value that the simulator cannot use yet."""
    for pattern, works in WORKS_TODAY.items():
        for path, value in matches(scenario, pattern):
            if value not in works:
                yield _not_available(path, value, ", ".join(_word(one) for one in works))


def matches(scenario: Scenario, pattern: str) -> list[Met]:
    """The places of a scenario that a pattern such as `fleet.*.policy.score` names, and what stands there."""
    here = [Met((), scenario)]
    for step in pattern.split("."):
        if step == "*":
            here = [Met((*path, index), entry) for path, value in here for index, entry in enumerate(value)]
        else:
            # A part of another kind, or null, has no such key: nothing to say about it.
            here = [Met((*path, step), getattr(value, step)) for path, value in here if hasattr(value, step)]
    return here


def _not_available(path: Path, value: Any, works: str) -> Finding:
    return Finding(path, f"{_word(value)} is not available yet (works today: {works})")


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return show(tuple(entry.model_dump() for entry in value))
    return show(value.model_dump() if hasattr(value, "model_dump") else value)
