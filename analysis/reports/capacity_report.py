"""What a search for capacity leaves behind: the decisions as a table for the terminal and as JSON.
Takes what `analysis.statistics.capacity` found, and the table of all runs that it looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.figures.many_runs import axis_label, format_value
from analysis.metrics.summary import json_safe, to_json
from analysis.reports.cell_table import Metric, makers, metric_of, write_cell_table
from analysis.reports.many_runs_report import cautions
from analysis.statistics.capacity import SearchResult, Slo
from sim.results.whole_files import write_whole

FILES = {"capacity.json", "capacity.parquet"}
NO_BOUND = "no bound"
NO_BOUND_MEANS = "no bound: these runs are too few or too short to show how far it reaches on that side"


def write_capacity(
    results: Sequence[SearchResult],
    slos: Sequence[Slo],
    confidence: float,
    path: str,
    said: Sequence[str],
    best: int | None,
    table: pd.DataFrame,
    out: Path,
) -> None:
    """Writes capacity.json, the decisions and the answer, and capacity.parquet, a row per run.

    Of several SLOs `violations` and `decisions` are those of all, in order, each decision with its `slo`.
    """
    content = {
        "slo": "; ".join(map(str, slos)),
        "confidence": confidence,
        "path": path,
        "best": best,
        "answer": ". ".join(said),
        "violations": [line for result in results for line in result.violations],
        "decisions": [
            decision._asdict() | {"slo": str(slo)}
            for slo, result in zip(slos, results, strict=True)
            for decision in result.decisions
        ],
        "made_by": makers(table),
    }
    write_cell_table(out / "capacity.parquet", table)
    write_whole(out / "capacity.json", to_json(json_safe(content)))


def capacity_table(result: SearchResult, slo: Slo, what: str, table: pd.DataFrame) -> RenderableType:
    """What `capacity` prints: a row per number that was asked about, with the bounds that decided."""
    metric = metric_of(slo.metric, table)
    shown = Table(box=None, padding=(0, 1, 0, 1), pad_edge=False, header_style="bold")
    for name in (what, "seeds", axis_label(metric), "from", "to", str(slo)):
        shown.add_column(name, justify="right")
    ends = [(_end(one.low, metric), _end(one.high, metric)) for one in result.decisions]
    for one, bounds in zip(result.decisions, ends, strict=True):
        shown.add_row(str(one.number), str(one.seeds), format_value(one.mean, metric), *bounds, one.verdict)
    open_ends = [Text(NO_BOUND_MEANS)] if any(NO_BOUND in bounds for bounds in ends) else []
    return Group(shown, *open_ends, *(Text(line, style="bold red") for line in cautions(table)), Text())


def _end(value: float, metric: Metric) -> str:
    return format_value(value, metric) if math.isfinite(value) else NO_BOUND
