"""A run folder: files that appear whole or not at all.
Claims the folder, and writes JSON and Parquet into it by way of `sim.results.whole_files`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import BadInput, RunFailed
from sim.results.columns import OWN_KEY
from sim.results.just_written import keep
from sim.results.whole_files import SUMS, appearing, digest, in_words, write_whole

MEASURED = "measured.json"  # where the scenario names files of measured durations: mean and cv of each
LIVE = "live.json"  # of runs on the wall's clock: what answered, and how late everything was
VERSIONS = "versions.json"  # written first: it tells whose folder this is
FINISHED = "summary.json"  # written last
CHECKPOINT = "checkpoint"
TRIED = "failure.txt"  # empty: whether the folder can be written
SKIPPED_BY = "request_id", "client_id", "arrived_at_s", "at_s"
CACHE = ".cache"  # of client models: below the working directory, which may be the run folder

ENTRIES = {
    VERSIONS,
    "scenario.yaml",
    MEASURED,
    "requests",
    "attempts",
    "totals.parquet",
    "latencies.parquet",
    "timeline.parquet",
    "servers.parquet",
    "links.parquet",
    "energy.parquet",
    "presence.parquet",
    "items.parquet",
    "federation.parquet",
    "prototypes.parquet",
    "heads.parquet",
    "hand_over.parquet",
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
    "reliability.parquet",
    "timing.json",
    LIVE,
    SUMS,
    "figures",
    "report.html",
    "report_partial.html",
    "trace.json.gz",
    "failure.txt",
    CHECKPOINT,
    FINISHED,
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
        write_whole(folder / TRIED, b"")  # can it be written?
        (folder / TRIED).unlink()
    except OSError as error:
        raise BadInput(f"--out {in_words(error, folder)}") from error


def require_free(folder: Path, force: bool) -> None:
    """Raises BadInput where `claim` would, before anything is touched; the disk itself is not tried."""
    if is_free(folder):
        return
    require_own(folder)
    if not force:
        way = (
            "another folder or --force"
            if (folder / FINISHED).exists()
            else "--resume, --force or another folder"
        )
        raise BadInput(f"--out {folder}: holds a run already; give {way}")


def is_free(folder: Path) -> bool:
    """Whether there is nothing, or an empty folder, but for what a process that was killed as it claimed it
    left. Raises BadInput for what cannot be a folder's name."""
    try:
        str(folder).encode()
        return not folder.exists() or (folder.is_dir() and all(map(_is_nothing, folder.iterdir())))
    except UnicodeEncodeError as error:
        raise BadInput(f"--out {str(folder)!a}: is no text in UTF-8") from error
    except OSError as error:
        raise BadInput(f"--out {folder}: cannot be read ({error.strerror or error})") from error


def _is_nothing(entry: Path) -> bool:
    if entry.name == TRIED:
        return entry.stat().st_size == 0
    return entry.name == CACHE or entry.name.startswith((f".{TRIED}.", f".{VERSIONS}."))


def _clear(folder: Path) -> None:
    """Removes a run's files; the folder stays: it may be a link, or where one stands.

    First what says that it is finished, or where to go on from: a clearing that is cut short must look like
    neither. The mark last.
    """
    own = [entry for entry in folder.iterdir() if entry.name in ENTRIES or is_unfinished(entry.name)]
    order = {FINISHED: 0, CHECKPOINT: 1, VERSIONS: 3}
    for entry in sorted(own, key=lambda entry: (order.get(entry.name, 2), entry.name)):
        remove(entry)


def remove(entry: Path) -> None:
    """Removes a file, or a folder with all that is in it."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def require_own(folder: Path) -> None:
    """Raises BadInput unless `folder` is a run's and holds nothing but its files."""
    try:
        own = OWN_KEY in json.loads((folder / VERSIONS).read_text())
    except (OSError, ValueError, TypeError):
        own = False
    if not own:
        raise BadInput(f"--out {folder}: exists and is not a run folder")
    names = sorted(entry.name for entry in folder.iterdir())
    foreign = [name for name in names if name not in ENTRIES | {CACHE} and not is_unfinished(name)]
    if foreign:
        raise BadInput(f"--out {folder}: holds a run and besides {foreign[0]}, which is none of its files")


def is_unfinished(name: str) -> bool:
    """Whether this is what a run that was killed left of one of its files."""
    return name.startswith(tuple(f".{entry}." for entry in ENTRIES))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with sorted keys; NaN is no JSON and is refused."""
    write_whole(path, (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def write_sums(folder: Path, known: Mapping[Path, str]) -> None:
    """Writes the SHA-256 of scenario and tables: of parts as it was when they were written, `known`."""
    parts = {path: of for path, of in known.items() if folder / CHECKPOINT not in path.parents}
    whole = [folder / "scenario.yaml", *folder.glob(MEASURED), *folder.glob("*.parquet")]
    sums = parts | {path: digest(path) for path in whole}
    lines = [f"{sums[path]}  {path.relative_to(folder).as_posix()}\n" for path in sorted(sums)]
    write_whole(folder / SUMS, "".join(lines).encode())


def write_table(path: Path, table: pa.Table) -> str:
    """Writes a Parquet file, and gives its SHA-256. Raises RunFailed if the disk does not take it."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **encoding(table.schema))
    try:
        content = sink.getvalue().to_pybytes()
        write_whole(path, content)
    except OSError as error:
        raise RunFailed("run", in_words(error, path)) from error
    checksum = sha256(content).hexdigest()
    keep(checksum, table)
    return checksum


class Parts:
    """Writes tables behind the back of whoever makes them: while some are packed, the next are simulated.

    Use it in a `with`, which ends when everything is on the disk. The tables of one window at a time, two of
    them at once, since the disk takes its time with each: who brings the next waits for those before, so
    memory stays flat. The SHA-256 of each goes to `sums`. Raises RunFailed, then or at `wait`, if the disk
    did not take one.
    """

    def __init__(self, sums: dict[Path, str]) -> None:
        self._sums = sums
        self._threads = ThreadPoolExecutor(max_workers=2)
        self._last: list[Future[None]] = []

    def write(self, tables: Mapping[Path, pa.Table]) -> None:
        """Has these written."""
        self.wait()
        self._last = [self._threads.submit(self._write, path, table) for path, table in tables.items()]

    def wait(self) -> None:
        """Until all that was given so far is on the disk."""
        last, self._last = self._last, []
        for one in last:
            one.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, broken: type[BaseException] | None, *_: object) -> None:
        try:
            if broken is None:
                self.wait()
        finally:
            self._threads.shutdown()

    def _write(self, path: Path, table: pa.Table) -> None:
        self._sums[path] = write_table(path, table)


def encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are packed. Few instants occur twice, so a dictionary of them would only take time; byte by
    byte across the rows they pack better, and so do the steps from one request or client to the next. The
    least and the most of a part are kept of what others' readers may skip parts by."""
    packed = {pa.float64(): "BYTE_STREAM_SPLIT", pa.int64(): "DELTA_BINARY_PACKED"}
    encodings = {field.name: packed[field.type] for field in schema if field.type in packed}
    encodings |= {name: "DELTA_BINARY_PACKED" for name in schema.names if name == "client_id"}
    others = [name for name in schema.names if name not in encodings]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": others,
        "column_encoding": encodings,
        "write_statistics": [name for name in schema.names if name in SKIPPED_BY],
    }


class StreamedTable:
    """A Parquet file whose rows come piece by piece, at no cost of memory; it appears at the end.

    Until then each piece is a file of its own in the folder `pieces`, where it outlives a run that is killed:
    whoever goes on adds the pieces that are missing. Raises RunFailed if the disk does not take the file.
    """

    def __init__(self, path: Path, schema: pa.Schema, pieces: Path) -> None:
        self._path, self._schema, self._pieces = path, schema, pieces

    def piece(self, index: int, columns: Mapping[str, Any]) -> dict[Path, pa.Table]:
        """The rows of piece `index`, given as columns, under the file that is to hold them."""
        return {part(self._pieces, index): table_of(columns, self._schema)}

    def finish(self, pieces: int) -> None:
        """Makes the file out of so many pieces, which stay."""
        try:
            with (
                appearing(self._path) as hidden,
                pq.ParquetWriter(hidden, self._schema, **encoding(self._schema)) as whole,
            ):
                for index in range(pieces):
                    piece = _read(part(self._pieces, index))
                    whole.write_table(piece)
            if pieces == 1:
                keep(digest(self._path), piece)
        except OSError as error:
            raise RunFailed("run", in_words(error, self._path)) from error


def _read(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read()


def part(table: Path, index: int) -> Path:
    """The file of a table's part: what chunk `index` gave."""
    return table / f"part-{index:07d}.parquet"


def table_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """A table from columns of values, or of Arrow's, strings in place of dictionary codes."""
    return pa.Table.from_arrays([_array(columns[field.name], field.type) for field in schema], schema=schema)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, type=kind.value_type).cast(kind)
    return pa.array(values, type=kind)
