"""A run folder: files that appear whole or not at all.
Claims the folder, and writes JSON and Parquet into it by way of `sim.whole_files`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import BadInput, RunFailed
from sim.whole_files import write_whole

VERSIONS = "versions.json"  # written first: it tells whose folder this is
OWN_KEY = "l2h-fleet"  # in it

ENTRIES = {
    VERSIONS,
    "scenario.yaml",
    "requests",
    "attempts",
    "timeline.parquet",
    "events.parquet",
    "learning.parquet",
    "deferral.parquet",
    "clients.parquet",
    "samples.parquet",
    "timing.json",
    "figures",
    "report.html",
    "summary.json",
    "failure.txt",
}


def claim(folder: Path, force: bool) -> None:
    """Makes an empty run folder. Raises BadInput if it holds a run (unless `force`) or cannot be made.

    `force` clears only folders that hold a run and nothing else; other people's files are never deleted.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            _require_own(folder)
            if not force:
                raise BadInput(f"--out {folder}: holds a run already; give another folder or --force")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "probe", b"")
        (folder / "probe").unlink()
    except OSError as error:
        raise BadInput(f"--out {folder}: cannot be written ({error.strerror or error})") from error


def _require_own(folder: Path) -> None:
    """Raises BadInput unless `folder` is a run's and holds nothing but its files."""
    try:
        own = OWN_KEY in json.loads((folder / VERSIONS).read_text())
    except (OSError, ValueError, TypeError):
        own = False
    if not own:
        raise BadInput(f"--out {folder}: exists and is not a run folder")
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in ENTRIES)
    if foreign:
        raise BadInput(f"--out {folder}: holds a run and besides {foreign[0]}, which is none of its files")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with sorted keys; NaN is no JSON and is refused."""
    write_whole(path, (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a Parquet file. Raises RunFailed if the disk does not take it."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=1)
    try:
        write_whole(path, sink.getvalue().to_pybytes())
    except OSError as error:
        raise RunFailed("run", f"{path} cannot be written ({error.strerror})") from error


def table_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """A table from columns of values, strings in place of dictionary codes."""
    arrays = [
        pa.array(_plain(columns[field.name]), type=_flat(field.type)).cast(field.type) for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _plain(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _flat(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
