"""Outages read from a file: CSV or Parquet with the columns from_s and until_s.
Also what a run saved in `outages.parquet`, which then names targets, clients and effects as well."""

from __future__ import annotations

import os
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from sim.downtime import Downtime

_TIMES = ("from_s", "until_s")


class BadTrace(ValueError):
    """What is wrong with a trace, as the end of a sentence that begins with its name."""


def read_trace(file: str, target: str, effect: str) -> tuple[Downtime, dict[int, Downtime]]:
    """What a file says about one target: periods of all, and of single clients by their number.

    Rows that name another target or effect are left out; the columns target, effect and client_id (−1: all
    of the target) may be missing. Raises BadTrace, with the line: a file that cannot be read or lacks a
    column, a time that is none or negative, an end before its start, starts out of order, nothing left.
    """
    try:
        found = os.stat(file)
    except OSError as error:
        raise BadTrace(f"cannot be read ({error.strerror})") from error
    rows = _rows(file, found.st_mtime_ns, found.st_size)
    mine = [
        row for row in rows if row.get("target", target) == target and row.get("effect", effect) == effect
    ]
    if not mine:
        raise BadTrace(f"has no period of {target} ({effect})")
    by_client: dict[int, list[tuple[float, float]]] = {}
    for row in mine:
        by_client.setdefault(int(row.get("client_id", -1)), []).append((row["from_s"], row["until_s"]))
    shared = Downtime(by_client.pop(-1, []))
    return shared, {client: Downtime(periods) for client, periods in sorted(by_client.items())}


@lru_cache(maxsize=4)  # by what tells one version of a file from another
def _rows(file: str, _changed_ns: int, _bytes: int) -> tuple[dict[str, Any], ...]:
    rows = tuple(_table(file).to_pylist())
    before: dict[Any, float] = {}
    for line, row in enumerate(rows, start=2 if _is_csv(file) else 1):
        where = f"line {line}" if _is_csv(file) else f"row {line}"
        for name in _TIMES:
            if not isinstance(row[name], int | float) or not isfinite(row[name]) or row[name] < 0:
                raise BadTrace(f"{where}: {name} is {row[name]!r}: must be seconds from 0 on")
        if row["until_s"] <= row["from_s"]:
            raise BadTrace(f"{where}: ends at {row['until_s']!r}, which is not after {row['from_s']!r}")
        whose = tuple(row.get(name) for name in ("target", "effect", "client_id"))
        if row["from_s"] < before.get(whose, 0.0):
            raise BadTrace(f"{where}: begins at {row['from_s']!r}: must not lie before the line above it")
        before[whose] = row["from_s"]
    return rows


def _table(file: str) -> pa.Table:
    path = Path(file)
    try:
        table = pyarrow.csv.read_csv(path) if _is_csv(file) else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise BadTrace(f"cannot be read ({str(error).splitlines()[0]})") from error
    for name in _TIMES:
        if name not in table.column_names:
            raise BadTrace(f"has no column {name}, but {', '.join(table.column_names)}")
    return table


def _is_csv(file: str) -> bool:
    return file.lower().endswith(".csv")
