"""Figures of the policies of a study: all in one plane, differences from the baseline, means side by side.
Pure functions of the rows that `analysis.reports.cell_table.pivot` gives, and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.for_print import broken
from analysis.figures.many_runs import (
    MARKERS,
    Rows,
    axis_label,
    difference_label,
    panels_in_rows,
    reach,
    scaled,
    with_bars,
    word,
)
from analysis.figures.style import GREY, INK, SERIES, WIDTH_IN, styled
from analysis.reports.cell_table import Metric

Differences = Mapping[str, Mapping[str, Mapping[str, float]]]  # by policy, then metric: difference, low, high
MOST_LETTERS = 95  # of a line above a figure


@styled
def plane(rows: Rows, across: Metric, up: Metric) -> Figure:
    """Every row as a point with both intervals: one metric to the right, another upwards, a name at each;
    rows whose points are the same are one, under all their names."""
    figure = Figure(figsize=(WIDTH_IN, 4.2), layout="constrained")
    panel = figure.subplots()
    points: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        points.setdefault(tuple(row["metrics"][metric.name] for metric in (across, up)), []).append(number)
    for place, numbers in points.items():
        x, y = (
            scaled(np.array(ends, dtype=float), metric)
            for ends, metric in zip(place, (across, up), strict=True)
        )
        if math.isnan(x[0]) or math.isnan(y[0]):
            continue
        number = numbers[0]
        names = [", ".join(word(value) for value in rows[one]["chosen"]) for one in numbers]
        with_bars(
            panel,
            x[0],
            y[0],
            " = ".join(names),
            xerr=reach(x),
            yerr=reach(y),
            color=SERIES[number % len(SERIES)],
            marker=MARKERS[(number + number // len(SERIES)) % len(MARKERS)],
            mec=INK,
            mew=0.5,
            ms=7,
            lw=1.2,
            ls="",
        )
    panel.set_xlabel(axis_label(across))
    panel.set_ylabel(axis_label(up))
    panel.grid(visible=True)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside right center")
    return figure


@styled
def differences(results: Differences, metrics: Sequence[Metric], baseline: str) -> Figure:
    """A panel per metric in which some policy differs, a row per policy: its difference from the baseline
    with its interval. The other metrics stand in a line above."""
    apart = differing(results, metrics)
    lines = [
        broken(line, MOST_LETTERS) for line in (f"difference from {baseline}", *left_out(results, metrics))
    ]
    ends = {
        name: {key: (of["difference"], of["low"], of["high"]) for key, of in by_metric.items()}
        for name, by_metric in results.items()
    }
    figure, panels = _points(ends, apart, 3)
    for panel, metric in zip(panels, apart, strict=True):
        panel.axvline(0, color=GREY, lw=1, zorder=0)
        panel.set_xlabel(difference_label(metric))
    figure.suptitle("\n".join(lines), size=9.5, x=0.0, ha="left")
    return figure


def differing(results: Differences, metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics in which some policy differs from the baseline, or may, by its interval."""
    return [metric for metric in metrics if any(_known(results, metric))]


def left_out(results: Differences, metrics: Sequence[Metric]) -> list[str]:
    """A line for the metrics in which no policy differs from the baseline, and one for those of which there
    is no difference."""
    rest = [metric for metric in metrics if metric not in differing(results, metrics)]
    same, unknown = (
        [one.label for one in rest if bool(_known(results, one)) == is_known] for is_known in (True, False)
    )
    return [
        f"{words}: {'; '.join(names)}"
        for words, names in (("the same for all", same), ("no number", unknown))
        if names
    ]


def _known(results: Differences, metric: Metric) -> list[float]:
    """The differences from the baseline and their ends, those that there are."""
    every = (of[metric.name][end] for of in results.values() for end in ("difference", "low", "high"))
    return [value for value in every if value is not None and not math.isnan(value)]


@styled
def levels(rows: Rows, metrics: Sequence[Metric]) -> Figure:
    """A panel per metric, a row per policy: its mean with its interval."""
    return _points({word(row["chosen"][0]): row["metrics"] for row in rows}, metrics, 2)[0]


def _points(
    ends: Mapping[str, Mapping[str, tuple[float, float, float]]], metrics: Sequence[Metric], columns: int
) -> tuple[Figure, list[Axes]]:
    """Rows of points, filled where the interval leaves out 0; all rows under the same names."""
    figure, panels = panels_in_rows(len(metrics), columns, 0.9 + 0.24 * len(ends))
    for panel, metric in zip(panels, metrics, strict=True):
        for y, of in enumerate(ends.values()):
            results = scaled(np.array(of[metric.name], dtype=float), metric)
            clear = results[1] > 0 or results[2] < 0
            colour = SERIES[0] if clear else GREY
            face = colour if clear else "white"
            bars = reach(results)
            panel.errorbar(results[0], y, xerr=bars, marker="o", ms=5, lw=1.4, ls="", color=colour, mfc=face)
        panel.set_yticks(range(len(ends)), list(ends))
        panel.set_ylim(len(ends) - 0.5, -0.5)
        panel.set_xlabel(axis_label(metric))
        panel.locator_params(axis="x", nbins=4)
        panel.grid(visible=True, axis="x")
        if panel not in panels[::columns]:
            panel.tick_params(labelleft=False)
    return figure, panels
