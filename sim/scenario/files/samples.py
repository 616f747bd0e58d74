"""Files of measured durations: one number a line, or a column `seconds` of a CSV or Parquet file.
Read whole, since any of them may be drawn at any time; remembered while the file stays the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile, RowFile, identity
from sim.scenario.schema.values import LONGEST_S
from sim.scenario.text.wording import number, show

MOST_VALUES = 10_000_000
COLUMN = "seconds"


def measured(path: str, least_s: float = 0.0) -> NDArray[np.float64]:
    """The durations in a file, ascending, float64 (n,), read-only.

    Raises BadFile if one is below `least_s`, above `LONGEST_S` or no number; without any; with too many.
    """
    return _measured(least_s, *identity(path))


@lru_cache(maxsize=16)
def _measured(least_s: float, path: str, _changed_ns: int, _bytes: int) -> NDArray[np.float64]:
    file = RowFile(path)
    name = _column(file)
    found: list[NDArray[np.float64]] = []
    count = 0
    if file.kind == "csv" and _is_number(name):
        found.append(_bounded(np.array([float(name)]), least_s, lambda _: "line 1"))
    for rows in file.read([name]):
        seconds = _bounded(file.numbers(rows, name), least_s, partial(_place, file, rows.first))
        found.append(seconds)
        count += len(seconds)
        if count > MOST_VALUES:
            raise BadFile(f"has more than {MOST_VALUES:,} values")
    if not found or not sum(map(len, found)):
        raise BadFile("has no values")
    values = np.sort(np.concatenate(found))
    values.setflags(write=False)
    return values


def _column(file: RowFile) -> str:
    """The column named `seconds`, else the only one."""
    if COLUMN in file.names:
        return COLUMN
    if len(file.names) == 1:
        return file.names[0]
    raise BadFile(f"has several columns and none named {COLUMN}: {', '.join(map(show, file.names))}")


def _place(file: RowFile, first: int, row: int) -> str:
    return file.place(first + row)


def _bounded(
    seconds: NDArray[np.float64], least_s: float, place: Callable[[int], str]
) -> NDArray[np.float64]:
    wrong = np.flatnonzero(~((seconds >= least_s) & (seconds <= LONGEST_S)))
    if len(wrong):
        row = int(wrong[0])
        rule = f"must lie between {least_s:g} and {LONGEST_S:g} seconds"
        raise BadFile(f"{place(row)}: {number(float(seconds[row]))} is not allowed: {rule}")
    return seconds


def _is_number(text: str) -> bool:
    """Whether the first line is a value itself: then the file has no line of names."""
    try:
        float(text)
    except ValueError:
        return False
    return True
