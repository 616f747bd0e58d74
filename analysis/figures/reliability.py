"""Reliability diagrams: in what share models are right, against the probability that they are said to be.
A panel per model and group; what is said comes from a model's own softmax or from rejectors."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import FAINT, INK, SCORE_STYLES, WIDTH_IN, as_percent, score_name, styled
from analysis.metrics.reliability import calibration_error, estimates_of, reliability_bins
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic

MOST_GROUPS = 4
MODELS = {"server": "e = y: server right", "client": "m = y: client right"}
LOOKS: dict[str, dict[str, Any]] = {"softmax": {"color": INK, "linestyle": (0, (4, 1.5))}} | SCORE_STYLES


def has_estimates(run: Run) -> bool:
    """Whether the folder holds any."""
    return not run.reliability.empty


@styled
def reliability(traffic: Traffic) -> Figure:
    """A row of panels per model, a column per group, a line per source of the estimates."""
    groups = list(traffic.run.groups)[:MOST_GROUPS]
    figure = Figure(figsize=(WIDTH_IN, 3.3 * len(MODELS)), layout="constrained")
    panels = figure.subplots(len(MODELS), len(groups), sharex=True, sharey=True, squeeze=False)
    for row, title in zip(panels, MODELS.values(), strict=True):
        for axes, group in zip(row, groups, strict=True):
            axes.plot([0, 1], [0, 1], color=FAINT, lw=0.8, label="as said")
            axes.set_title(group)
            axes.grid(visible=True)
        row[0].set_ylabel(f"{title}\n(% of held-out)")
    for (group, source, model), table in estimates_of(traffic.run):
        if group in groups:
            axes = panels[list(MODELS).index(model)][groups.index(group)]
            _curve(axes, source, table, calibration_error(table, "/".join((group, source, model))))
    for axes in panels.ravel():
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(as_percent())
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("said to be (% likely)")
        axes.tick_params(labelbottom=True)
        axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.22), fontsize=7.5)
    return figure


def _curve(axes: Axes, source: str, table: Any, error: dict[str, Any]) -> None:
    """A point for each bin with its interval, larger where more is said, and the error in the legend."""
    points, look = reliability_bins(table), LOOKS.get(source, {"color": FAINT})
    label = score_name(source)
    if error["value"] is not None:
        value, low, high, chance = (100 * error[name] for name in ("value", "low", "high", "by_chance"))
        label += f"\n{value:.0f} [{low:.0f}, {high:.0f}], chance {chance:.0f}"
    axes.vlines(points["estimated"], points["low"], points["high"], color=look["color"], lw=0.9, alpha=0.6)
    axes.plot(points["estimated"], points["right"], marker="o", ms=3.5, label=label, **look)
