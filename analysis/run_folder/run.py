"""Reads a run folder into one frozen object: the scenario as plain data, the tables as pandas frames.
The first step of every analysis, and the door for notebooks: `analysis.load_run(path).requests`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from analysis.run_folder.files import (
    as_frame,
    part_paths,
    read_frame,
    read_json,
    read_parts,
    refuse_gaps,
)
from analysis.run_folder.kept_rows import read_requests, refuse_rowless
from analysis.run_folder.learned_together import LearnedTogether
from analysis.run_folder.provenance import provenance_warnings
from analysis.run_folder.servers import AskedOf
from analysis.run_folder.small_tables import SmallTables
from analysis.run_folder.sql import PARTED, found_by
from analysis.run_folder.what_it_tells import WhatItTells
from sim.errors import BadInput
from sim.results import columns, columns_by_run

log = logging.getLogger(__name__)

MANY_RUNS = ("study", "sweep", "compare", "capacity")  # commands that leave NAME.json and no run
SCENARIO, VERSIONS, MEASURED = "scenario.yaml", "versions.json", "measured.json"


@dataclass(frozen=True)
class Run(AskedOf, LearnedTogether, SmallTables, WhatItTells):
    """A finished run: its folder and its scenario; tables are read when first asked for, then kept.

    Columns and their meaning: docs/run_folder.md. A table that is missing, damaged or of another version
    raises BadInput, in one line, when it is asked for; `analysis.integrity_of(path)` tells of all of them.
    """

    path: Path
    scenario: dict[str, Any]
    scenario_text: str

    @property
    def horizon_s(self) -> float:
        return float(self.scenario["horizon_s"])

    @property
    def warm_up_s(self) -> float:
        return float(self.scenario["warm_up_s"])

    @property
    def observed_s(self) -> float:
        """Virtual time that the summary speaks about: from the end of the warm-up to the horizon."""
        return max(0.0, self.horizon_s - self.warm_up_s)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """A line for each reason to doubt what the numbers mean: another version, a scenario that changed."""
        return provenance_warnings(self.path / VERSIONS, self.path / SCENARIO)

    @cached_property
    def brought(self) -> set[str]:
        """Families of which the run knew kinds that researchers brought, such as `arrivals`."""
        path = self.path / VERSIONS
        told = read_json(path) if path.exists() else {}
        return {name.partition(" ")[0] for name in told if " " in name}

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Every number of summary.json, with its interval; docs/metrics.md says what each is."""
        return read_json(self.path / "summary.json")

    def sql(self, query: str) -> Any:
        """What a query in SQL finds, as a relation of DuckDB (`.df()` makes a frame of it): tables are
        `requests`, `attempts`, `timeline` and every other Parquet file of the folder, read where they lie.

        Raises BadInput where DuckDB is not installed, or, in one line, for a query that it refuses.
        """
        return found_by(query, self.path, self.detail)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """Every request by request_id, with the `base_id` of its sample (views share a base sample)."""
        refuse_rowless(self)
        schema = self.columns_of_requests(self.has_options)
        parts = part_paths(self.path, "requests", needed=self.horizon_s > 0)
        frame = as_frame([read_requests(self, part, schema) for part in parts], schema)
        frame = frame.sort_values("request_id", ignore_index=True)
        arrivals = int(self.columns_of("timeline")["arrivals"].sum())
        refuse_gaps(self.path / "requests", frame["request_id"].to_numpy(), arrivals)
        places = self.places_of_samples(frame["sample_id"].to_numpy())
        frame["base_id"] = self.columns_of("samples")["base_id"][places].astype(np.int64)
        for name, values in (
            ("outcome", columns.OUTCOMES),
            ("server_cause", columns.CAUSES),
            ("answered_by", self.answerers),
            ("group", tuple(self.groups)),
        ):
            if not set(frame[name].unique()) <= set(values):
                known = ", ".join(values)
                raise BadInput(f"{self.path / 'requests'}: {name} holds a value other than {known}")
            frame[name] = frame[name].cat.set_categories(list(values))
        return frame

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """Every attempt of requests with several, by request_id and attempt."""
        schema = columns_by_run.attempts(self.has_options, self.has_calls, self.computes, self.swaps)
        frame = read_parts(self.path, "attempts", schema, needed=False)
        return frame.sort_values(["request_id", "attempt"], ignore_index=True)

    @cached_property
    def seconds_of_servers(self) -> pd.DataFrame:
        """The time line of each of several servers: a row per second and server."""
        return read_frame(self.path / "servers.parquet", columns_by_run.SERVERS).astype({"server": "str"})

    @cached_property
    def energy(self) -> pd.DataFrame:
        """What each client's device held, harvested and drew; of a run that `is_metered`."""
        return read_frame(self.path / "energy.parquet", columns_by_run.ENERGY).astype({"group": "str"})

    @cached_property
    def visits(self) -> pd.DataFrame:
        """When clients of groups that come and go were there; no rows where none do."""
        return self._if_there("presence", columns_by_run.PRESENCE)

    @cached_property
    def items(self) -> pd.DataFrame:
        """What became of each item of a session; no rows where there are none."""
        return self._if_there("items", columns_by_run.ITEMS)

    def of_clients(self, *names: str) -> pd.DataFrame:
        """Some columns of `clients` alone, which of a million clients take much less; not kept."""
        schema = pa.schema([columns.CLIENTS.field(name) for name in names])
        return read_frame(self.path / "clients.parquet", schema)

    @cached_property
    def work(self) -> pd.DataFrame:
        """sample_id and what its service time is multiplied by; of a run that `has_work_of_samples`."""
        schema = pa.schema([columns.SAMPLES.field("sample_id"), columns.WORK])
        return read_frame(self.path / "samples.parquet", schema)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables that the folder holds, those in parts included."""
        parted = [name for name in PARTED if any((self.path / name).glob("part-*.parquet"))]
        return tuple(sorted([*parted, *(file.stem for file in self.path.glob("*.parquet"))]))

    def table(self, name: str) -> pd.DataFrame:
        """Any table of the folder as it is, with all its columns, those of newer versions too."""
        if name not in self.tables:
            near = get_close_matches(name, self.tables, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(self.tables)}"
            raise BadInput(f"{self.path}: no table {name}{hint}")
        if name in PARTED:
            return read_parts(self.path, name, None, needed=True)
        return read_frame(self.path / f"{name}.parquet", None)

    @cached_property
    def timing(self) -> dict[str, Any]:
        """Wall seconds per stage; empty where the run has not written them yet."""
        return read_json(self.path / "timing.json")

    @cached_property
    def versions(self) -> dict[str, Any]:
        """Versions of the packages that made the run; empty where they were not recorded."""
        return read_json(self.path / VERSIONS)


def load_run(path: str | Path, said: dict[str, Any] | None = None) -> Run:
    """The run in folder `path`; its tables are read when they are asked for.

    What speaks against its provenance is logged as warnings. Raises BadInput, in one line, for a folder
    without a scenario that can be read: it is no run's. said: what its scenario.yaml says, for who has
    written it and need not read it.
    """
    run = open_run(path, said)
    for warning in run.warnings:
        log.warning("%s", warning)
    return run


def open_run(path: str | Path, said: dict[str, Any] | None = None) -> Run:
    """What `load_run` gives, without its warnings: they have been logged."""
    path = Path(path)
    if not path.is_dir():
        raise BadInput(f"{path}: no such run folder")
    if not (path / SCENARIO).is_file():
        left_by = [one for one in MANY_RUNS if (path / f"{one}.json").is_file()]
        why = f"but what the command {left_by[0]} left" if left_by else f"{SCENARIO} is missing"
        raise BadInput(f"{path}: not a run folder, {why}")
    try:
        text = (path / SCENARIO).read_text(encoding="utf-8")
        scenario = _parsed(text) if said is None else said
    except RecursionError:
        raise BadInput(f"{path / SCENARIO}: cannot be read: nested too deep") from None
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path / SCENARIO}: cannot be read: {reason}") from None
    for key in ("name", "seed", "horizon_s", "warm_up_s", "costs", "fleet", "server"):
        if not isinstance(scenario, dict) or key not in scenario:
            raise BadInput(f"{path / SCENARIO}: {key} is missing; a resolved scenario has every key")
    return Run(path, _with_measurements(scenario, read_json(path / MEASURED)), text)


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """What YAML says; parsed once where a command opens a folder again, since that takes a tenth of a second.
    Nobody may change it: `_with_measurements` gives copies."""
    return YAML(typ="safe", pure=True).load(text)


def _with_measurements(value: Any, known: dict[str, Any]) -> Any:
    """The scenario, in which each measured duration has the mean and variation of its file beside it."""
    if isinstance(value, list):
        return [_with_measurements(part, known) for part in value]
    if not isinstance(value, dict):
        return value
    found = {key: _with_measurements(part, known) for key, part in value.items()}
    return found | known.get(str(value.get("file")), {}) if value.get("kind") == "empirical" else found
