"""Tables of samples in CSV, Parquet or NPZ: whole columns of numbers, each a number or a vector a row.
Nothing is ever unpickled, and a file that would not fit into memory is refused before it is loaded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy
from numpy.typing import NDArray

from sim.scenario.files.machine import gib, installed_bytes
from sim.scenario.files.rows import BadFile, RowFile, Rows
from sim.scenario.text.wording import show

COPIES = 2.5  # of a column: as read, as checked, as kept
TEXT_BYTES = 1.0  # of memory for a byte of text: a number of eight letters takes eight bytes as it is read
NUMBER_BYTES = 8  # of a column's number as it is read
# What archives make of their readers: damaged, encrypted, packed otherwise, with senseless headers.
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    SyntaxError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
NPY_SUFFIX = ".npy"


class NpzFile:
    """An archive of arrays of one length, as `numpy.savez` writes it, in the manner of a `RowFile`.

    Raises BadFile for arrays that only unpickling could read, and for members that lie outside the archive.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                self.names = [_member(one.filename) for one in members]
                if len(set(self.names)) < len(self.names):
                    raise BadFile(f"two arrays have one name: {', '.join(self.names)}")
                self.shapes = {name: _header(archive, name) for name in self.names}
        except UNREADABLE as error:
            raise (
                error if isinstance(error, BadFile) else BadFile(f"cannot be read: {_said(error)}")
            ) from None

    @staticmethod
    def place(row: int) -> str:
        return f"row {row + 1}"

    @property
    def bytes(self) -> float:
        """What its arrays come to, as their headers say."""
        return float(
            sum(np.prod(shape, dtype=np.float64) * kind.itemsize for shape, kind in self.shapes.values())
        )

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        """All rows at once. Raises BadFile where arrays differ in length."""
        rows = {name: (self.shapes[name][0] or (0,))[0] for name in names}
        first = next(iter(rows), "")
        for name, count in rows.items():
            if count != rows[first]:
                raise BadFile(f"{name} has {count} rows, and {first} has {rows[first]}")
        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                yield Rows(0, {name: arrays[name] for name in names})
        except UNREADABLE as error:
            raise BadFile(f"cannot be read: {_said(error)}") from None

    def numbers(self, rows: Rows, name: str) -> NDArray[Any]:
        """A column, (n,) or (n, width)."""
        array: NDArray[Any] = np.asarray(rows.columns[name])
        if array.dtype.kind not in "fiub" or array.ndim not in (1, 2):
            raise BadFile(
                f"{name} is {array.dtype} along {array.ndim} axes: must be numbers along one or two"
            )
        return array

    @staticmethod
    def words(rows: Rows, name: str) -> list[Any]:
        return [str(one) for one in np.asarray(rows.columns[name]).tolist()]


class TableFile(RowFile):
    """A CSV or Parquet file, whose columns may hold lists of one length."""

    @property
    def bytes(self) -> float:
        if self.kind != "parquet":
            return TEXT_BYTES * Path(self.path).stat().st_size
        with pq.ParquetFile(self.path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        columns = [group.column(place) for group in groups for place in range(group.num_columns)]
        # A dictionary may hold a million equal numbers in some bytes; a list has a value for each number.
        return float(sum(max(NUMBER_BYTES * one.num_values, one.total_uncompressed_size) for one in columns))

    def numbers(self, rows: Rows, name: str, nothing: float | None = None) -> NDArray[np.float64]:
        """A column, (n,) or of lists (n, width). Raises BadFile at the first row that is none."""
        column = rows.columns[name]
        kind = column.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            return self._vectors(rows, name)
        return super().numbers(rows, name, nothing)

    @staticmethod
    def words(rows: Rows, name: str) -> list[Any]:
        return list(rows.columns[name].to_pylist())

    def _vectors(self, rows: Rows, name: str) -> NDArray[np.float64]:
        column = rows.columns[name]
        lengths = np.array([-1 if one is None else one for one in column.value_lengths().to_pylist()])
        if not len(lengths):
            return np.empty((0, 0))
        wrong = np.flatnonzero(lengths != lengths[0])
        if len(wrong) or lengths[0] < 1:
            row = int(wrong[0]) if len(wrong) else 0
            rule = f"must be {lengths[0]}, as in the rows before" if len(wrong) else "must be 1 or more"
            raise BadFile(f"{self.place(rows.first + row)}: {name} has {lengths[row]} numbers: {rule}")
        flat = Rows(0, {name: column.flatten()})
        try:
            numbers = super().numbers(flat, name)
        except BadFile:
            raise BadFile(f"{self.place(rows.first)} or below: {name} holds what is no number") from None
        return numbers.reshape(-1, int(lengths[0]))


AnyTable = NpzFile | TableFile


def open_table(path: str) -> AnyTable:
    """A file of samples, by what is in it. Raises BadFile where it cannot be read, or would not fit."""
    try:
        is_zip = zipfile.is_zipfile(path)
    except (OSError, ValueError) as error:
        raise BadFile(f"cannot be read: {_said(error)}") from None
    file: AnyTable = NpzFile(path) if is_zip else TableFile(path)
    needs, has = COPIES * file.bytes, installed_bytes()
    if needs > has:
        raise BadFile(f"needs about {gib(needs)} of memory to be read: this machine has {gib(has)}")
    return file


def _member(name: str) -> str:
    """The name of an array in an archive."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise BadFile(f"its member {show(name)} lies outside the archive")
    if not name.endswith(NPY_SUFFIX):
        raise BadFile(f"its member {show(name)} is no array: an .npz holds arrays alone")
    return name.removesuffix(NPY_SUFFIX)


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array, without loading it."""
    with archive.open(name + NPY_SUFFIX) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read(stream)
    if kind.hasobject:
        raise BadFile(f"{name} holds Python objects, which only unpickling could read: save numbers alone")
    return shape, kind


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split())
