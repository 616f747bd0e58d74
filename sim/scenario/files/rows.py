"""Files of rows that a scenario names: CSV, Parquet or JSON lines, a batch at a time, errors with their line.
Both the checks of a scenario and the run read through here, so what passed the one is what the other gets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sim.scenario.text.wording import show

BATCH_ROWS = 65_536
BLOCK_BYTES = 2**20
LOOKED_AT = 1_000  # lines of JSON that tell the types of all
LONGEST_LINE = 2**20
MOST_SHOWN = 12  # columns of a file


class BadFile(ValueError):
    """What is wrong with a file, as the end of a sentence that begins with its name."""


class Rows(NamedTuple):
    """Some rows of a file: the number of the first, counted from 0, and the columns asked for."""

    first: int
    columns: dict[str, pa.Array]


class RowFile:
    """A file with named columns: Parquet, JSON lines (an object a line), or else CSV.

    A CSV file has a line of names, then a line per row; between fields stands a comma or, where the line of
    names has tabs and no comma, a tab. `names`: its columns. Raises BadFile if it cannot be read as either.
    """

    def __init__(self, path: str) -> None:
        self.path, self._delimiter = path, ","
        try:
            with open(path, "rb") as file:
                head = file.read(LONGEST_LINE)
            self.kind: Literal["parquet", "json", "csv"] = "csv"
            if head.startswith(b"PAR1"):
                self.kind = "parquet"
            elif head.lstrip().startswith(b"{"):
                self.kind = "json"
            else:
                line = head.partition(b"\n")[0].decode(errors="replace")
                is_text = "\N{REPLACEMENT CHARACTER}" not in line  # or it is compressed
                self._delimiter = "\t" if is_text and "\t" in line and "," not in line else ","
            self.names: list[str] = self._names()
        except BadFile:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            raise BadFile(reason(error)) from None
        if len(set(self.names)) < len(self.names):
            raise BadFile(f"two columns have one name: {', '.join(self.names)}")

    def place(self, row: int) -> str:
        """Where a row stands: a line of text, a line of names being line 1, or a row of Parquet, counted from
        1."""
        return f"row {row + 1}" if self.kind == "parquet" else f"line {row + 1 + (self.kind == 'csv')}"

    def require(self, names: Sequence[str], remedies: Mapping[str | None, str] | None = None) -> None:
        """Raises BadFile unless it has these columns; remedies: what may be done, by the one that lacks."""
        for name in names:
            if name not in self.names:
                there, remedy = ", ".join(map(show, self.names[:MOST_SHOWN])), (remedies or {}).get(name, "")
                raise BadFile(f"has no column {name}, only {there}{remedy}")

    def read(self, names: Sequence[str], whole: Sequence[str] = ()) -> Iterator[Rows]:
        """The rows in order, with these columns alone; whole: columns of whole numbers, which a CSV file may
        have very many of. Raises BadFile."""
        first = 0
        names = [*names, *whole]
        types = dict.fromkeys(names, pa.string()) | dict.fromkeys(whole, pa.int64())
        try:
            for batch in self._batches(list(names), types):
                if self.kind == "parquet":  # text may be no UTF-8
                    batch.validate(full=True)
                yield Rows(first, {name: batch.column(name) for name in names})
                first += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            raise BadFile(reason(error)) from None

    def numbers(self, rows: Rows, name: str, nothing: float | None = None) -> NDArray[np.float64]:
        """A column as float64; nothing: what an empty field counts as. Raises BadFile at the first row that
        holds no number, or nothing where it may not."""
        column = trimmed(rows.columns[name])
        if nothing is not None:
            if pa.types.is_string(column.type):
                column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            is_open = column.is_null().to_numpy(zero_copy_only=False)
            column = column.fill_null("0" if pa.types.is_string(column.type) else pa.scalar(0, column.type))
        found = cast(column, pa.float64())
        if found is None or found.null_count:
            row = first_wrong(column, pa.float64())
            self.refuse(rows, row, name, column[row].as_py(), "must be a number")
        values = np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)
        return values if nothing is None else np.where(is_open, nothing, values)

    def texts(self, rows: Rows, name: str) -> pa.Array:
        """A column as text, "" where a field is empty. Raises BadFile for what is none, such as lists."""
        column = rows.columns[name]
        found = None if pa.types.is_nested(column.type) else cast(column, pa.string())
        if found is None:
            raise BadFile(f"{name} is of type {column.type}: must be text or numbers")
        return found.fill_null("")

    def refuse(self, rows: Rows, row: int, name: str, value: Any, rule: str) -> NoReturn:
        """Raises BadFile about a field of one of these rows."""
        shown = "nothing" if value in (None, "") else show(value)
        raise BadFile(f"{self.place(rows.first + row)}: {name} is {shown}: {rule}")

    def _names(self) -> list[str]:
        if self.kind == "parquet":
            return list(pq.ParquetFile(self.path).schema_arrow.names)
        if self.kind == "json":
            return list(self._json_types())
        with self._csv(None, None) as reader:
            return list(reader.schema.names)

    def _batches(self, names: list[str], types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        if self.kind == "parquet":
            with pq.ParquetFile(self.path) as file:
                yield from file.iter_batches(BATCH_ROWS, columns=names)
        elif self.kind == "json":
            whole = [name for name, kind in types.items() if pa.types.is_integer(kind)]
            yield from self._json(names, whole)
        else:
            with self._csv(names, types) as reader:
                yield from reader

    def _json(self, names: list[str], whole: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Numbers that were whole so far are floats from the first batch on that has others; not `whole`."""
        known, done = self._json_types(), 0
        types = {name: known[name] for name in names}
        floats = {
            name: pa.float64() if pa.types.is_integer(kind) and name not in whole else kind
            for name, kind in types.items()
        }
        try:
            for batch in self._json_batches(types):
                yield batch
                done += batch.num_rows
        except pa.ArrowInvalid:
            if types == floats:
                raise
        else:
            return
        for batch in self._json_batches(floats):
            if done < batch.num_rows:
                yield batch.slice(done)
            done = max(0, done - batch.num_rows)

    def _json_batches(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        with pa.json.open_json(
            self.path,
            pa.json.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            pa.json.ParseOptions(
                explicit_schema=pa.schema(list(types.items())), unexpected_field_behavior="ignore"
            ),
        ) as reader:
            yield from reader

    def _csv(self, names: list[str] | None, types: Mapping[str, pa.DataType] | None) -> Any:
        """A reader that takes every field as text, so that a bad number can be found by its line."""
        return pa.csv.open_csv(
            self.path,
            pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            # Empty lines are rows too, or line numbers would not be those of the file.
            pa.csv.ParseOptions(ignore_empty_lines=False, delimiter=self._delimiter),
            pa.csv.ConvertOptions(include_columns=names, column_types=types),
        )

    def _json_types(self) -> dict[str, pa.DataType]:
        """The fields of the first objects: whole numbers, numbers, or text; others are lists and the like."""
        kinds: dict[str, set[type]] = {}
        with open(self.path, encoding="utf-8") as file:
            for number, line in enumerate(islice(file, LOOKED_AT), start=1):
                try:
                    found = json.loads(line) if line.strip() else {}
                except (ValueError, RecursionError):
                    raise BadFile(f"line {number}: is no JSON") from None
                for name, value in found.items() if isinstance(found, dict) else ():
                    kinds.setdefault(name, set()).add(type(value))
        return {name: _json_type(of - {type(None)}) for name, of in kinds.items()}


def identity(path: str) -> tuple[str, int, int]:
    """A file's name, time of change and size: what is remembered of it holds while these do."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise BadFile(reason(error)) from None
    return path, found.st_mtime_ns, found.st_size


def trimmed(column: pa.Array) -> pa.Array:
    """Text without the blanks around it, however it is stored; anything else as it is."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return pc.utf8_trim_whitespace(column) if pa.types.is_string(column.type) else column


def cast(column: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """A column as another type; None if some field is none."""
    try:
        return pc.cast(column, kind)
    except pa.ArrowException:
        return None


def first_wrong(column: pa.Array, kind: pa.DataType) -> int:
    """The first row whose field is nothing, or no value of a type; there is one."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        found = cast(column[low:middle], kind)
        low, high = (low, middle) if found is None or found.null_count else (middle, high)
    return low


def _json_type(kinds: set[type]) -> pa.DataType:
    if kinds <= {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()


def reason(error: Exception) -> str:
    """Why a file cannot be read, on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    said = " ".join(str(error).split())
    no_count = re.fullmatch(r"In CSV column #(\d+): Row #(\d+): .* to int64: invalid value '(.*)'", said)
    if no_count:
        return f"line {no_count[2]}: {show(no_count[3])} is not allowed: must be a whole number"
    # pyarrow counts the line of names as a row, as an editor does.
    at_line = re.fullmatch(r"CSV parse error: Row #(\d+): (.*)", said)
    return f"line {at_line[1]}: {at_line[2]}" if at_line else f"cannot be read: {said}"
