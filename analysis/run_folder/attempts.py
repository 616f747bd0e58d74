"""Every send of a run as one row: from the attempts' table, or from the request's own row if it had one.
Read part by part for `analysis.reports.trace`; gives the batches, and the sends of a sample of the
requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from analysis.metrics.replica_time import ends_at_s
from analysis.run_folder.files import part_paths, read_table
from analysis.run_folder.filled import Filled
from analysis.run_folder.kept_rows import read_requests
from analysis.run_folder.run import Run
from analysis.run_folder.whom import server_asked
from sim.results import columns_by_run

Rows = dict[str, NDArray[Any]]
SEND = ["request_id", "sent_at_s", "reached_at_s", "started_at_s", "finished_at_s", "replica", "batch_size"]
BATCH = ["server", "replica", "started_at_s", "ended_at_s", "batch_size"]
OWN = [*SEND, "attempts"]


def batches_and_sends(run: Run, sampled: NDArray[np.int64]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The batches of all replicas, and the sends of the requests `sampled` (sorted ids).

    Batches by server, replica and start: server (its place among them), replica, started_at_s, ended_at_s
    (when the replica was free again), batch_size. Sends by request and time: SEND, server, ended_at_s.
    """
    batches, sends = Filled(int(run.columns_of("timeline")["first_sends"].sum())), []
    for rows in _sends(run):
        rows["ended_at_s"] = ends_at_s(run, rows)
        firsts = _firsts(rows, np.flatnonzero(~np.isnan(rows["started_at_s"])))
        batches.add({name: rows[name][firsts] for name in BATCH})
        hit = _is_in(rows["request_id"], sampled)
        if hit.any():
            sends.append(pd.DataFrame({name: values[hit] for name, values in rows.items()}))
    every = batches.columns()
    if not every:
        empty = pd.DataFrame({name: pd.Series(dtype="float64") for name in {*SEND, *BATCH}})
        return empty, empty
    firsts = _firsts(every, np.arange(batches.rows))
    nobody = pd.DataFrame({name: values[:0] for name, values in rows.items()})
    return (
        pd.DataFrame({name: every.pop(name)[firsts] for name in BATCH}),
        pd.concat(sends or [nobody]).sort_values(["request_id", "sent_at_s"], ignore_index=True),
    )


def _firsts(rows: Rows, among: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first row of each batch, by server, replica and start, of the rows `among`."""
    keys = [rows[name][among] for name in ("started_at_s", "replica", "server")]
    order = np.lexsort(keys)
    is_next = np.append(True, np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0))
    return np.asarray(among[order[is_next[: order.size]]])


def _sends(run: Run) -> Iterator[Rows]:
    """SEND and server of every send, part by part."""
    whom = ["server"] if run.has_options else []
    of_requests = columns_by_run.requests(False, False, has_options=run.has_options)
    for path in part_paths(run.path, "requests", needed=False):
        table = read_requests(run, path, of_requests, [*OWN, *whom])
        once = table["attempts"].to_numpy() == 1
        yield {name: values[once] for name, values in _columns(run, table).items()}
    for path in part_paths(run.path, "attempts", needed=False):
        yield _columns(run, read_table(path, columns_by_run.attempts(run.has_options), [*SEND, *whom]))


def _columns(run: Run, table: pa.Table) -> Rows:
    return {name: table[name].to_numpy() for name in SEND} | {"server": server_asked(run, table)}


def _is_in(ids: NDArray[np.int64], sampled: NDArray[np.int64]) -> NDArray[np.bool_]:
    if sampled.size == 0:
        return np.zeros(ids.size, dtype=bool)
    place = np.minimum(np.searchsorted(sampled, ids), sampled.size - 1)
    return np.asarray(sampled[place] == ids)


def lanes(starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.int64]:
    """A lane for each interval so that no two of one lane overlap, and lanes are few; intervals by start.

    The first free lane in order of number; touching intervals may share one.
    """
    free_from: list[float] = []
    results = np.zeros(len(starts), dtype=np.int64)
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        lane = next((n for n, free in enumerate(free_from) if free <= start), len(free_from))
        if lane == len(free_from):
            free_from.append(end)
        free_from[lane] = end
        results[index] = lane
    return results
