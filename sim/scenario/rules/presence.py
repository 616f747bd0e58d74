"""Rules about clients that join and leave: when they do, and where nobody knows yet what becomes of it.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from sim.scenario.files.rows import BadFile
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Presence
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import show
from sim.world.presence import mean_there

Breach = tuple[Path, Any, str]
MOST_VISITS = 10_000_000


def clients_may_join(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        rule, path = group.presence, ("fleet", index, "presence")
        if rule is None:
            continue
        joins, is_written = (rule.join_hz is not None, rule.stay is not None), rule.at is not None
        if any(joins) == is_written or any(joins) != all(joins):
            yield path, "...", "give join_hz and stay, or at"
        elif is_written:
            yield from _written_ones_lie_in_the_run(scenario, rule, (*path, "at"))
        else:
            yield from _enough_may_come(scenario, group, path)
        if group.arrivals.process.kind == "closed_loop":
            yield path, "...", "not yet with a closed_loop: must be null"
        if scenario.training.online is not None:
            yield path, "...", "not yet with training.online: must be null"


def _written_ones_lie_in_the_run(scenario: Scenario, rule: Presence, path: Path) -> Iterator[Breach]:
    for place, (begin, end) in enumerate(rule.at or ()):
        if begin >= end:
            yield (*path, place), (begin, end), "must end after it begins"
        elif scenario.horizon_s > 0 and end > scenario.horizon_s:
            yield (*path, place), (begin, end), f"must lie between 0 and horizon_s, {scenario.horizon_s:.12g}"
    for place, (before, after) in enumerate(pairwise(rule.at or ()), start=1):
        if after[0] <= before[1]:
            yield (*path, place), after, f"must begin after {show(before)} is over"


def _enough_may_come(scenario: Scenario, group: Group, path: Path) -> Iterator[Breach]:
    join_hz = group.presence.join_hz if group.presence else None
    assert join_hz is not None
    if join_hz * scenario.horizon_s > MOST_VISITS:
        yield (*path, "join_hz"), join_hz, f"comes to more than {MOST_VISITS:,} visits in the run"
    try:
        there = mean_there(group)
    except BadFile:  # which another rule tells
        return
    if there is not None and there > group.clients:
        rule = (
            f"with this stay {there:.4g} clients would be there on average, of {group.clients} that there are"
        )
        yield (*path, "join_hz"), join_hz, rule


PRESENCE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (clients_may_join,)
