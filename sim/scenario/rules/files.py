"""Rules about the files that a scenario names: traces of arrivals and measured durations.
Part of the table in `checks`; each file is read to its end, so that a run does not stop in its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from sim.registry.arrivals import ClosedLoop, TraceArrivals
from sim.scenario.files.measurements import measured_in
from sim.scenario.files.rows import BadFile
from sim.scenario.files.samples import measured
from sim.scenario.files.traces import totals
from sim.scenario.rules.traces import why_nothing_arrives
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.values import SHORTEST_S
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]
MOST_IN_LOOPS = 2**24
MAY_BE_ZERO = {"latency", "latency_in"}  # all other durations take time; of cells the last key is the cell


def traces_can_be_replayed(scenario: Scenario) -> Iterator[Breach]:
    """Sound from end to end, and with a request before the horizon: times in milliseconds would have none."""
    for index, group in enumerate(scenario.fleet):
        process = group.arrivals.process
        if not isinstance(process, TraceArrivals) or any(process.breaches()):
            continue
        path: Path = ("fleet", index, "arrivals", "process", "file")
        horizon_s = scenario.horizon_s
        try:
            totals(process.trace(scenario, index))
            if horizon_s and not process.requests_in_time(scenario, index):
                raise BadFile(
                    f"no request of group {group.group} arrives before horizon_s, {horizon_s:.12g}: "
                    f"{why_nothing_arrives(scenario, index, process)}"
                )
        except BadFile as error:
            yield path, process.file, _said(process.file, error)


def measured_durations_can_be_drawn(scenario: Scenario) -> Iterator[Breach]:
    for path, duration in measured_in((), scenario):
        try:
            measured(duration.file, 0.0 if MAY_BE_ZERO & set(path[-2:]) else SHORTEST_S)
        except BadFile as error:
            yield (*path, "file"), duration.file, _said(duration.file, error)


def a_closed_loop_has_no_shape(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        shape = group.arrivals.shape
        if isinstance(group.arrivals.process, ClosedLoop) and shape.kind != "constant":
            rule = "a closed loop asks when it was answered: its shape must be constant"
            yield ("fleet", index, "arrivals", "shape", "kind"), shape.kind, rule


def the_clients_of_closed_loops_have_numbers(scenario: Scenario) -> Iterator[Breach]:
    """The order of simultaneous events holds a client's number, a request's, and an attempt's in 63 bits."""
    for index, group in enumerate(scenario.fleet):
        if isinstance(group.arrivals.process, ClosedLoop) and scenario.clients > MOST_IN_LOOPS:
            rule = f"a closed loop is for fleets of at most {MOST_IN_LOOPS:,} clients"
            yield ("fleet", index, "arrivals", "process", "kind"), "closed_loop", rule


def _said(file: str, error: BadFile) -> str:
    """The file's own name and line once more, since a long path is shown shortened."""
    return f"{PurePath(file).name}: {error}"


FILE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    traces_can_be_replayed,
    measured_durations_can_be_drawn,
    a_closed_loop_has_no_shape,
    the_clients_of_closed_loops_have_numbers,
)
