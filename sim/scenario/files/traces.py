"""Traces of arrivals: files with a row per request, checked while they are read, a batch at a time.
Columns: `time` in seconds; `client`, numbered from 0 within its group, and `group` where they are known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile, RowFile, Rows, identity
from sim.scenario.schema.values import CHUNK_S
from sim.scenario.text.wording import nearest, number, show

COLUMNS = ("time", "client", "group")


class Trace(NamedTuple):
    """Whose requests a file gives: those of `group`, one of `groups`, with that many clients.

    time_scale: seconds of a run that one of the file's is; for what `totals` and `count_before` say.
    """

    file: str
    group: str
    groups: tuple[str, ...]
    clients: int
    time_scale: float = 1.0


class Requests(NamedTuple):
    """Requests of the group, in the order of the file: its seconds, and clients (None: it names none)."""

    at_s: NDArray[np.float64]
    client: NDArray[np.int64] | None


class Totals(NamedTuple):
    """What a whole trace amounts to, by its scaled time: requests of the group, the last one's time in s, the
    most in a minute.

    minutes: those in which something comes, float64 (m,), ascending; upto: the requests up to the end of
    each, int64 (m,).
    """

    requests: int
    last_s: float
    most_in_a_chunk: int
    minutes: NDArray[np.float64]
    upto: NDArray[np.int64]

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

    Times are finite, from 0 on, and never fall from one row to the next, whosever the rows are. With a
    column `group`, rows of other groups are passed over, so one file serves a fleet.
    """
    file = RowFile(trace.file)
    if "time" not in file.names:
        raise BadFile(f"has no column time, only {', '.join(map(show, file.names))}")
    names = [name for name in COLUMNS if name in file.names]
    rows_seen, mine_seen, last_s = 0, 0, 0.0
    for rows in file.read(names):
        at_s = _times(file, rows, last_s)
        if not len(at_s):
            continue
        rows_seen, last_s = rows_seen + len(at_s), float(at_s[-1])
        mine = _mine(file, rows, trace)
        client = _clients(file, rows, trace, mine) if "client" in names else None
        mine_seen += int(np.count_nonzero(mine))
        yield Requests(at_s[mine], client)
    if not rows_seen:
        raise BadFile("has no rows")
    if not mine_seen:
        raise BadFile(f"has no row of group {trace.group}")


def totals(trace: Trace) -> Totals:
    """Counts a whole trace, and so checks it. Raises BadFile."""
    return _totals(trace, identity(trace.file))


def count_before(trace: Trace, at_s: float) -> int:
    """The group's requests before an instant of the trace, by its scaled time. Raises BadFile."""
    return _count_before(trace, identity(trace.file), at_s)


@lru_cache(maxsize=64)
def _totals(trace: Trace, _identity: object) -> Totals:
    parts, last_s = [(np.empty(0), np.empty(0, dtype=np.int64))], 0.0
    for batch in read_trace(trace):
        if len(batch.at_s):
            parts.append(np.unique(np.floor(batch.at_s * trace.time_scale / CHUNK_S), return_counts=True))
            last_s = float(batch.at_s[-1]) * trace.time_scale
    minute, count = (np.concatenate(column) for column in zip(*parts, strict=True))
    minutes, first = np.unique(minute, return_index=True)  # batches may meet within one
    counts = np.add.reduceat(count, first)
    return Totals(int(counts.sum()), last_s, int(counts.max()), minutes, np.cumsum(counts))


@lru_cache(maxsize=64)
def _count_before(trace: Trace, _identity: object, at_s: float) -> int:
    count = 0
    for batch in read_trace(trace):
        before = int(np.searchsorted(batch.at_s * trace.time_scale, at_s))
        count += before
        if before < len(batch.at_s):
            break
    return count


def _times(file: RowFile, rows: Rows, last_s: float) -> NDArray[np.float64]:
    at_s = file.numbers(rows, "time")
    before = np.concatenate([[last_s], at_s[:-1]])
    wrong = np.flatnonzero(~np.isfinite(at_s) | (at_s < 0) | (at_s < before))
    if len(wrong):
        row = int(wrong[0])
        at, rule = float(at_s[row]), "must be a finite number"
        if at < 0:
            rule = "must be 0 or more"
        elif np.isfinite(at):
            rule = f"must not be below {number(float(before[row]))} of the row before: times are in order"
        raise BadFile(f"{file.place(rows.first + row)}: time is {number(at)}: {rule}")
    return at_s


def _mine(file: RowFile, rows: Rows, trace: Trace) -> NDArray[np.bool_]:
    """The rows of the trace's group."""
    if "group" not in rows.columns:
        return np.ones(len(rows.columns["time"]), dtype=np.bool_)
    column = rows.columns["group"].cast("string").fill_null("")
    mine = np.zeros(len(column), dtype=np.bool_)
    for name in pc.unique(column).to_pylist():
        here = pc.equal(column, name).to_numpy(zero_copy_only=False)
        if name not in trace.groups:
            place = file.place(rows.first + int(np.argmax(here)))
            raise BadFile(f"{place}: there is no group {show(name)}: {nearest(name, trace.groups)}")
        if name == trace.group:
            mine = here
    return mine


def _clients(file: RowFile, rows: Rows, trace: Trace, mine: NDArray[np.bool_]) -> NDArray[np.int64]:
    client = file.numbers(rows, "client")
    wrong = np.flatnonzero(mine & ~((client >= 0) & (client < trace.clients) & (client == np.floor(client))))
    if len(wrong):
        row = int(wrong[0])
        place, shown = file.place(rows.first + row), f"{client[row]:.12g}"
        numbers = "0" if trace.clients == 1 else f"0 to {trace.clients - 1}"
        raise BadFile(f"{place}: client is {shown}: group {trace.group} has the clients {numbers}")
    return client[mine].astype(np.int64)
