"""Columns that grow part by part, with room for all rows that are expected.
Below whoever reads the parts of `requests` or `attempts` one by one."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from analysis.statistics.pieces import AT_ONCE
from analysis.statistics.room import let_go, room

Array = NDArray[Any]


class Filled:
    """Columns that grow part by part, in memory that is taken once if `expected` rows come: many small pieces
    would leave as much behind between them as they hold."""

    def __init__(self, expected: int) -> None:
        self.rows, self._expected = 0, expected
        self._columns: dict[str, Array] = {}

    def add(self, part: dict[str, Array]) -> None:
        """More rows, of the same columns each time."""
        end = self.rows + len(next(iter(part.values())))
        for name, values in part.items():
            column = self._columns.get(name)
            if column is None or end > column.size:
                grown = room(max(end, self._expected, 2 * self.rows), values.dtype)
                grown[: self.rows] = () if column is None else column[: self.rows]
                self._columns[name] = column = grown
            column[self.rows : end] = values
        if self.rows // AT_ONCE < end // AT_ONCE:
            let_go(self._columns.values())
        self.rows = end

    def columns(self) -> dict[str, Array]:
        """Every column, (rows,)."""
        return {name: column[: self.rows] for name, column in self._columns.items()}
