"""How long the requests of a finished run took, by the path of a percentile in its summary.
For tables of many runs, which pool requests; reads four columns of the requests and no more."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.run_folder.files import part_paths, read_json, read_table
from analysis.run_folder.outages import find_outages, in_any, on_own_outage
from analysis.run_folder.run import Run, open_run
from analysis.statistics.percentiles import LEVELS, Latencies, latencies
from sim.results import columns

NEEDED = ["arrived_at_s", "first_answer_at_s", "answered_at_s", "outcome", "group", "client_id"]
_WITHIN_WHOLE = re.compile(r"latency_s\.(first|final|by_outcome\.(\w+))\.(p\d\d)")
_WITHIN_WINDOW = re.compile(r"outages\.(whole_run|before|during_any|outside)\.(p\d\d)_latency_s")

_WITHIN_GROUP = re.compile(r"groups\.(.+)\.whole_run\.(p\d\d)_latency_s")
_WITHIN = (_WITHIN_WHOLE, _WITHIN_WINDOW, _WITHIN_GROUP)


def level_of(path: str) -> float | None:
    """The level of the percentile at a path of the summary, as 0.95; None for any other number."""
    match = next((found for one in _WITHIN if (found := one.fullmatch(path))), None)
    return None if match is None else LEVELS[match.groups()[-1]]


def latencies_of(folder: Path, path: str) -> Latencies | None:
    """The latencies that the percentile at `path` is of; None where a folder holds no requests."""
    if not part_paths(folder, "requests", needed=False):
        return None
    run, relaxations = open_run(folder), read_json(folder / "summary.json")["run_length"]["relaxations"]
    parts = [
        read_table(part, columns.REQUESTS, NEEDED) for part in part_paths(folder, "requests", needed=True)
    ]
    table = pa.concat_tables(
        part.set_column(3, "outcome", pc.cast(part["outcome"], pa.string())).set_column(
            4, "group", pc.cast(part["group"], pa.string())
        )
        for part in parts
    )
    table = table.filter(pc.greater_equal(table["arrived_at_s"], run.warm_up_s)).sort_by("arrived_at_s")
    arrived_at_s = table["arrived_at_s"].to_numpy()
    answer = "first_answer_at_s" if path.startswith("latency_s.first") else "answered_at_s"
    outcome = table["outcome"].to_numpy(zero_copy_only=False)
    every = latencies(
        arrived_at_s,
        (table[answer].to_numpy() - arrived_at_s).astype(np.float32),
        outcome == "in_flight",
        run.horizon_s,
        np.inf if relaxations is None else relaxations,
    )
    return every.among(_wanted(path, run, table))


def _wanted(path: str, run: Run, table: pa.Table) -> np.ndarray:
    whole, window, group = (one.fullmatch(path) for one in _WITHIN)
    arrived_at_s = table["arrived_at_s"].to_numpy()
    if whole is not None and whole[2]:
        return np.asarray(table["outcome"].to_numpy(zero_copy_only=False) == whole[2])
    if group is not None:
        return np.asarray(table["group"].to_numpy(zero_copy_only=False) == group[1])
    if window is None or window[1] == "whole_run":
        return np.ones(arrived_at_s.size, dtype=bool)
    outages = find_outages(run.events, run.horizon_s)
    if window[1] == "before":
        first_s = min((outage.from_s for outage in outages), default=run.horizon_s)
        return np.asarray(arrived_at_s < first_s)
    inside = in_any(outages, arrived_at_s) | on_own_outage(run, table["client_id"].to_numpy(), arrived_at_s)
    return inside if window[1] == "during_any" else ~inside
