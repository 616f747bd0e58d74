"""Traces that count the requests of each minute: from counts to instants.
Read by `sim.scenario.files.traces`; the layout is that of Azure Functions 2019."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.scenario.files.requests_of_traces import NO_SAMPLE, Clients, Counted, Requests, Trace, mine
from sim.scenario.files.rows import BadFile, RowFile, Rows, identity
from sim.streams import Draws

MINUTE_S = 60.0
MOST_IN_A_MINUTE = 10_000_000  # of a group: they are held at once, and take about 100 bytes each


class _Counts(NamedTuple):
    """Counts above 0 by minute and then by row, int64 (m,) each; rows and their clients."""

    minute: NDArray[np.int64]
    requests: NDArray[np.int64]
    row: NDArray[np.int64]
    client: NDArray[np.int64]
    names: int
    others: int  # requests of other groups


def requests_of_counts(trace: Trace) -> Iterator[Requests]:
    """The requests of a file whose columns 1, 2, ... hold how many came in each minute. Raises BadFile.

    A minute's requests of a row fall at independent uniform instants of it, keyed by the row, the minute and
    the request's number there: as those of a Poisson process would, given how many there are.
    """
    counts = _read(trace, identity(trace.file))
    draws = Draws(trace.seed, "instants in a minute")
    minutes = np.unique(counts.minute)
    edges, others = np.searchsorted(counts.minute, minutes), counts.others
    for minute, begin, end in zip(minutes.tolist(), edges, [*edges[1:], len(counts.minute)], strict=True):
        here = slice(begin, end)
        times = counts.requests[here]
        row, client = np.repeat(counts.row[here], times), np.repeat(counts.client[here], times)
        number = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
        at_s = (minute + draws.many(row << 16 | minute, number)) * MINUTE_S
        order = np.lexsort((row, at_s))
        n = len(row)
        yield Requests(
            at_s[order],
            client[order],
            row[order],
            np.full(n, NO_SAMPLE, dtype=np.int32),
            np.full(n, np.nan),
            Counted(n + others, others, names=counts.names),
        )
        others = 0


@lru_cache(maxsize=2)
def _read(trace: Trace, _identity: object) -> _Counts:
    file, names, parts = RowFile(trace.file), Clients(trace), []
    file.require(trace.needs)
    columns = _minutes(file)
    others = 0
    also = [name for name in (trace.roles.client, trace.roles.group) if name is not None]
    for rows in file.read(also, columns):
        n = len(rows.columns[columns[0]])
        own = mine(file, rows, trace, n)
        client = names.of(file, rows, own)
        which = np.flatnonzero(own)
        table = _whole(file, rows, columns)
        others += int(table[~own].sum())
        table = table[which]
        at, number = np.nonzero(table)
        parts.append((number, table[at, number], rows.first + which[at], client[at]))
    if not parts:
        raise BadFile("has no rows")
    minute, requests, row, client = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not len(minute):
        whose = f" of group {trace.group}" if trace.roles.group is not None else ""
        raise BadFile(f"has no request{whose}: every count is 0")
    in_minute = np.bincount(minute, weights=requests)
    if in_minute.max() > MOST_IN_A_MINUTE:
        most = int(np.argmax(in_minute))
        rule = f"must be at most {MOST_IN_A_MINUTE:,}"
        raise BadFile(f"counts {in_minute[most]:,.0f} requests in minute {columns[most]}: {rule}")
    order = np.lexsort((row, minute))
    return _Counts(minute[order], requests[order], row[order], client[order], names.names, others)


def _minutes(file: RowFile) -> list[str]:
    """The columns 1, 2, ... up to the last. Raises BadFile if one is missing, or there is a column 0."""
    found = {name for name in file.names if name.isdecimal()}
    if "0" in found:
        raise BadFile("has a column 0: minutes count from 1")
    minutes = [str(minute) for minute in range(1, len(found) + 1)]
    file.require(minutes or ["1"])  # the first that is missing leaves one over
    return minutes


def _whole(file: RowFile, rows: Rows, names: list[str]) -> NDArray[np.int64]:
    """The counts, int64 (rows, minutes). Raises BadFile for what is none."""
    columns = [rows.columns[name] for name in names]
    if all(pa.types.is_int64(column.type) and not column.null_count for column in columns):
        found = np.stack([column.to_numpy() for column in columns], axis=1)
    else:
        found = np.stack([file.numbers(rows, name) for name in names], axis=1)
    wrong = ~((found >= 0) & (found < 2**31)) | (found % 1 != 0)
    if wrong.any():
        row, minute = (int(place) for place in np.argwhere(wrong)[0])
        rule = "must be a number of requests: whole, 0 or more"
        file.refuse(rows, row, names[minute], float(found[row, minute]), rule)
    return np.asarray(found, dtype=np.int64)
