"""Files of rows that a scenario names: CSV or Parquet, read a batch at a time, errors with their line.
Both the checks of a scenario and the run read through here, so what passed the one is what the other gets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sim.scenario.text.wording import show

BATCH_ROWS = 65_536
BLOCK_BYTES = 2**20


class BadFile(ValueError):
    """What is wrong with a file, as the end of a sentence that begins with its name."""


class Rows(NamedTuple):
    """Some rows of a file: the number of the first, counted from 0, and the columns asked for."""

    first: int
    columns: dict[str, pa.Array]


class RowFile:
    """A CSV or Parquet file with named columns.

    A CSV file has a line of names, then a line per row, comma between fields. `names`: its columns.
    Raises BadFile if it cannot be read as either.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                self.is_parquet = file.read(4) == b"PAR1"
            self.names: list[str] = self._names()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise BadFile(_reason(error)) from None
        if len(set(self.names)) < len(self.names):
            raise BadFile(f"two columns have one name: {', '.join(self.names)}")

    def place(self, row: int) -> str:
        """Where a row stands: a line of text, the names being line 1, or a row of Parquet, counted from 1."""
        return f"row {row + 1}" if self.is_parquet else f"line {row + 2}"

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        """The rows in order, with these columns alone. Raises BadFile."""
        first = 0
        try:
            for batch in self._batches(list(names)):
                yield Rows(first, {name: batch.column(name) for name in names})
                first += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            raise BadFile(_reason(error)) from None

    def numbers(self, rows: Rows, name: str) -> NDArray[np.float64]:
        """A column as float64. Raises BadFile at the first row that holds no number."""
        column = rows.columns[name]
        if pa.types.is_string(column.type):
            column = pc.utf8_trim_whitespace(column)
        found = _cast(column)
        if found is None or found.null_count:
            row = next(row for row in range(len(column)) if not _is_number(column.slice(row, 1)))
            value = column[row].as_py()
            shown = "nothing" if value in (None, "") else show(value)
            raise BadFile(f"{self.place(rows.first + row)}: {name} is {shown}: must be a number")
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)

    def _names(self) -> list[str]:
        if self.is_parquet:
            return list(pq.ParquetFile(self.path).schema_arrow.names)
        with self._csv(None) as reader:
            return list(reader.schema.names)

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        if self.is_parquet:
            with pq.ParquetFile(self.path) as file:
                yield from file.iter_batches(BATCH_ROWS, columns=names)
        else:
            with self._csv(names) as reader:
                yield from reader

    def _csv(self, names: list[str] | None) -> Any:
        """A reader that takes every field as text, so that a bad number can be found by its line."""
        text = None if names is None else {name: pa.string() for name in names}
        return pa.csv.open_csv(
            self.path,
            pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            # Empty lines are rows too, or line numbers would not be those of the file.
            pa.csv.ParseOptions(ignore_empty_lines=False),
            pa.csv.ConvertOptions(include_columns=names, column_types=text),
        )


def identity(path: str) -> tuple[str, int, int]:
    """A file's name, time of change and size: what is remembered of it holds while these do."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise BadFile(_reason(error)) from None
    return path, found.st_mtime_ns, found.st_size


def _cast(column: pa.Array) -> pa.Array | None:
    """A column as float64; None if some field is no number."""
    try:
        return pc.cast(column, pa.float64())
    except pa.ArrowException:
        return None


def _is_number(field: pa.Array) -> bool:
    number = _cast(field)
    return number is not None and number.null_count == 0


def _reason(error: Exception) -> str:
    """Why a file cannot be read, on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    said = " ".join(str(error).split())
    # pyarrow counts the line of names as a row, as an editor does.
    at_line = re.fullmatch(r"CSV parse error: Row #(\d+): (.*)", said)
    return f"line {at_line[1]}: {at_line[2]}" if at_line else f"cannot be read: {said}"
