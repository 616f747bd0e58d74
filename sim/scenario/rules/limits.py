"""Rules about what limits clients: when a circuit breaker opens, who shares retry tokens.
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


def what_is_shared_is_limited(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        if group.retry and group.retry.allowance is None and group.retry.allowance_by != "client":
            path: Path = ("fleet", index, "retry", "allowance_by")
            yield path, group.retry.allowance_by, "there is nothing to share: give an allowance"


LIMIT_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    breakers_open,
    what_is_shared_is_limited,
)
