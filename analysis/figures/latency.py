"""How long answers took: the tail of the latency to the final answer, by outcome.
Of all requests that arrived, by the summary's definition of a percentile; its percentiles are the marks."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from analysis.figures.style import FAINT, INK, OUTCOME_COLOURS, WIDTH_IN, legend_beside, styled
from analysis.metrics.run_length import span_of
from analysis.metrics.service import spread
from analysis.run_folder.traffic import Traffic
from analysis.statistics.percentiles import LEVELS, Latencies, curve_of

MOST_NAMES = 3  # groups with one deadline; more are counted
LEAST_ANSWERS = 20  # fewer do not draw a distribution
MARKERS = {"p50": "o", "p95": "s", "p99": "D"}


@styled
def latency(traffic: Traffic) -> Figure:
    """The share of requests slower than x, both axes logarithmic, for all requests and per outcome."""
    figure = Figure(figsize=(WIDTH_IN, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, which="major")
    every, relaxations = traffic.latencies(), span_of(traffic).relaxations
    _tail(axes, every, relaxations, INK, "all")
    for name, colour in OUTCOME_COLOURS.items():
        mask = traffic.is_outcome(name)
        share = mask.mean() if mask.size else 0.0
        label = f"{name.replace('_', ' ')} ({share:.{1 if 0 < share < 0.01 else 0}%})"
        _tail(axes, every.among(mask), relaxations, colour, label)
    longest = [np.nanmax(line.get_xdata(), initial=0.0) for line in axes.get_lines()]
    is_at_once = max(longest, default=0.0) == 0.0  # of which a logarithm shows nothing
    for label, marker in MARKERS.items():
        axes.plot([], [], marker, color=FAINT, ms=4.5, label=label)
    _deadlines(axes, traffic.run.groups)
    axes.set_xscale("linear" if is_at_once else "log")
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 1.25)
    axes.set_yticks([1, 0.5, 0.1, 0.05, 0.01, 0.001])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:g}%"))
    if is_at_once:
        axes.set_xlim(-0.05, max(1.0, axes.get_xlim()[1]))
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("latency to the final answer (s)")
    axes.set_ylabel("requests that take longer than this (%)")
    legend_beside(axes)
    return figure


def _tail(axes: Axes, times: Latencies, relaxations: float, colour: str, label: str) -> None:
    """The share that takes longer than x, a line of at most 600 points, denser in the tail, as far as it is
    known; and the percentiles that the summary tells."""
    if np.count_nonzero(np.isfinite(times.taken_s)) < LEAST_ANSWERS:
        return
    curve = curve_of([times])
    told = spread(times, relaxations, curve)
    shares = np.unique(np.concatenate([np.linspace(1, 0.05, 300), np.geomspace(0.05, 5e-4, 300)]))[::-1]
    slower = np.array([curve.at(1 - share) for share in shares])
    width = 2.0 if colour == INK else 1.4
    axes.plot(
        slower, np.where(np.isfinite(slower), shares, np.nan), color=colour, lw=width, label=label, zorder=3
    )
    for name, marker in MARKERS.items():
        if told[name] is not None:
            at = ([told[name]], [1 - LEVELS[name]])
            axes.plot(*at, marker, color=colour, ms=4.5, mec="white", mew=0.6, zorder=4)


def _deadlines(axes: Axes, groups: dict[str, dict[str, Any]]) -> None:
    """A dotted line per distinct deadline, with the groups that have it named beside it."""
    named: dict[float, list[str]] = {}
    for name, group in groups.items():
        if group["deadline_s"] is not None:
            named.setdefault(float(group["deadline_s"]), []).append(name)
    if named:
        place = axes.get_xaxis_transform()
        look: dict[str, Any] = {"color": FAINT, "lw": 1.0, "ls": (0, (1, 2)), "zorder": 2}
        axes.vlines(sorted(named), 0, 1, transform=place, label="deadline", **look)
    for deadline_s, names in sorted(named.items()):
        text = ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} groups"
        axes.annotate(
            text,
            (deadline_s, 0.99),
            xytext=(-2, 0),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="top",
            fontsize=8,
            color=FAINT,
        )
