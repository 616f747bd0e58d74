"""Many runs as one table: a row per run, what was chosen for it, its seed, every number of its summary.
Made from the summaries of finished runs; sweeps and studies print, draw and write what stands here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.metrics.measures import IN_SUMMARY, MEASURES, is_in_time
from analysis.metrics.naming import key_of, no_such, number_at, numbers_of, refuse_ends, unknown
from analysis.run_folder.files import read_json
from analysis.run_folder.latencies import latencies_of, level_of
from analysis.run_folder.provenance import made_by
from analysis.statistics.in_time import needed_relaxations
from analysis.statistics.percentiles import LEAST_RUNS, number_of, percentile_over_runs
from analysis.statistics.units import mean_of_units
from sim.results.whole_files import write_whole

ABOUT = ("seed", "run", "valid", "invalid_because")  # columns beside what was chosen and the numbers
HEADLINE = ("accuracy", "risk", "latency_p95", "offered_load", "deferral_rate", "cost")


class Made(NamedTuple):
    """A finished run: what was chosen for it, by path or as a policy's name, its seed and its folder."""

    chosen: Mapping[str, Any]
    seed: int
    folder: Path


class Metric(NamedTuple):
    """A number of the summary: its name, its words and unit, and its column."""

    name: str
    label: str
    unit: str
    column: str


def cell_table(runs: Sequence[Made]) -> pd.DataFrame:
    """A row per run, in order; columns: what was chosen, ABOUT, then every number as `path.in.summary`."""
    rows = []
    for made in runs:
        summary = read_json(made.folder / "summary.json")
        row = {"run": str(made.folder), "valid": summary.get("valid", False)}
        row["invalid_because"] = "; ".join(summary.get("invalid_because", []))
        numbers = {path: value for path, value in numbers_of(summary) if path != "valid"}
        rows.append(dict(made.chosen) | {"seed": made.seed} | row | numbers)
    return pd.DataFrame(rows)


def makers(table: pd.DataFrame) -> list[str]:
    """Version, commit and clock of the runs, each once."""
    plays = table["run.horizon_s"] > 0 if "run.horizon_s" in table else [True] * len(table)
    return list(
        dict.fromkeys(made_by(Path(run), bool(is_so)) for run, is_so in zip(table["run"], plays, strict=True))
    )


def write_cell_table(path: Path, table: pd.DataFrame) -> None:
    """Writes the table as Parquet; what was chosen is a number where all its values are, else JSON text."""
    columns = {name: _storable(table[name].tolist()) for name in table}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    write_whole(path, sink.getvalue().to_pybytes())


def _storable(values: list[Any]) -> pa.Array:
    plain = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    kinds = {type(value) for value in plain if value is not None}
    if kinds <= {int} and kinds:
        return pa.array(plain, pa.int64())
    if kinds <= {int, float}:
        return pa.array(plain, pa.float64())
    if kinds == {bool}:
        return pa.array(plain, pa.bool_())
    return pa.array([value if isinstance(value, str) else json.dumps(value) for value in plain], pa.string())


def in_summary(summary: Mapping[str, Any], name: str) -> float | None:
    """The value of a measure in a summary; None where it could not be computed."""
    return number_at(summary, ".".join(IN_SUMMARY[name]))


def metric_of(name: str, table: pd.DataFrame) -> Metric:
    """The metric of that name: a measure's (`accuracy`, `latency.p95`), or a column of the table.

    Raises BadInput for any other, with the nearest.
    """
    refuse_ends(name)
    key = key_of(name)
    if key in IN_SUMMARY:
        path = ".".join(IN_SUMMARY[key])
        column = path if path in table else f"{path}.value"
        return Metric(key, MEASURES[key].label, MEASURES[key].unit, column)
    numbers = [str(column) for column in table if _holds_numbers(table[column])]
    for column in (name, f"{name}.value"):
        if column in numbers:
            return Metric(name, name, "", column)
    raise unknown(name, [*IN_SUMMARY, *numbers])


def _holds_numbers(column: pd.Series) -> bool:
    """Or nothing at all: what no run has alone, such as a p99, all of them may have together."""
    return bool(pd.api.types.is_numeric_dtype(column) or column.isna().all())


def absent(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """A line for each of these metrics of which no run has a number, with what it would be."""
    asked = dict.fromkeys(metric_of(name, table) for name in names)
    return [no_such(metric.name) for metric in asked if table[metric.column].isna().all()]


def path_of(name: str) -> str:
    """Where a summary holds a measure (`latency.p95`), or the name itself: a path."""
    key = key_of(name)
    return ".".join(IN_SUMMARY[key]) if key in IN_SUMMARY else name


def evidence_of(table: pd.DataFrame, metric: Metric) -> list[Any]:
    """What each run of the table says of a metric: its latencies for a percentile, else its number."""
    if level_of(metric.column) is None:
        values: list[Any] = table[metric.column].astype(float).tolist()
        return values
    found = [latencies_of(Path(folder), metric.column) for folder in table["run"]]
    return [one for one in found if one is not None]


def lasts(table: pd.DataFrame) -> float:
    """How many relaxation times of the server all runs of the table last together."""
    if "run_length.relaxations" not in table:
        return math.inf
    return float(table["run_length.relaxations"].astype(float).fillna(math.inf).sum())


def pivot(table: pd.DataFrame, chosen: Sequence[str], metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """A row per combination of what was chosen, in the order of the table: its values, seeds, and per metric
    mean, low and high, NaN where there is none.

    Over seeds where there are `LEAST_RUNS` of them, of a percentile over the requests of all; of a single
    run, the interval is its own.
    """
    rows = []
    keys = table[list(chosen)].map(json.dumps).agg("|".join, axis=1) if chosen else pd.Series("", table.index)
    for _, part in table.groupby(keys, sort=False):
        row: dict[str, Any] = {"chosen": [part[name].tolist()[0] for name in chosen], "seeds": len(part)}
        row["valid"] = bool(part["valid"].all())
        row["metrics"] = {metric.name: _in_range(_estimate(part, metric), metric.unit) for metric in metrics}
        rows.append(row)
    return rows


def _in_range(ends: tuple[float, float, float], unit: str) -> tuple[float, float, float]:
    """An interval cut where no value can be: shares lie between 0 and 1, times, counts and money above 0."""
    mean, low, high = ends
    if unit not in ("share", "s", "bytes", "requests", "1/s", "money") or mean < 0:  # a gain may be a loss
        return ends
    return mean, max(low, 0.0), min(high, 1.0) if unit == "share" else high


def _estimate(part: pd.DataFrame, metric: Metric) -> tuple[float, float, float]:
    values = part[metric.column].to_numpy(dtype=float)
    level = level_of(metric.column)
    if len(part) == 1:
        own = metric.column.removesuffix(".value")
        ends = [f"{own}.{end}" for end in ("low", "high")]
        if ends[0] not in part:
            ends = [f"intervals.{end}" for end in ends]
        if ends[0] not in part:
            return float(values[0]), math.nan, math.nan
        low, high = (float(part[end].to_numpy(dtype=float)[0]) for end in ends)
        return float(values[0]), low, high
    if level is not None:
        runs = evidence_of(part, metric)
        if not runs:
            return math.nan, math.nan, math.nan
        _, bounds = percentile_over_runs(runs, level)
        return number_of(runs, level), *bounds
    mean, low, high = mean_of_units(values)
    if len(part) < LEAST_RUNS or (is_in_time(metric.name) and lasts(part) < needed_relaxations()):
        return mean, math.nan, math.nan
    return mean, low, high
