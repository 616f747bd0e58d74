"""What sweeps and studies leave behind: a table for the terminal, Parquet, JSON, figures and one HTML page.
Takes the table of `analysis.reports.cell_table`; page and terminal show the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from analysis.figures import many_runs as figures
from analysis.figures.many_runs import axis_label, format_value
from analysis.metrics.summary import json_safe, to_json
from analysis.reports.cell_table import HEADLINE, Metric, absent, makers, metric_of, pivot, write_cell_table
from analysis.reports.fitting_table import FittingTable
from analysis.reports.page import render, require_own, saved, write_figure
from analysis.statistics.percentiles import LEAST_RUNS
from sim.results.whole_files import write_whole

PRINTED = 4  # of HEADLINE fit a terminal
Shown = tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A figure of the page, with its words."""

    name: str
    title: str
    draw: Callable[[], Figure]
    alt: str
    caption: str


@dataclass(frozen=True)
class Sheet:
    """A table of text, a heading above it; its first `names` columns say what a row is."""

    heading: str
    columns: Shown
    rows: list[Shown]
    names: int = 1


@dataclass(frozen=True)
class Result:
    """Everything to be written: `name` is the stem of its files, `table` a row per run."""

    name: str
    title: str
    about: str
    question: str
    command: str
    table: pd.DataFrame
    reported: dict[str, Any]  # as JSON
    sheets: list[Sheet]
    pictures: list[Picture]
    method: str
    sentences: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)  # what was asked for and no run has


def files_of(name: str) -> set[str]:
    """What stands in the folder of a sweep or study."""
    return {f"{name}.parquet", f"{name}.json", f"{name}.html", "figures"}


def write_result(result: Result, out: Path, png: bool = False) -> None:
    """Writes the table, the numbers as JSON, the figures, as PNG too if asked, and the page into `out`.

    Raises BadInput where `out` holds other things; then nothing is written.
    """
    require_own(out, files_of(result.name), f"a {result.name}")
    pages, made_by = [], makers(result.table)
    for picture in result.pictures:
        figure = saved(picture.draw(), png)
        write_figure(out / "figures" / picture.name, figure)
        words = {key: getattr(picture, key) for key in ("name", "title", "alt", "caption")}
        pages.append(words | figure.sources())
    content = render(
        "many_runs.html.j2",
        title=result.title,
        about=result.about,
        question=result.question,
        cautions=cautions(result.table),
        sentences=result.sentences,
        absent=result.absent,
        tables=result.sheets,
        figures=pages,
        method=result.method,
        command=result.command,
        made_by=made_by,
    )
    write_cell_table(out / f"{result.name}.parquet", result.table)
    write_whole(out / f"{result.name}.json", to_json(json_safe(result.reported | {"made_by": made_by})))
    write_whole(out / f"{result.name}.html", content.encode())


def cautions(table: pd.DataFrame) -> list[str]:
    """The runs that are not valid by their own rules, counted by reason."""
    wrong = table[~table["valid"]]
    if wrong.empty:
        return []
    reasons = wrong["invalid_because"].str.split("; ").explode().str.replace(r"\d[\d.,]*", "…", regex=True)
    listed = "; ".join(f"{reason} ({count})" for reason, count in reasons.value_counts().items())
    return [f"Read with care: {len(wrong)} of {len(table)} runs are not valid by their own rules: {listed}."]


def sweep_result(
    name: str,
    question: str,
    command: str,
    table: pd.DataFrame,
    axes: Sequence[str],
    shown: Sequence[str],
) -> Result:
    """A sweep over `axes` (paths); `shown`: the metrics to tell of, HEADLINE if none. Raises BadInput for
    one that is none."""
    metrics = [metric_of(one, table) for one in shown or HEADLINE]
    rows = pivot(table, axes, metrics)
    seeds = max(row["seeds"] for row in rows)
    sheet = Sheet("Means with 95% intervals", *cells_as_text(rows, axes, metrics, with_ends))
    numbers = [{**row, "metrics": _named(row["metrics"])} for row in rows]
    return Result(
        name="sweep",
        title=f"Sweep of {name}",
        about=f"{_some(len(table), 'run')}: {_some(len(rows), 'setting')}, {_some(seeds, 'seed')} each",
        question=question,
        command=command,
        table=table,
        reported={"scenario": name, "axes": list(axes), "rows": numbers},
        sheets=[sheet],
        pictures=sweep_pictures(rows, axes, metrics),
        method=how_sure(seeds),
        absent=absent(table, shown),
    )


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def how_sure(seeds: int) -> str:
    """Where the intervals come from."""
    if seeds == 1:
        return (
            "One seed each: an interval is the run's own, of answers by clients and distinct samples, of "
            "times by stretches of time, and holds given its models. Numbers without one say nothing of "
            "chance; the summary of the run says why."
        )
    if seeds < LEAST_RUNS:
        return f"Means over {seeds} seeds, too few for an interval: {LEAST_RUNS} are needed."
    return (
        f"Means over {seeds} seeds, but percentiles are of the requests of all seeds together; intervals are "
        "over the seeds (95%), so they hold for models, samples and events that are drawn anew. A percentile "
        "that the runs are too few or too short to bound has no upper end, or none at all. Each is a "
        "statement of its own: among many some will miss."
    )


def sweep_table(result: Result, shown: Sequence[str]) -> RenderableType:
    """What `sweep` prints: a row per setting, means with half of the interval's width."""
    metrics = [metric_of(one, result.table) for one in shown or HEADLINE[:PRINTED]]
    axes = result.reported["axes"]
    columns, rows = cells_as_text(pivot(result.table, axes, metrics), short_names(axes), metrics, with_half)
    return printed(result, [Sheet("", columns, rows, names=len(columns) - len(metrics) - 1)])


def short_names(paths: Sequence[str]) -> list[str]:
    """The last step of each path, where that tells it from the others."""
    last = [path.rpartition(".")[2] for path in paths]
    return [name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)]


def printed(result: Result, sheets: Sequence[Sheet]) -> RenderableType:
    """Tables as a terminal shows them, under the title and above what to beware of."""
    parts: list[RenderableType] = [Text(f"{result.title}: {result.about}", style="bold")]
    for sheet in sheets:
        parts += [Text(), Text(sheet.heading)] if sheet.heading else [Text()]
        parts.append(FittingTable(sheet.columns, sheet.rows, sheet.names))
    parts += [Text(line) for line in result.absent]
    parts += [Text(f"! {line}", style="bold red") for line in cautions(result.table)]
    return Group(*parts, Text(), Text(result.method))


def cells_as_text(
    rows: Sequence[Mapping[str, Any]],
    axes: Sequence[str],
    metrics: Sequence[Metric],
    write: Callable[[tuple[float, float, float], Metric], str],
) -> tuple[Shown, list[Shown]]:
    """Column names and rows of text."""
    columns = (*(axes or ("scenario",)), "seeds", *(axis_label(metric) for metric in metrics))
    return columns, [
        (
            *([figures.word(value) for value in row["chosen"]] or ["as it is"]),
            str(row["seeds"]) + ("" if row["valid"] else " !"),
            *(write(row["metrics"][metric.name], metric) for metric in metrics),
        )
        for row in rows
    ]


def with_ends(results: tuple[float, float, float], metric: Metric) -> str:
    mean, low, high = results
    if math.isnan(low):
        return format_value(mean, metric)
    above = "no bound" if math.isnan(high) else format_value(high, metric)
    return f"{format_value(mean, metric)} [{format_value(low, metric)}, {above}]"


def with_half(results: tuple[float, float, float], metric: Metric) -> str:
    mean, low, high = results
    if math.isnan(mean) or math.isnan(low):
        return format_value(mean, metric)
    if math.isnan(high):
        return f"{format_value(mean, metric)} (over {format_value(low, metric)})"
    return f"{format_value(mean, metric)} ±{format_value((high - low) / 2, metric)}"


def _named(metrics: Mapping[str, tuple[float, float, float]]) -> dict[str, dict[str, float]]:
    return {
        name: dict(zip(("mean", "low", "high"), results, strict=True)) for name, results in metrics.items()
    }


def written_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a sweep or a study as `pivot` gave them, of how JSON has them."""

    def ends(found: Any) -> tuple[float, ...]:
        values = found.values() if isinstance(found, dict) else found
        return tuple(math.nan if value is None else float(value) for value in values)

    return [{**row, "metrics": {name: ends(found) for name, found in row["metrics"].items()}} for row in rows]


def sweep_pictures(
    rows: Sequence[Mapping[str, Any]], axes: Sequence[str], metrics: Sequence[Metric]
) -> list[Picture]:
    """What the page of a sweep shows."""
    made = []
    names = ", ".join(metric.label for metric in metrics)
    if len(axes) == 2:
        made.append(
            Picture(
                "heat_maps",
                f"Over {axes[0]} and {axes[1]}",
                partial(figures.heat_maps, rows, axes, metrics),
                f"Heat maps of {names} over {axes[0]} (upwards) and {axes[1]} (to the right).",
                "Means over seeds; the table above holds their intervals. ≈ behind a number: its interval "
                f"reaches into that of the first setting, {figures.word(rows[0]['chosen'][0])} and "
                f"{figures.word(rows[0]['chosen'][1])}, so the two are not seen to differ.",
            )
        )
    if axes and len(figures.lines_of(rows)) <= figures.MOST_LINES:
        others = f", a line per {' and '.join(axes[1:])}" if len(axes) > 1 else ""
        made.append(
            Picture(
                "curves",
                f"Along {axes[0]}",
                partial(figures.curves, rows, axes, metrics),
                f"{names} along {axes[0]}{others}; bars are 95% intervals.",
                "Bars are 95% intervals, where there are any. Lines only guide the eye from value to value, "
                "and stand a little beside one another.",
            )
        )
    return made
