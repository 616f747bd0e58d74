"""What requests with several attempts took and cost, from the attempts' own table.
Beside `analysis.run_folder.lean_requests`, whose columns tell it of those with one attempt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.metrics.replica_time import replica_seconds
from analysis.run_folder.calls import calls_of
from analysis.run_folder.charges import tells_by_cost
from analysis.run_folder.files import part_paths, read_table
from analysis.run_folder.payloads import bytes_up
from analysis.run_folder.run import Run
from analysis.run_folder.whom import codes_of, server_asked
from sim.errors import BadInput
from sim.results import columns, columns_by_run

Array = NDArray[Any]
SERVED = ["sent_at_s", "started_at_s", "finished_at_s", "replica", "batch_size"]


def told_by_own_row(run: Run) -> list[str]:
    """What a request's own row keeps of the attempt whose answer was given, and no other has: two may leave
    at one instant, to different options."""
    return ["sent_at_s", "finished_at_s", *(["option"] if run.has_options else [])]


def add_several(run: Run, found: dict[str, Array], several: list[pd.DataFrame]) -> None:
    """Replica time, bytes and charges of the requests with several attempts, from the attempts' own table."""
    known = pd.concat(several, ignore_index=True).sort_values("request_id", ignore_index=True)
    ids = known["request_id"].to_numpy()
    service_s, wasted_s, charged, sent, first_server = (np.zeros(len(known)) for _ in range(5))
    calls: dict[str, Array] = {}
    listed = 0
    for path in part_paths(run.path, "attempts", needed=False):
        schema = columns_by_run.attempts(run.has_options, run.has_calls, run.computes, run.swaps)
        asked = ["option", "server"] if run.has_options else []
        named = ["request_id", "attempt", "charged", "server_cause", "reached_at_s"]
        table = read_table(path, schema, [*named, *SERVED, *_cold(run), *asked])
        coded = {"server_cause", "server"}
        rows = {name: table[name].to_numpy() for name in table.column_names if name not in coded}
        rows |= {"server": server_asked(run, table)}
        cause = codes_of(run, table, "server_cause", columns.CAUSES)
        at = np.minimum(np.searchsorted(ids, rows["request_id"]), max(0, ids.size - 1))
        if at.size and not (ids.size and (ids[at] == rows["request_id"]).all()):
            raise BadInput(f"{run.path / 'attempts'}: rows of a request without several attempts")
        of, seconds = known.iloc[at], replica_seconds(run, rows)
        is_used = of["is_remote"].to_numpy().copy()
        for name in told_by_own_row(run):
            is_used &= of[name].to_numpy() == rows[name]
        np.add.at(service_s, at, seconds)
        np.add.at(charged, at, rows["charged"])
        np.add.at(sent, at, bytes_up(run, rows, of["group"].to_numpy(), cause))
        for name, values in calls_of(run, rows, seconds).items():
            np.add.at(calls.setdefault(name, np.zeros(len(known))), at, values)
        np.add.at(wasted_s, at, np.where(is_used | of["is_open"].to_numpy(), 0.0, seconds))
        first = rows["attempt"] == 1
        first_server[at[first]] = rows["server"][first]
        listed += at.size
    made = int(known["attempts"].sum())
    if listed != made:
        raise BadInput(f"{run.path / 'attempts'}: {listed} rows for {made} attempts; parts are missing")
    again = np.flatnonzero(found["attempts"] > 1)
    place = np.searchsorted(ids, found["request_id"][again])
    sent *= known["items"].to_numpy()
    told = {"service_s": service_s, "wasted_s": wasted_s, "bytes_up": sent, **calls}
    if not tells_by_cost(run):
        told["charged"] = charged
    if len(run.servers) > 1:
        told["first_server"] = first_server
    for name, values in told.items():
        found[name][again] = values[place]


def _cold(run: Run) -> list[str]:
    return [columns_by_run.COLD.name] if run.has_calls else []
