"""Requests as a run has kept them: all columns, those that numbers count, or no rows (`detail`).
Between the parts of `requests` and whoever reads them: what a lean part lacks is looked up here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from analysis.run_folder.files import read_table
from sim.errors import BadInput
from sim.results.columns import CLIENT_SHIFT
from sim.results.columns_by_run import GIVEN_UP, TOLD_ELSEWHERE, kept

if TYPE_CHECKING:
    from analysis.run_folder.run import Run


def read_requests(run: Run, path: Path, schema: pa.Schema, names: Sequence[str] | None = None) -> pa.Table:
    """One part of `requests` as the columns `names` of `schema`, all that the run has unless told.

    Raises BadInput for a column that it gave up, or for a part that cannot be read.
    """
    if run.detail == "full":
        return read_table(path, schema, names)
    if names is None:
        names = [name for name in schema.names if name not in GIVEN_UP]
    refuse_given_up(run, names)
    wanted = pa.schema([schema.field(name) for name in names])
    looked_up = [name for name in names if name in TOLD_ELSEWHERE]
    needed = {"request_id", *(["sample_id"] if {"held_out", "label"} & set(looked_up) else [])}
    stored = [name for name in kept(schema, run.detail).names if name in {*names, *needed}]
    table = read_table(path, schema, stored)
    for name in looked_up:
        table = table.append_column(wanted.field(name), _looked_up(run, table, name, wanted.field(name)))
    return table.select(wanted.names)


def _looked_up(run: Run, table: pa.Table, name: str, field: pa.Field) -> pa.Array:
    client = table["request_id"].to_numpy() >> CLIENT_SHIFT
    if name == "client_id":
        return pa.array(client.astype(np.int32))
    if name == "group":
        sizes = [int(group["clients"]) for group in run.groups.values()]
        of_client = np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)
        return pa.DictionaryArray.from_arrays(pa.array(of_client[client]), pa.array(list(run.groups)))
    samples = run.columns_of("samples")
    if name not in samples:  # only who they are could be salvaged
        raise BadInput(f"{run.path / 'samples.parquet'}: cannot be read, and has {name} of these requests")
    values = samples[name][run.places_of_samples(table["sample_id"].to_numpy())]
    return pa.array(values.astype(field.type.to_pandas_dtype()), type=field.type)


def refuse_given_up(run: Run, names: Sequence[str]) -> None:
    """Raises BadInput for columns of `requests` that the run has not kept."""
    refuse_rowless(run)
    lacking = [name for name in names if name in GIVEN_UP] if run.detail == "lean" else []
    if lacking:
        raise BadInput(
            f"{run.path}: requests have no column {lacking[0]}, which `detail: lean` leaves out; "
            "run it again with `--set detail=full`"
        )


def refuse_rowless(run: Run) -> None:
    """Raises BadInput for a run that has kept no rows of requests."""
    if run.detail == "none":
        raise BadInput(
            f"{run.path}: holds no requests, of which `detail: none` keeps sums alone; "
            "run it again with `--set detail=lean` or full"
        )
