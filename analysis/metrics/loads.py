"""How often servers that cannot hold all of their models brought one into memory.
A section of the summary of runs whose scenario has such servers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.run_folder.files import part_paths, read_table
from analysis.run_folder.kept_rows import read_requests
from analysis.run_folder.run import Run
from analysis.run_folder.servers import swaps
from analysis.run_folder.traffic import Traffic, ratio
from analysis.run_folder.whom import server_asked
from sim.results import columns_by_run
from sim.results.columns_by_run import LOADS

NAMES = ("reached_at_s", "started_at_s", "batch_size", LOADS.name)


def loads(traffic: Traffic) -> dict[str, Any] | None:
    """By server; None where models of none take turns, or no rows are kept."""
    run = traffic.run
    if not any(map(swaps, run.servers.values())) or not run.keeps_rows:
        return None
    began, made = np.zeros(len(run.servers)), np.zeros(len(run.servers))
    for table, is_once in _attempts(run):
        server = server_asked(run, table)
        reached, started, size, loaded = (table[name].to_numpy() for name in NAMES)
        late = is_once & (reached >= run.warm_up_s)
        np.add.at(made, server[late], loaded[late])
        served = late & ~np.isnan(started)
        np.add.at(began, server[served], 1.0 / size[served])
    return {
        name: {
            "batches": round(float(began[place])),
            "made": int(made[place]),
            "share": ratio(float(made[place]), float(began[place])),
        }
        for place, (name, server) in enumerate(run.servers.items())
        if swaps(server)
    }


def _attempts(run: Run) -> list[tuple[pa.Table, NDArray[np.bool_]]]:
    """Every attempt once, part by part: of requests with several from their own table."""
    asked = ["server"] if run.has_options else []
    names, found = ["request_id", *NAMES, *asked], []
    for path in part_paths(run.path, "requests", needed=False):
        schema = run.columns_of_requests(run.has_options)
        table = read_requests(run, path, schema, [*names, "attempts"])
        found.append((table, table["attempts"].to_numpy() == 1))
    schema = columns_by_run.attempts(run.has_options, run.has_calls, run.computes, run.swaps)
    for path in part_paths(run.path, "attempts", needed=False):
        table = read_table(path, schema, names)
        found.append((table, np.ones(len(table), dtype=bool)))
    return found


DEFINITIONS = {
    "loads.*.batches": "Batches of attempts that reached it after the warm-up, as they began last (count).",
    "loads.*.made": "Times that a model came into a replica's memory for these attempts (count).",
    "loads.*.share": "Both of them: loads over batches (share).",
}
