"""Rules about what servers heed and clients bring: priorities, work, allowances, breakers, scaling."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import group_of, scenario_of

from sim.scenario.rules import checks


def broken(**parts: Any) -> list[str]:
    """The paths of a small scenario that break a rule, of those that these parts are about."""
    return [".".join(map(str, finding.path)) for finding in checks.findings(scenario_of(**parts))]


def server(**parts: Any) -> dict[str, Any]:
    return {"service": {"kind": "affine", "base_s": 1.0}} | parts


@pytest.mark.parametrize(
    ("priority", "discipline", "paths"),
    [(1, "fifo", ["fleet.1.priority"]), (1, "priority", []), (0, "fifo", [])],
)
def test_a_priority_needs_a_server_that_heeds_it(priority: int, discipline: str, paths: list[str]) -> None:
    fleet = (group_of("a"), group_of("b", priority=priority))
    assert broken(fleet=fleet, server=server(discipline=discipline)) == paths
