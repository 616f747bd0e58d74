"""How long the requests of a finished run took, by the path of a percentile in its summary.
For tables of many runs, which pool requests; reads six columns of the requests and no more."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.run_folder.arrivals import Arrivals, arrays_of
from analysis.run_folder.files import part_paths, read_json
from analysis.run_folder.kept_rows import read_requests
from analysis.run_folder.outages import find_outages
from analysis.run_folder.parts import part_of
from analysis.run_folder.run import open_run
from analysis.statistics.percentiles import LEVELS, Latencies
from sim.results import columns

NEEDED = ["arrived_at_s", "first_answer_at_s", "answered_at_s", "client_id", "outcome", "group"]
WORDS = ["outcome", "group"]
_OF_LATENCY = re.compile(r"(latency_s\..+)\.(p\d\d)")
_OF_PART = re.compile(r"((?:outages|groups)\..+)\.(p\d\d)_latency_s")


class Percentile(NamedTuple):
    """A percentile of the summary: the part of the traffic that it is of, by its path, and its level."""

    part: str
    level: float


def percentile_at(path: str) -> Percentile | None:
    """The percentile at a path of the summary, or of its section `intervals`; None for any other number."""
    plain = path.removeprefix("intervals.").removesuffix(".value")
    found = _OF_LATENCY.fullmatch(plain) or _OF_PART.fullmatch(plain)
    return Percentile(found[1], LEVELS[found[2]]) if found and found[2] in LEVELS else None


def level_of(path: str) -> float | None:
    """The level of the percentile at a path of the summary, as 0.95; None for any other number."""
    found = percentile_at(path)
    return None if found is None else found.level


def latencies_of(folder: Path, path: str) -> Latencies | None:
    """The latencies that the percentile at `path` is of; None where a folder holds no requests, or no such
    part of them."""
    found = percentile_at(path)
    if found is None or not part_paths(folder, "requests", needed=False):
        return None
    of = _arrivals(folder)
    among = part_of(of, found.part)
    if among is None:
        return None
    relaxations = read_json(folder / "summary.json")["run_length"]["relaxations"]
    every = of.latencies("first_s" if found.part == "latency_s.first" else "final_s")
    return replace(every, relaxations=np.inf if relaxations is None else relaxations).among(among)


def _arrivals(folder: Path) -> Arrivals:
    run = open_run(folder)
    tables = [
        read_requests(run, part, columns.REQUESTS, NEEDED)
        for part in part_paths(folder, "requests", needed=True)
    ]
    table = pa.concat_tables(tables).unify_dictionaries()
    table = table.filter(pc.greater_equal(table["arrived_at_s"], run.warm_up_s)).sort_by("arrived_at_s")
    rows: pd.DataFrame = table.to_pandas()
    for name, answer in (("first_s", "first_answer_at_s"), ("final_s", "answered_at_s")):
        rows[name] = (rows[answer] - rows["arrived_at_s"]).astype(np.float32)
    return Arrivals(run, arrays_of(rows), find_outages(run))
