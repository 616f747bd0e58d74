"""A run folder: files that appear whole or not at all.
Claims the folder, and writes JSON and Parquet into it by way of `sim.whole_files`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import BadInput, RunFailed
from sim.whole_files import write_whole

VERSIONS = "versions.json"  # written first: it tells whose folder this is
OWN_KEY = "l2h-fleet"  # in it
CACHE = ".cache"  # of client models: below the working directory, which may be the run folder

ENTRIES = {
    VERSIONS,
    "scenario.yaml",
    "requests",
    "attempts",
    "timeline.parquet",
    "events.parquet",
    "outages.parquet",
    "learning.parquet",
    "deferral.parquet",
    "study.parquet",
    "study_curves.parquet",
    "study_bounded.parquet",
    "study_losses.parquet",
    "clients.parquet",
    "samples.parquet",
    "partitions.parquet",
    "timing.json",
    "figures",
    "report.html",
    "report_partial.html",
    "trace.json.gz",
    "summary.json",
    "failure.txt",
}


def claim(folder: Path, force: bool) -> None:
    """Makes an empty run folder. Raises BadInput if it holds a run (unless `force`) or cannot be made.

    `force` clears only folders that hold a run and nothing else; other people's files are never deleted.
    """
    require_free(folder, force)
    try:
        if folder.exists():
            _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "failure.txt", b"")  # can it be written?
        (folder / "failure.txt").unlink()
    except OSError as error:
        raise BadInput(f"--out {folder}: cannot be written ({error.strerror or error})") from error


def require_free(folder: Path, force: bool) -> None:
    """Raises BadInput where `claim` would, before anything is touched; the disk itself is not tried."""
    try:
        str(folder).encode()
        taken = folder.exists() and (
            not folder.is_dir() or any(entry.name != CACHE for entry in folder.iterdir())
        )
    except UnicodeEncodeError as error:
        raise BadInput(f"--out {str(folder)!a}: is no text in UTF-8") from error
    except OSError as error:
        raise BadInput(f"--out {folder}: cannot be read ({error.strerror or error})") from error
    if taken:
        _require_own(folder)
        if not force:
            raise BadInput(f"--out {folder}: holds a run already; give another folder or --force")


def _clear(folder: Path) -> None:
    """Removes a run's files, the mark last; the folder stays: it may be a link, or where one stands."""
    own = [entry for entry in folder.iterdir() if entry.name in ENTRIES or _is_unfinished(entry.name)]
    for entry in sorted(own, key=lambda entry: (entry.name == VERSIONS, entry.name)):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _require_own(folder: Path) -> None:
    """Raises BadInput unless `folder` is a run's and holds nothing but its files."""
    try:
        own = OWN_KEY in json.loads((folder / VERSIONS).read_text())
    except (OSError, ValueError, TypeError):
        own = False
    if not own:
        raise BadInput(f"--out {folder}: exists and is not a run folder")
    names = sorted(entry.name for entry in folder.iterdir())
    foreign = [name for name in names if name not in ENTRIES | {CACHE} and not _is_unfinished(name)]
    if foreign:
        raise BadInput(f"--out {folder}: holds a run and besides {foreign[0]}, which is none of its files")


def _is_unfinished(name: str) -> bool:
    """Whether this is what a run that was killed left of one of its files."""
    return name.startswith(tuple(f".{entry}." for entry in ENTRIES))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with sorted keys; NaN is no JSON and is refused."""
    write_whole(path, (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a Parquet file. Raises RunFailed if the disk does not take it."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **_encoding(table.schema))
    try:
        write_whole(path, sink.getvalue().to_pybytes())
    except OSError as error:
        raise RunFailed("run", f"{path} cannot be written ({error.strerror})") from error


class Parts:
    """Writes tables behind the back of whoever makes them: while one is packed, the next is simulated.

    Use it in a `with`, which ends when everything is on the disk. One part at a time: who brings the next
    waits for the one before, so memory stays flat. Raises RunFailed, then or at `wait`, if the disk did not
    take one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._last: Future[None] | None = None

    def write(self, tables: Mapping[Path, pa.Table]) -> None:
        """Has these written, in this order."""
        self.wait()
        self._last = self._thread.submit(_write_all, tables)

    def wait(self) -> None:
        """Until all that was given so far is on the disk."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, broken: type[BaseException] | None, *_: object) -> None:
        try:
            if broken is None:
                self.wait()
        finally:
            self._thread.shutdown()


def _write_all(tables: Mapping[Path, pa.Table]) -> None:
    for path, table in tables.items():
        write_table(path, table)


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are packed. Few instants occur twice, so a dictionary of them would only take time; byte by
    byte across the rows they pack better, and so do the steps from one request to the next."""
    packed = {pa.float64(): "BYTE_STREAM_SPLIT", pa.int64(): "DELTA_BINARY_PACKED"}
    encodings = {field.name: packed[field.type] for field in schema if field.type in packed}
    others = [name for name in schema.names if name not in encodings]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": others,
        "column_encoding": encodings,
    }


class StreamedTable:
    """A Parquet file written piece by piece, so that its length costs no memory; it appears at the end.

    Use it in a `with`: where that breaks off, nothing is left. Raises RunFailed if the disk does not take it.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._temporary, self._schema = path, path.with_name(f".{path.name}.partial"), schema
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._writer = pq.ParquetWriter(self._temporary, schema, **_encoding(schema))
        except OSError as error:
            raise self._refused(error) from error

    def append(self, columns: Mapping[str, Any]) -> None:
        """Adds rows, given as columns."""
        try:
            self._writer.write_table(table_of(columns, self._schema))
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RunFailed:
        return RunFailed("run", f"{self._path} cannot be written ({error.strerror or error})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, broken: type[BaseException] | None, *_: object) -> None:
        try:
            self._writer.close()
            if broken is None:
                with self._temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                self._temporary.replace(self._path)
        except OSError as error:
            if broken is None:  # else what broke it off tells more
                raise self._refused(error) from error
        finally:
            self._temporary.unlink(missing_ok=True)


def table_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """A table from columns of values, strings in place of dictionary codes."""
    arrays = [pa.array(columns[field.name], type=_flat(field.type)).cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _flat(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
