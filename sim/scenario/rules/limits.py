"""Rules about what limits clients: when a circuit breaker opens.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.scenario.schema.document import Scenario
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]


def breakers_open(scenario: Scenario) -> Iterator[Breach]:
    """By failures on end, or by a ratio of the last attempts."""
    for index, group in enumerate(scenario.fleet):
        breaker, path = group.breaker, ("fleet", index, "breaker")
        if breaker is None:
            continue
        if (breaker.failures is None) == (breaker.ratio is None):
            yield path, "...", "opens by failures or by ratio: give one of the two"
        elif (breaker.window is None) != (breaker.ratio is None):
            yield (*path, "window"), breaker.window, "goes with ratio: give both or neither"


LIMIT_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (breakers_open,)
