"""Instants of a file as seconds from where a trace begins: numbers of any unit, or dates with times.
Whole numbers are subtracted as such, so nanoseconds since 1970 keep every digit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile, RowFile, Rows, cast, first_wrong, trimmed
from sim.scenario.text.wording import number, show

IN_A_SECOND = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0, "min": 1 / 60, "h": 1 / 3600}
FURTHEST = 2.0**63  # whole numbers have 64 bits
DATE = "a date and time such as 2024-05-01T13:00:00.5"


class Instants:
    """Reads one column of a file, batch after batch.

    start: t = 0 of the trace: "first", a number in the file's unit, or a date and time; None: 0, or the first
    row's where the file has dates. Numbers that are held against a date count from 1970, UTC. is_date:
    whether the file has dates, known once a row was read.
    """

    def __init__(self, file: RowFile, column: str, unit: str, start: float | str | None) -> None:
        self._file, self._column, self._unit, self._start = file, column, unit, start
        self.is_date = self._is_zoned = False
        self._may_be_whole = True
        self._origin: Any = None

    def seconds(self, rows: Rows) -> NDArray[np.float64]:
        """Of some rows, float64 (n,); NaN and infinity as they stand. Raises BadFile, with the line."""
        column = trimmed(rows.columns[self._column])
        if not len(column):
            return np.empty(0)
        if self._origin is None:
            self._look(rows, column)
        raw = self._dates(rows, column) if self.is_date else self._numbers(rows, column)
        if self._origin is None:
            self._origin = self._begin(raw[0])
        return seconds_of(raw - self._origin, "ns" if self.is_date else self._unit)

    def _look(self, rows: Rows, column: pa.Array) -> None:
        """What the first row says of all: numbers or dates, with a time zone or without."""
        if pa.types.is_timestamp(column.type):
            self.is_date, self._is_zoned = True, column.type.tz is not None
        elif pa.types.is_string(column.type) and cast(column[:1], pa.float64()) is None and column[0].as_py():
            self._is_zoned = cast(column[:1], _dates_of(True)) is not None
            self.is_date = cast(column[:1], _dates_of(self._is_zoned)) is not None
            if not self.is_date:
                self._file.refuse(rows, 0, self._column, column[0].as_py(), f"must be a number, or {DATE}")

    def _numbers(self, rows: Rows, column: pa.Array) -> NDArray[Any]:
        if self._may_be_whole:  # a cast that fails takes long
            whole = cast(column[:1], pa.int64()) and cast(column, pa.int64())
            if whole is not None and not whole.null_count:
                return np.asarray(whole.to_numpy(zero_copy_only=False))
            self._may_be_whole = False
        return self._file.numbers(rows, self._column)

    def _dates(self, rows: Rows, column: pa.Array) -> NDArray[np.int64]:
        kind = _dates_of(self._is_zoned)
        found = cast(column, kind)
        if found is None or found.null_count:
            row = first_wrong(column, kind)
            value, rule = column[row].as_py(), f"must be {DATE}, as in the rows before"
            if value and cast(column[row : row + 1], _dates_of(not self._is_zoned)) is not None:
                has, had = ("no", "one") if self._is_zoned else ("a", "none")
                rule = f"has {has} time zone, and the rows before have {had}"
            self._file.refuse(rows, row, self._column, value if isinstance(value, str) else None, rule)
        return np.asarray(found.cast(pa.int64()).to_numpy(zero_copy_only=False))

    def _begin(self, first: Any) -> Any:
        """The raw time that is t = 0; first: that of the first row."""
        start = self._start
        if start == "first" or (start is None and self.is_date):
            return first
        if start is None:
            return 0
        if not isinstance(start, str):
            if self.is_date:
                raise BadFile(f"has dates: start is {number(start)} and must be first, or {DATE}")
            if abs(start) >= FURTHEST:
                raise BadFile(f"start is {number(start)}: must lie between -9.2e18 and 9.2e18")
            return int(start) if start == int(start) else start
        is_zoned = date_ns(start, True) is not None
        ns = date_ns(start, is_zoned)
        if ns is None:
            raise BadFile(f"start is {show(start)}: must be first, a number, or {DATE}")
        if not self.is_date:
            whole, rest = divmod(ns, round(1e9 / IN_A_SECOND[self._unit]))
            return ns * IN_A_SECOND[self._unit] / 1e9 if rest else whole
        if is_zoned != self._is_zoned:
            has, have = ("a", "none") if is_zoned else ("no", "one")
            raise BadFile(f"start, {show(start)}, has {has} time zone, and the file's times have {have}")
        return ns


def seconds_of(times: NDArray[Any], unit: str) -> NDArray[np.float64]:
    """Numbers of a unit as seconds."""
    in_a_second, at = IN_A_SECOND[unit], np.asarray(times, dtype=np.float64)
    if in_a_second == 1:
        return at
    return at / in_a_second if in_a_second > 1 else at * round(1 / in_a_second)


def date_ns(text: str, is_zoned: bool) -> int | None:
    """A date and time in nanoseconds since 1970; None where it is none, or has a time zone or lacks it."""
    found = cast(pa.array([text]), _dates_of(is_zoned))
    return None if found is None else int(found.cast(pa.int64())[0].as_py())


def is_date(text: str) -> bool:
    """Whether this is a date, with or without a time and a time zone."""
    return date_ns(text, True) is not None or date_ns(text, False) is not None


def _dates_of(is_zoned: bool) -> pa.DataType:
    return pa.timestamp("ns", "UTC" if is_zoned else None)
