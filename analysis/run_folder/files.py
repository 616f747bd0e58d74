"""Reads the files of a run folder as tables and objects; damage is named in one line.
Below `analysis.run_folder.run`, which knows which files there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sim.errors import BadInput, RunFailed
from sim.results.columns import CLIENT_SHIFT
from sim.results.just_written import just_written
from sim.results.whole_files import SUMS, digest


def part_paths(path: Path, name: str, needed: bool) -> list[Path]:
    """The parts of one table in the order of their names."""
    parts = sorted((path / name).glob("part-*.parquet"))
    if needed and not parts:
        raise BadInput(f"{path}: not a finished run, {name}/part-*.parquet is missing")
    return parts


def read_parts(path: Path, name: str, schema: pa.Schema | None, needed: bool) -> pd.DataFrame:
    """The parts of one table as one frame, under one dictionary per column.

    Raises BadInput, too, where the run has left word of parts that are not there, or none of one that is.
    """
    parts = part_paths(path, name, needed)
    known = promised(path)
    told = {one for one in known if one.startswith(f"{name}/")}
    there = {part.relative_to(path).as_posix() for part in parts}
    if lost := sorted(told - there):
        raise BadInput(f"{path}: not a finished run, {lost[0]} is missing")
    if known and (strange := sorted(there - told)):
        raise BadInput(f"{path}: {strange[0]} is not one of the run's: {SUMS} does not name it")
    return as_frame([read_table(part, schema) for part in parts], schema)


def as_frame(tables: list[pa.Table], schema: pa.Schema | None) -> pd.DataFrame:
    """The rows of all tables, under one dictionary per column; without tables those of `schema`, none."""
    if schema is not None:
        tables = tables or [schema.empty_table()]
    frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    return frame


def read_frame(path: Path, schema: pa.Schema | None) -> pd.DataFrame:
    frame: pd.DataFrame = read_table(path, schema).to_pandas()
    return frame


def as_text(table: pa.Table) -> pa.Table:
    """The same table, with names as text where `read_frame` gives categories."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def is_there(path: Path) -> bool:
    """Whether a file is there, or the run has left word of it, so that it should be."""
    return path.is_file() or path.name in promised(path.parent)


def read_if_there(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """What `read_frame` gives, names as text; no rows where there is no such file."""
    if not is_there(path):
        return _no_rows(schema).copy()
    frame: pd.DataFrame = as_text(read_table(path, schema)).to_pandas()
    return frame


@lru_cache(maxsize=64)
def _no_rows(schema: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = as_text(schema.empty_table()).to_pandas()
    return frame


AT_ONCE = 2**20  # rows


def read_table(
    path: Path, schema: pa.Schema | None, names: Sequence[str] | None = None, rows: bool = True
) -> pa.Table:
    """One Parquet file as the columns `names` of `schema`, all of them unless told, and no others.

    Without a schema: as it is. Without `rows`: none of them, after a look at the head of the file.
    """
    if not path.is_file():
        raise BadInput(f"{path.parent}: not a finished run, {path.name} is missing")
    wanted = schema
    if schema is not None and names is not None:
        wanted = pa.schema([schema.field(name) for name in names])
    try:
        checksum = refuse_change(path)
        if wanted is not None and (table := just_written(checksum)) is not None:
            _refuse_others(path, table.schema, wanted)
        else:
            with pq.ParquetFile(path) as file:
                if wanted is None:
                    return file.read()
                _refuse_others(path, file.schema_arrow, wanted)
                table = file.read(columns=wanted.names) if rows else wanted.empty_table()
        if not rows:
            return wanted.empty_table()
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise _unread(path, error) from None
    try:
        if checksum is None:
            table.validate(full=True)  # text that is none would break whoever looks at it
        return _as(table.select(wanted.names), wanted)
    except (pa.ArrowException, MemoryError) as error:
        raise _unread(path, error) from None


def _refuse_others(path: Path, there: pa.Schema, wanted: pa.Schema) -> None:
    """Raises BadInput unless a file's columns `there` are at least the wanted ones, in kind."""
    if there.equals(wanted):
        return
    known = dict(zip(there.names, there.types, strict=True))
    absent = [name for name in wanted.names if name not in known]
    if absent:
        raise BadInput(f"{path}: column {absent[0]} is missing; another version wrote it")
    for field in wanted:
        kind = known[field.name]
        if kind != field.type and not _are_of_a_kind(kind, field.type):
            raise BadInput(f"{path}: damaged: column {field.name} holds {kind}, not {field.type}")


def _as(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    return table if table.schema.equals(wanted) else table.cast(wanted)


def _unread(path: Path, error: Exception) -> BadInput | RunFailed:
    """What to say of a file that could not be read: it is damaged, unless the system is what failed."""
    why = " ".join(str(error).split())[:200]
    if isinstance(error, MemoryError) or "DCtx create failed" in why:
        return RunFailed("report", f"{path}: cannot be read: not enough memory")
    if isinstance(error, OSError) and error.errno is not None:
        return BadInput(f"{path}: cannot be read: {(error.strerror or why).lower()}")
    return BadInput(f"{path}: damaged: {why}")


def columns_there(path: Path) -> frozenset[str]:
    """The columns of a Parquet file; none of one that is not there, or cannot be read."""
    try:
        return frozenset(pq.read_schema(path).names) if path.is_file() else frozenset()
    except (pa.ArrowException, OSError):
        return frozenset()  # whoever reads the file says what is wrong with it


def _are_of_a_kind(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether both are whole numbers, or floating, or text, or yes and no, of whatever width and packing."""
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, _is_text)
    one, other = (kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (one, other))
    return any(bool(is_one(one)) and bool(is_one(other)) for is_one in kinds)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def refuse_damage(path: Path, schema: pa.Schema) -> None:
    """Raises BadInput unless a Parquet file is as it was written and has the columns of `schema`."""
    read_table(path, schema, rows=False)


def refuse_change(path: Path) -> str | None:
    """The SHA-256 of a file, where a run has left word of how it was written.

    Raises BadInput for one that is not so.
    """
    for folder in path.parents[:2]:  # parts lie a level deeper
        known = folder / SUMS
        if known.is_file():
            expected = _sums(known, known.stat().st_mtime_ns).get(path.relative_to(folder).as_posix())
            if expected not in (None, _digest(path)):
                raise BadInput(f"{path}: damaged: its checksum is not the one in {SUMS}")
            return expected
    return None


def _digest(path: Path) -> str:
    """The SHA-256 of a file as it is now, found once as long as it stays so: a report reads parts twice."""
    there = path.stat()
    return _digest_of(path, (there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns))


@lru_cache(maxsize=2**14)
def _digest_of(path: Path, _as_it_is: tuple[int, ...]) -> str:
    return digest(path)


def promised(folder: Path) -> set[str]:
    """The files, by their names in the folder, of which a run has left word how it wrote them."""
    known = folder / SUMS
    return set(_sums(known, known.stat().st_mtime_ns)) if known.is_file() else set()


@lru_cache(maxsize=8)
def _sums(known: Path, _changed_at_ns: int) -> dict[str, str]:
    """The checksums in a file of them, by name."""
    lines = known.read_text(encoding="utf-8", errors="replace").splitlines()
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}


def read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if "\\ud" in text.lower():  # half of a character, which no page or table can hold
            json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise BadInput(f"{path}: damaged: nested too deep") from None
    except ValueError as error:
        raise BadInput(f"{path}: damaged: {error}") from None
    except OSError as error:
        raise _unread(path, error) from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: damaged: expected an object, got {type(content).__name__}")
    return content


def refuse_gaps(path: Path, ids: NDArray[np.int64], arrivals: int) -> None:
    """Raises BadInput unless each client's requests are number 0, 1, ... and there are `arrivals` in all.

    An id is client * 2^32 + number.
    """
    if ids.size == arrivals and _are_complete(ids):
        return
    ids = np.sort(ids)
    client, number = np.divmod(ids, 2**32)
    row = np.arange(ids.size)
    is_first = np.append(True, client[1:] != client[:-1])[: row.size]
    expected = row - np.maximum.accumulate(np.where(is_first, row, 0))
    wrong = np.flatnonzero(number != expected)
    if wrong.size:
        at = wrong[0]
        name = f"request {min(expected[at], number[at])} of client {client[at]}"
        if number[at] < expected[at]:
            raise BadInput(f"{path}: {name} is there twice; parts do not belong together")
        raise BadInput(f"{path}: {name} is missing; {ids.size} rows for {arrivals} arrivals")
    if ids.size != arrivals:
        raise BadInput(f"{path}: {ids.size} rows for {arrivals} arrivals; parts are missing")


def _are_complete(ids: NDArray[np.int64]) -> bool:
    """Whether each client's numbers are 0, 1, ... without a gap or a repetition, told without a sort."""
    if not ids.size:
        return True
    pieces = np.array_split(ids, -(-ids.size // AT_ONCE))
    if ids.min() < 0 or int(ids.max()) >> CLIENT_SHIFT > 10 * ids.size:
        return False  # damaged, or so few requests of so many clients that a sort costs nothing
    clients = (int(ids.max()) >> CLIENT_SHIFT) + 1
    counts = np.zeros(clients, dtype=np.int64)
    for piece in pieces:
        counts += np.bincount(piece >> CLIENT_SHIFT, minlength=clients)
    first, seen = np.cumsum(counts) - counts, np.zeros(ids.size, dtype=bool)
    for piece in pieces:
        client, number = piece >> CLIENT_SHIFT, piece & ((1 << CLIENT_SHIFT) - 1)
        if (number >= counts[client]).any():
            return False
        seen[first[client] + number] = True
    return bool(seen.all())
