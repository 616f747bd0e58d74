"""Traces of requests: files with a row per request, or counts per minute, checked while they are read.
Requests come in the order of time, a batch at a time; `sim.registry.trace_formats` tells the formats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.registry.trace_formats import TRACE_FORMATS
from sim.scenario.files.instants import Instants, seconds_of
from sim.scenario.files.minute_counts import requests_of_counts
from sim.scenario.files.requests_of_traces import (
    NO_SAMPLE,
    Clients,
    Counted,
    Requests,
    Trace,
    durations,
    joined,
    mine,
    samples,
    work,
)
from sim.scenario.files.rows import BATCH_ROWS, BadFile, RowFile, Rows, identity
from sim.scenario.schema.values import CHUNK_S
from sim.scenario.text.wording import show


class Totals(NamedTuple):
    """What a whole trace amounts to, by its scaled time: requests of the group, the last one's time in s, the
    most in a minute.

    minutes: those in which something comes, float64 (m,), ascending; upto: the requests up to the end of
    each, int64 (m,). first_s: the first one's time. counted: of the file's rows.
    """

    requests: int
    last_s: float
    most_in_a_chunk: int
    minutes: NDArray[np.float64]
    upto: NDArray[np.int64]
    first_s: float
    counted: Counted

    def about_before(self, at_s: float) -> float:
        """The requests before an instant, as if those of a minute were spread over it evenly."""
        place = int(np.searchsorted(self.minutes, at_s / CHUNK_S, side="right")) - 1
        if place < 0:
            return 0.0
        before = float(self.upto[place - 1]) if place else 0.0
        share = min(at_s / CHUNK_S - float(self.minutes[place]), 1.0)
        return before + share * (float(self.upto[place]) - before)


def read_trace(trace: Trace) -> Iterator[Requests]:
    """The group's requests, batch after batch. Raises BadFile at the first row that breaks a rule.

    Times are finite and, unless the trace says where it starts, from 0 on; they never fall from one row to
    the next, whosever the rows are, unless the trace sorts. What lies before the start is left out. With a
    column for the group, rows of other groups are passed over, so one file serves a fleet.
    """
    counted, mine_seen = Counted(), 0
    if TRACE_FORMATS[trace.format].is_counts:
        batches = requests_of_counts(trace)
    else:
        batches = _pieces(_sorted(trace, identity(trace.file))) if trace.sorts else _in_order(trace)
    for batch in batches:
        counted, mine_seen = counted.and_then(batch.counted), mine_seen + len(batch.at_s)
        yield batch
    if not counted.rows:
        raise BadFile("has no rows")
    if not mine_seen:
        whose = f"group {trace.group}" if trace.roles.group is not None else "any request"
        raise BadFile(
            f"has no row of {whose}"
            + (f" from its start on, {counted.early:,} before it" if counted.early else "")
        )


def totals(trace: Trace) -> Totals:
    """Counts a whole trace, and so checks it. Raises BadFile."""
    return _totals(trace, identity(trace.file))


def count_before(trace: Trace, at_s: float) -> int:
    """The group's requests before an instant of the trace, by its scaled time. Raises BadFile."""
    return _count_before(trace, identity(trace.file), at_s)


def first_other_sample(trace: Trace, known: NDArray[np.int32]) -> str | None:
    """Where the group's requests name a sample that is not among those known, and which; None: nowhere."""
    for batch in read_trace(trace):
        wrong = np.flatnonzero((batch.sample != NO_SAMPLE) & ~np.isin(batch.sample, known))
        if len(wrong):
            place = RowFile(trace.file).place(int(batch.row[wrong[0]]))
            return f"{place}: {trace.roles.sample} is {batch.sample[wrong[0]]}"
    return None


@lru_cache(maxsize=64)
def _totals(trace: Trace, _identity: object) -> Totals:
    parts, first_s, last_s = [(np.empty(0), np.empty(0, dtype=np.int64))], np.inf, 0.0
    counted = Counted()
    for batch in read_trace(trace):
        counted = counted.and_then(batch.counted)
        if len(batch.at_s):
            parts.append(np.unique(np.floor(batch.at_s * trace.time_scale / CHUNK_S), return_counts=True))
            first_s = min(first_s, float(batch.at_s[0]) * trace.time_scale)
            last_s = float(batch.at_s[-1]) * trace.time_scale
    minute, count = (np.concatenate(column) for column in zip(*parts, strict=True))
    minutes, first = np.unique(minute, return_index=True)  # batches may meet within one
    counts = np.add.reduceat(count, first)
    most, upto = int(counts.max()), np.cumsum(counts)
    return Totals(int(counts.sum()), last_s, most, minutes, upto, first_s, counted)


@lru_cache(maxsize=64)
def _count_before(trace: Trace, _identity: object, at_s: float) -> int:
    count = 0
    for batch in read_trace(trace):
        before = int(np.searchsorted(batch.at_s * trace.time_scale, at_s))
        count += before
        if before < len(batch.at_s):
            break
    return count


class _Batch(NamedTuple):
    """Rows as they stand: where they were read, the seconds of all of them, and the group's own requests."""

    file: RowFile
    rows: Rows
    is_date: bool
    at_s: NDArray[np.float64]
    requests: Requests


def _batches(trace: Trace) -> Iterator[_Batch]:
    file, names, roles = RowFile(trace.file), Clients(trace), trace.roles
    remedies = {
        column: f"; if it is another one: columns: {{{role}: NAME}}"
        for role, column in roles.single().items()
    }
    file.require(trace.needs, remedies)
    asked = [name for name in (*roles.single().values(), *roles.work) if name in file.names]
    times = Instants(file, str(roles.time), trace.unit, trace.start)
    for rows in file.read(list(dict.fromkeys(filter(None, asked)))):
        at_s = times.seconds(rows)
        _require_finite(file, rows, at_s, str(roles.time))
        if roles.duration is not None:
            at_s = at_s - seconds_of(durations(file, rows, roles.duration), trace.unit)
        own = mine(file, rows, trace, len(at_s))
        client, row = names.of(file, rows, own), rows.first + np.flatnonzero(own)
        told = samples(file, rows, trace, own), work(file, rows, trace, own)
        counted = Counted(len(at_s), len(at_s) - len(client), 0, names.names)
        if len(at_s):
            yield _Batch(file, rows, times.is_date, at_s, Requests(at_s[own], client, row, *told, counted))


def _in_order(trace: Trace) -> Iterator[Requests]:
    """The requests of a file whose rows are in order of time."""
    last_s = None
    for batch in _batches(trace):
        if last_s is None:
            last_s = -np.inf if batch.is_date or trace.start is not None else 0.0
        _require_order(batch, last_s, trace)
        last_s = float(batch.at_s[-1])
        yield _from_start(batch.requests)


@lru_cache(maxsize=2)  # a run reads its trace several times
def _sorted(trace: Trace, _identity: object) -> Requests:
    """The requests in order of time, those of one instant in order of the file; where no other start is given
    than the first, t = 0 is the earliest row, whosever it is."""
    parts, first_s, is_date = [], np.inf, False
    for batch in _batches(trace):
        parts.append(batch.requests)
        first_s, is_date = min(first_s, float(batch.at_s.min())), batch.is_date
    if not parts:
        raise BadFile("has no rows")
    found = joined(parts)
    found = found.part(np.argsort(found.at_s, kind="stable"), found.counted)
    if trace.start == "first" or (is_date and trace.start is None):
        found = found._replace(at_s=found.at_s - first_s)
    return _from_start(found)


def _pieces(found: Requests) -> Iterator[Requests]:
    """Batch after batch; the first tells what was read."""
    yield found.part(slice(BATCH_ROWS), found.counted)
    for first in range(BATCH_ROWS, len(found.at_s), BATCH_ROWS):
        yield found.part(slice(first, first + BATCH_ROWS), Counted(names=found.counted.names))


def _from_start(requests: Requests) -> Requests:
    """Those from t = 0 on."""
    kept = np.flatnonzero(requests.at_s >= 0)
    early = len(requests.at_s) - len(kept)
    return requests.part(kept, requests.counted._replace(early=early)) if early else requests


def _require_finite(file: RowFile, rows: Rows, at_s: NDArray[np.float64], name: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(at_s))
    if len(wrong):
        file.refuse(rows, int(wrong[0]), name, float(at_s[wrong[0]]), "must be a finite number")


def _require_order(batch: _Batch, last_s: float, trace: Trace) -> None:
    at_s, name = batch.at_s, str(trace.roles.time)
    before = np.concatenate([[last_s], at_s[:-1]])
    wrong = np.flatnonzero(at_s < before)
    if not len(wrong):
        return
    row = int(wrong[0])
    value, above = _as_written(batch, name, row), "the row before"
    if row:
        above = f"{show(_as_written(batch, name, row - 1))} of {above}"
    rule = f"must not be below {above}: times are in order, or sort: true puts them so"
    if at_s[row] < 0 and not batch.is_date and trace.start is None:
        rule = "must be 0 or more"
    batch.file.refuse(batch.rows, row, name, value, rule)


def _as_written(batch: _Batch, name: str, row: int) -> Any:
    """A field as it stands in the file, a number as such."""
    value = batch.rows.columns[name][row].as_py()
    if batch.is_date:
        return str(value)
    return float(value)
