"""Reads the files of a run folder as frames and objects; damage is named in one line.
Below `analysis.run`, which knows which files there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import BadInput


def read_parts(path: Path, name: str, schema: pa.Schema, needed: bool) -> pd.DataFrame:
    """The parts of one table in the order of their names, under one dictionary per column."""
    parts = sorted((path / name).glob("part-*.parquet"))
    if needed and not parts:
        raise BadInput(f"{path}: not a finished run, {name}/part-*.parquet is missing")
    tables = [_read(part, schema) for part in parts] or [schema.empty_table()]
    frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    return frame


def read_frame(path: Path, schema: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = _read(path, schema).to_pandas()
    return frame


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    """One Parquet file, as the columns of `schema` and no others."""
    if not path.is_file():
        raise BadInput(f"{path.parent}: not a finished run, {path.name} is missing")
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: damaged: {' '.join(str(error).split())[:200]}") from None
    for field in schema:
        if field.name not in table.column_names:
            raise BadInput(f"{path}: column {field.name} is missing")
    try:
        return table.select(schema.names).cast(schema)
    except pa.ArrowException as error:
        raise BadInput(f"{path}: unexpected types: {' '.join(str(error).split())[:200]}") from None


def read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: damaged: {error}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: damaged: expected an object, got {type(content).__name__}")
    return content


def refuse_gaps(path: Path, requests: pd.DataFrame, arrivals: int) -> None:
    """Raises BadInput unless each client's requests are number 0, 1, ... and there are `arrivals` in all.

    `requests` is sorted by request_id, which is client * 2^32 + number.
    """
    client, number = np.divmod(requests["request_id"].to_numpy(), 2**32)
    row = np.arange(len(requests))
    is_first = np.append(True, client[1:] != client[:-1])[: row.size]
    expected = row - np.maximum.accumulate(np.where(is_first, row, 0))
    wrong = np.flatnonzero(number != expected)
    if wrong.size:
        at = wrong[0]
        name = f"request {min(expected[at], number[at])} of client {client[at]}"
        if number[at] < expected[at]:
            raise BadInput(f"{path}: {name} is there twice; parts do not belong together")
        raise BadInput(f"{path}: {name} is missing; {len(requests)} rows for {arrivals} arrivals")
    if len(requests) != arrivals:
        raise BadInput(f"{path}: {len(requests)} rows for {arrivals} arrivals; parts are missing")
