"""What state a run folder is in, file by file, and the run made of what can still be read.
For folders that are incomplete, damaged or of another version; `analysis.reports.partial_report` shows it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from analysis.run_folder.files import part_paths, promised, read_table, refuse_damage
from analysis.run_folder.run import Run, open_run
from analysis.run_folder.small_tables import NEEDED, SCHEMAS
from analysis.run_folder.sql import PARTED
from analysis.run_folder.traffic import Traffic, traffic_kept
from sim.errors import BadInput
from sim.results import columns, columns_by_run

SINGLE = {name: SCHEMAS[name] for name in NEEDED}
WHERE_THERE_ARE_ANY = {name: schema for name, schema in SCHEMAS.items() if name not in NEEDED}
WITHOUT_ROWS = {"totals": columns_by_run.TOTALS, "latencies": columns_by_run.LATENCIES}
IN_PARTS = {"requests": columns.REQUESTS, "attempts": columns.ATTEMPTS}


class State(NamedTuple):
    """One table: how many of its files can be read, of how many, and what is wrong with the first other."""

    table: str
    readable: int
    files: int
    why: str

    @property
    def is_fine(self) -> bool:
        return not self.why


def integrity_of(path: str | Path) -> list[State]:
    """The state of every table of a run folder, by the heads of its files.

    Raises BadInput for a folder that is no run's.
    """
    return states_of(open_run(path))


def states_of(run: Run) -> list[State]:
    """The same of a run that was opened."""
    written = promised(run.path)
    schemas = IN_PARTS | {"requests": columns_by_run.kept(IN_PARTS["requests"], run.detail)}
    states = [_state(run, name, _parts(run.path, name, written), schemas[name]) for name in PARTED]
    optional = {
        name: schema
        for name, schema in WHERE_THERE_ARE_ANY.items()
        if f"{name}.parquet" in written or (run.path / f"{name}.parquet").exists()
    }
    known = SINGLE | optional | ({} if run.keeps_rows else WITHOUT_ROWS)
    states += [_state(run, name, [run.path / f"{name}.parquet"], known[name]) for name in known]
    others = {name.removesuffix(".parquet") for name in written if name.endswith(".parquet")}
    lost = sorted(
        name
        for name in others - set(known)
        if "/" not in name and not (run.path / f"{name}.parquet").exists()
    )
    return states + [
        State(name, 0, 1, f"{run.path}: not a finished run, {name}.parquet is missing") for name in lost
    ]


def _parts(folder: Path, name: str, written: set[str]) -> list[Path]:
    """The parts that are there, and those that are not though the run wrote them."""
    lost = {folder / one for one in written if one.startswith(f"{name}/")}
    return sorted({*part_paths(folder, name, needed=False), *lost})


def _state(run: Run, name: str, files: list[Path], schema: pa.Schema) -> State:
    wrong = []
    for file in files:
        try:
            refuse_damage(file, schema)
        except BadInput as error:
            wrong.append(str(error))
    if not files and name == "requests" and run.horizon_s > 0 and run.keeps_rows:
        wrong.append(f"{run.path}: not a finished run, {name}/part-*.parquet is missing")
    readable = len(files) - len(wrong) if files else 0
    return State(name, readable, len(files), wrong[0] if wrong else "")


def salvage(path: str | Path) -> tuple[Traffic, list[State]]:
    """The traffic of what can be read, and the state of each table.

    A table that cannot be read is empty; requests come from the parts that can be read; without samples each
    stands for itself. Numbers made of it are those of a part of the run.
    """
    run = open_run(path)
    states = states_of(run)
    for index, state in enumerate(states):
        if state.table in SCHEMAS:
            try:
                run.rows_of(state.table)
            except BadInput as error:
                states[index] = State(state.table, 0, 1, str(error))
                run.at_hand[state.table] = SCHEMAS[state.table].empty_table()
    if not len(run.rows_of("samples")):
        run.at_hand["samples"] = _samples_met(run)
    return traffic_kept(run, skipped=[]), states


def _samples_met(run: Run) -> pa.Table:
    """The samples that the requests name, each its own base sample."""
    met: set[int] = set()
    for file in part_paths(run.path, "requests", needed=False):
        try:
            met |= set(read_table(file, columns.REQUESTS, ["sample_id"])["sample_id"].to_pylist())
        except BadInput:
            continue
    return pa.table({name: pa.array(sorted(met), pa.int32()) for name in ("sample_id", "base_id")})
