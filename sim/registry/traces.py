"""From what a scenario says of a trace to how it is read: the format's columns, unit and start, or its own.
Used by the process `trace` of `sim.registry.arrivals`; files are read by `sim.scenario.files.traces`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sim.registry.trace_formats import TRACE_FORMATS, Roles
from sim.scenario.files.instants import is_date
from sim.scenario.files.requests_of_traces import Trace
from sim.scenario.schema.values import Part

if TYPE_CHECKING:
    from sim.registry.arrivals import TraceArrivals


class TraceColumns(Part):
    """Which column of the file says what; null: as the format has it."""

    time: str | None = None
    """When the request comes; with `duration`, when it was over."""
    client: str | None = None
    """The client: its number, or a name (`client_by`); where empty, the request is dealt to one."""
    group: str | None = None
    """The group; rows of other groups are passed over."""
    sample: str | None = None
    """The sample that is asked about, by its index in the data set; where empty, it is drawn."""
    duration: str | None = None
    """How long the request took, in the unit of the times: it came so much before `time`."""
    work: str | None = None
    """How much work it is, such as tokens: kept in the column `work` of `requests`; service takes longer for
    it with `work_of_one`."""


def roles_of(process: TraceArrivals) -> Roles:
    """The columns that are read."""
    given = {name: column for name, column in process.columns.model_dump().items() if column is not None}
    if "work" in given:
        given["work"] = (given["work"],)
    return TRACE_FORMATS[process.format].roles._replace(**given)


def trace_of(process: TraceArrivals, group: str, groups: tuple[str, ...], clients: int, seed: int) -> Trace:
    """How the requests of a group are read."""
    known, roles = TRACE_FORMATS[process.format], roles_of(process)
    may_lack = {role for role in known.may_lack if getattr(process.columns, role) is None}
    needs = [name for role, name in roles.single().items() if name is not None and role not in may_lack]
    start = process.start
    if start is None and known.begins_at_first:
        start = "first"
    return Trace(
        file=process.file,
        group=group,
        groups=groups,
        clients=clients,
        time_scale=process.time_scale,
        format=process.format,
        roles=roles,
        needs=(*needs, *roles.work),
        unit=process.unit or known.unit,
        start=start,
        client_by=process.client_by or known.client_by,
        sorts=process.sort or known.sorts or roles.duration is not None,
        seed=seed if known.is_counts else 0,
    )


def breaches_of(process: TraceArrivals) -> Iterator[tuple[str, Any, str]]:
    """Keys that do not go together, each with its value and the rule."""
    start, columns = process.start, process.columns
    if isinstance(start, str) and start != "first" and not is_date(start):
        yield "start", start, "must be first, a number, or a date such as 2024-05-01 or 2024-05-01T13:00:00Z"
    if process.work_of_one is not None and not roles_of(process).work:
        yield "work_of_one", process.work_of_one, "needs a column of work: name it in columns"
    if not TRACE_FORMATS[process.format].is_counts:
        return
    for role in ("time", "duration", "sample", "work"):
        if getattr(columns, role) is not None:
            rule = f"{process.format} has columns of counts per minute, and none for {role}"
            yield "columns", columns.model_dump(exclude_none=True), rule
    for key in ("unit", "start"):
        if getattr(process, key) is not None:
            yield key, getattr(process, key), f"{process.format} counts minutes from 0: leave it out"
