"""Prediction and simulation together: a panel for each number that a law speaks about.
Drawn from the summary's `predictions`, so that picture, table and file say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.figures.for_print import LEAST_PT, NARROW_IN
from analysis.figures.style import BLUE, INK, SERIES, VERMILION, WIDTH_IN, shade_outages, styled
from analysis.run_folder.outages import Outage

Value = dict[str, Any]
MOST_ROWS = 12  # of one panel
LEAST_SPAN = 0.02  # of an axis beside its numbers, so that rounding errors fill none
ROW_IN, NARROW_ROW_IN = 0.24, 0.4
TITLE_IN, LEGEND_IN, NARROW_LEGEND_IN = 0.28, 0.4, 0.75
DASHES = (0, (4, 1.5))
UNITS = {"share": "%", "s": "s", "1/s": "1/s", "loss": "loss", "versions": "versions", "requests": "requests"}


@styled
def predictions(
    by_law: list[dict[str, Any]], outages: tuple[Outage, ...], width_in: float = WIDTH_IN
) -> Figure:
    """Per number: over time or along a parameter as curves, else side by side; bars are 95% intervals,
    broad ones what the formula itself may be off. Below NARROW_IN names stand above their bars."""
    is_narrow = width_in < NARROW_IN
    legend_in = NARROW_LEGEND_IN if is_narrow else LEGEND_IN
    panels = [
        (f"{quantity} ({UNITS.get(values[0]['unit'], values[0]['unit'])})", values)
        for law in by_law
        for quantity, values in _by_quantity(law["values"]).items()
    ]
    # Placed by hand: solved layouts differ in their last bits from call to call, and so would the files.
    heights = [_height_in(values, NARROW_ROW_IN if is_narrow else ROW_IN) for _, values in panels]
    total, beside = sum(heights) + legend_in, _left_in(by_law)
    figure, top = Figure(figsize=(width_in, total)), 1.0
    for (title, values), height in zip(panels, heights, strict=True):
        below = (0.55 if values[0]["over"] else 0.3) / total
        left = (beside if not is_narrow else 0.55 if values[0]["over"] else 0.15) / width_in
        box = (left, top - height / total + below, 0.97 - left, (height - TITLE_IN) / total - below)
        axes = figure.add_axes(box)
        axes.set_title(title)
        axes.grid(visible=True, axis="both" if values[0]["over"] else "x")
        _panel(axes, values, outages)
        if is_narrow and not values[0]["over"]:
            _name_above(axes, values)
        top -= height / total
    _legend(figure, 2 if is_narrow else 5)
    texts: list[Any] = figure.findobj(Text) if is_narrow else []
    for text in texts:
        text.set_fontsize(LEAST_PT)
    return figure


def _name_above(axes: Axes, values: list[Value]) -> None:
    """The names of rows where there is no room beside them."""
    rows, names = axes.get_yticks(), [value["where"] for value in values[:MOST_ROWS]]
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    for row, name in zip(rows, names, strict=True):
        axes.text(0.015, row + 0.2, name, transform=axes.get_yaxis_transform(), va="bottom")
    axes.set_ylim(-0.4, len(names) - 0.2)


def _left_in(by_law: list[dict[str, Any]]) -> float:
    """Room for the longest name beside a panel."""
    names = [value["where"] for law in by_law for value in law["values"] if not value["over"]]
    return min(0.35 + 0.066 * max(map(len, names), default=0), WIDTH_IN / 2) if names else 0.7


def _by_quantity(values: list[Value]) -> dict[str, list[Value]]:
    by_quantity: dict[str, list[Value]] = {}
    for value in values:
        by_quantity.setdefault(value["quantity"], []).append(value)
    return by_quantity


def _height_in(values: list[Value], row_in: float) -> float:
    return 2.3 if values[0]["over"] else 0.65 + row_in * min(len(values), MOST_ROWS)


def _panel(axes: Axes, values: list[Value], outages: tuple[Outage, ...]) -> None:
    if values[0]["over"].startswith("virtual time"):
        _over_time(axes, values, outages)
    elif values[0]["over"]:
        _along(axes, values)
    else:
        _side_by_side(axes, values[:MOST_ROWS])
    axis = axes.yaxis if values[0]["over"] else axes.xaxis
    axis.set_major_locator(MaxNLocator(6))
    if values[0]["unit"] == "share":
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))


def _over_time(axes: Axes, values: list[Value], outages: tuple[Outage, ...]) -> None:
    at = [value["at"] for value in values]
    axes.plot(at, _column(values, "simulated"), color=BLUE)
    axes.plot(at, _column(values, "predicted"), color=VERMILION, ls=DASHES)
    shade_outages(axes, outages)
    axes.set_xlim(at[0], at[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(values[0]["over"])


def _along(axes: Axes, values: list[Value]) -> None:
    """A curve of predictions, one per group where each has several places on it, and what was simulated."""
    places = {value["where"] for value in values}
    is_line_each = len(values) > len(places)
    for index, where in enumerate(sorted(places) if is_line_each else [None]):
        mine = sorted((v for v in values if where in (None, v["where"])), key=lambda v: float(v["at"]))
        at, colour = [value["at"] for value in mine], SERIES[index % len(SERIES)] if where else BLUE
        axes.plot(at, _column(mine, "predicted"), color=colour if where else VERMILION, ls=DASHES)
        seen = [value for value in mine if value["simulated"] is not None]
        axes.errorbar(
            [value["at"] for value in seen],
            _column(seen, "simulated"),
            yerr=_bars(seen),
            fmt="o",
            color=colour,
            ms=4.5,
            capsize=2,
            label=where,
        )
    if is_line_each:
        axes.legend(loc="best")
    axes.set_xlabel(values[0]["over"])


def _side_by_side(axes: Axes, values: list[Value]) -> None:
    rows = np.arange(len(values))[::-1]
    known = np.array([value["simulated"] is not None for value in values])
    axes.errorbar(
        _column(values, "simulated")[known],
        rows[known],
        xerr=_bars([value for value in values if value["simulated"] is not None]),
        fmt="o",
        color=BLUE,
        ms=4.5,
        capsize=2,
    )
    predicted, margin = _column(values, "predicted"), _column(values, "margin")
    least = np.maximum(predicted - margin, 0.0)  # none of these numbers can be negative
    most = np.minimum(predicted + margin, 1.0 if values[0]["unit"] == "share" else np.inf)
    axes.hlines(rows, least, most, color=VERMILION, lw=5, alpha=0.25)
    axes.plot(predicted, rows, "D", mfc="none", mec=VERMILION, mew=1.4, ms=7)
    for row, value in zip(rows, values, strict=True):
        if value["simulated"] is None or value["predicted"] is None:
            axes.text(0.02, row, "never within the run", transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(rows, [value["where"] for value in values])
    axes.set_ylim(-0.6, len(values) - 0.4)
    axes.margins(x=0.08)
    low, high = axes.get_xlim()
    short = max(LEAST_SPAN * max(abs(low), abs(high)) - (high - low), 0.0)
    axes.set_xlim(low - short / 2, high + short / 2)


def _column(values: list[Value], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if value[name] is None else value[name] for value in values], dtype=np.float64)


def _bars(values: list[Value]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Lengths below and above each point, (2, n); nothing where there is no interval."""
    middle, low, high = (_column(values, name) for name in ("simulated", "low", "high"))
    return np.asarray(np.nan_to_num(np.clip([middle - low, high - middle], 0.0, None)), dtype=np.float64)


def _legend(figure: Figure, columns: int) -> None:
    axes = figure.axes[0]
    marks = [
        *axes.plot([], [], "D", mfc="none", mec=VERMILION, mew=1.4, ms=7, label="predicted"),
        *axes.plot([], [], color=VERMILION, ls=DASHES, label="as a curve"),
        *axes.plot([], [], "o-", color=BLUE, ms=4.5, label="simulated"),
        *axes.plot([], [], "|-", color=INK, ms=6, label="95% interval"),
        *axes.plot([], [], color=VERMILION, lw=5, alpha=0.25, label="error of the formula"),
    ]
    figure.legend(handles=marks, loc="lower center", ncols=columns)
