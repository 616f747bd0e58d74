"""Figures over many runs: a number along an axis of a sweep, heat maps over two; how numbers are named.
Pure functions of the rows that `analysis.reports.cell_table.pivot` gives; intervals as the rows have them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import ON_DARK, ON_LIGHT, SERIES, WIDTH_IN, styled
from analysis.reports.cell_table import Metric
from analysis.reports.formatting import SHOWN_AS, quantity

Rows = Sequence[Mapping[str, Any]]
MARKERS = "osD^vPX"
ALIKE = " ≈"
UNITS = {"_s": "s", "_hz": "1/s", "_bps": "bit/s", "_bytes": "B", "_usd": "USD"}
MOST_LINES = len(SERIES)


@styled
def curves(rows: Rows, axes: Sequence[str], metrics: Sequence[Metric]) -> Figure:
    """Each metric along the first axis, a line per combination of the others, with intervals; a little beside
    one another, so that none hides another."""
    figure, panels = panels_in_rows(len(metrics), 2, 2.5)
    values = list(dict.fromkeys(word(row["chosen"][0]) for row in rows))
    numeric = all(_is_number(row["chosen"][0]) for row in rows)
    lines = lines_of(rows)
    step = _step_aside([row["chosen"][0] for row in rows] if numeric else list(range(len(values))))
    for panel, metric in zip(panels, metrics, strict=True):
        for number, (label, of_line) in enumerate(lines.items()):
            x = [row["chosen"][0] if numeric else values.index(word(row["chosen"][0])) for row in of_line]
            look = {
                "color": SERIES[number % len(SERIES)],
                "marker": MARKERS[number % len(MARKERS)],
                "ms": 4.5,
            }
            aside = step * (number - (len(lines) - 1) / 2)
            _with_intervals(panel, np.array(x, dtype=float) + aside, of_line, metric, label, **look)
        _ticks_at_values(panel, rows, values, numeric)
        panel.set_xlabel(path_label(axes[0]))
        panel.set_ylabel(axis_label(metric))
        panel.grid(visible=True, axis="y")
    if len(lines) > 1:
        title = ", ".join(axes[1:])
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, title=title
        )
    return figure


def _step_aside(places: Sequence[float]) -> float:
    """How far one line stands beside the next: what the eye just sees, and little of the way to the next
    value."""
    at = np.unique(np.asarray(places, dtype=float))
    return float(min(0.012 * (at[-1] - at[0]), 0.1 * np.diff(at).min())) if len(at) > 1 else 0.02


def _ticks_at_values(panel: Axes, rows: Rows, values: Sequence[str], numeric: bool) -> None:
    """A tick at each value that was chosen, unless they are numbers too near one another to be written."""
    if not numeric:
        panel.set_xticks(range(len(values)), values)
        return
    at = sorted({float(row["chosen"][0]) for row in rows})
    if len(at) > 1 and np.diff(at).min() * 12 >= at[-1] - at[0]:
        panel.set_xticks(at, [word(value) for value in at])


def lines_of(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """The rows by what was chosen on all axes but the first."""
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        lines.setdefault(", ".join(word(value) for value in row["chosen"][1:]), []).append(row)
    return lines


@styled
def heat_maps(rows: Rows, axes: Sequence[str], metrics: Sequence[Metric]) -> Figure:
    """Each metric over two axes: the first upwards, the second to the right; the mean in each cell, with
    ALIKE behind it where its interval reaches into that of the first cell, which has no mark."""
    up, right = (list(dict.fromkeys(word(row["chosen"][n]) for row in rows)) for n in (0, 1))
    figure, panels = panels_in_rows(len(metrics), 2, max(1.9, 1.0 + 0.3 * len(up)))
    for panel, metric in zip(panels, metrics, strict=True):
        grid = np.full((len(up), len(right)), np.nan)
        marks, first = np.full(grid.shape, "", dtype="<U2"), rows[0]["metrics"][metric.name]
        for row in rows:
            place = up.index(word(row["chosen"][0])), right.index(word(row["chosen"][1]))
            found = row["metrics"][metric.name]
            grid[place] = found[0]
            marks[place] = ALIKE if row is not rows[0] and overlap(first, found) else ""
        shades = panel.pcolormesh(scaled(grid, metric), cmap="cividis", edgecolors="white", linewidth=1.0)
        _write_cells(panel, grid, marks, metric)
        panel.set_xticks(np.arange(len(right)) + 0.5, right)
        panel.set_yticks(np.arange(len(up)) + 0.5, up)
        panel.set_xlabel(path_label(axes[1]))
        panel.set_ylabel(path_label(axes[0]))
        panel.set_title(axis_label(metric))
        figure.colorbar(shades, cax=panel.inset_axes((1.03, 0.0, 0.05, 1.0)))  # goes wherever its panel goes
    return figure


def _write_cells(panel: Axes, grid: np.ndarray, marks: np.ndarray, metric: Metric) -> None:
    if grid.size > 120:  # too small to read
        return
    middle = (np.nanmin(grid) + np.nanmax(grid)) / 2 if not np.isnan(grid).all() else 0.0
    for (y, x), value in np.ndenumerate(grid):
        if not math.isnan(value):
            colour = ON_DARK if value <= middle else ON_LIGHT
            panel.text(
                x + 0.5,
                y + 0.5,
                format_value(value, metric) + str(marks[y, x]),
                ha="center",
                va="center",
                color=colour,
                size=7.5,
            )


def overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Whether two known intervals have a value in common."""
    return one[1] <= other[2] and other[1] <= one[2]


def path_label(path: str) -> str:
    """A path of the scenario with the unit that its last step carries: 'fleet.*.timeout_s (s)'."""
    unit = next((unit for ending, unit in UNITS.items() if path.endswith(ending)), "")
    return f"{path} ({unit})" if unit else path


def axis_label(metric: Metric) -> str:
    unit = SHOWN_AS[metric.unit][0] if metric.unit else ""
    return metric.label + (f" ({unit})" if unit else "")


def difference_label(metric: Metric) -> str:
    """The same for differences: of shares in points."""
    return axis_label(metric).replace("(%)", "(points)")


def format_value(value: float, metric: Metric) -> str:
    """A metric's value as the tables write it."""
    if math.isnan(value):
        return quantity(None, "ratio")
    return quantity(value, metric.unit) if metric.unit else f"{value:.4g}"


def _with_intervals(panel: Axes, x: np.ndarray, rows: Rows, metric: Metric, label: str, **look: Any) -> None:
    values = scaled(np.array([row["metrics"][metric.name] for row in rows], dtype=float), metric)
    order = np.argsort(x, kind="stable")
    x, values = x[order], values[order]
    with_bars(panel, x, values[:, 0], label, yerr=reach(values.T), lw=1.4, capsize=2, **look)


def with_bars(panel: Axes, x: Any, y: Any, label: str, **look: Any) -> None:
    """Points with bars. The points alone have the name: a legend that is made anew keeps of points with bars
    nothing but the bars."""
    panel.errorbar(x, y, **look).lines[0].set_label(label)


def reach(ends: np.ndarray) -> np.ndarray:
    """How far the interval of (mean, low, high) reaches down and up, (2, n); 0 where there is none."""
    mean, low, high = np.atleast_2d(ends.T).T
    return np.asarray(np.nan_to_num(np.abs(np.array([mean - low, high - mean]))))


def scaled(values: np.ndarray, metric: Metric) -> np.ndarray:
    factor = SHOWN_AS[metric.unit][1] if metric.unit else 1.0
    return np.asarray(factor * values)


def panels_in_rows(count: int, most_columns: int, height_in: float) -> tuple[Figure, list[Axes]]:
    columns = min(count, most_columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH_IN, height_in * rows + 0.4), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in panels[count:]:
        spare.remove()
    return figure, panels[:count]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def word(value: Any) -> str:
    """A chosen value as a label: a number short, a part of a scenario by its kind and numbers."""
    if isinstance(value, dict):
        return " ".join(word(part) for part in value.values())
    if isinstance(value, tuple | list):
        return "[" + ", ".join(word(part) for part in value) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
