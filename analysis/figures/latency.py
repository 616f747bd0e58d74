"""How long answers took: the tail of the latency to the final answer, by outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from analysis.figures.style import FAINT, INK, OUTCOME_COLOURS, WIDTH_IN, Floats, styled
from analysis.run_folder.traffic import Traffic

MOST_NAMES = 3  # groups with one deadline; more are counted
LEAST_ANSWERS = 20  # fewer do not draw a distribution
PERCENTILES = ((0.5, "o", "p50"), (0.95, "s", "p95"), (0.99, "D", "p99"))


@styled
def latency(traffic: Traffic) -> Figure:
    """The share of requests slower than x, both axes logarithmic, for all requests and per outcome."""
    figure = Figure(figsize=(WIDTH_IN, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, which="major")
    final_s = traffic.requests["final_s"].to_numpy(dtype=float)
    answered = ~np.isnan(final_s)
    taken_s = final_s[answered]
    curves = [
        (name, final_s[answered & traffic.is_outcome(name)], colour)
        for name, colour in OUTCOME_COLOURS.items()
    ]
    for name, values, colour in [("all", taken_s, INK), *curves]:
        if values.size >= LEAST_ANSWERS:
            share = "" if name == "all" else f" ({values.size / taken_s.size:.0%})"
            _tail(axes, values, colour, name.replace("_", " ") + share)
    for _, marker, label in PERCENTILES:
        axes.plot([], [], marker, color=FAINT, ms=4.5, label=label)
    _deadlines(axes, traffic.run.groups)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 1.25)
    axes.set_yticks([1, 0.5, 0.1, 0.05, 0.01, 0.001])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:g}%"))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("latency to the final answer (s)")
    axes.set_ylabel("answers slower than this (%)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _tail(axes: Axes, values: Floats, colour: str, label: str) -> None:
    """One complementary distribution as a line of at most 600 points, denser in the tail, and its marks."""
    shares = np.unique(np.concatenate([np.linspace(1, 0.05, 300), np.geomspace(0.05, 5e-4, 300)]))[::-1]
    slower = np.quantile(values, 1 - shares, method="inverted_cdf")
    axes.plot(slower, shares, color=colour, lw=2.0 if colour == INK else 1.4, label=label, zorder=3)
    for level, marker, _ in PERCENTILES:
        axes.plot(
            [np.quantile(values, level, method="inverted_cdf")],
            [1 - level],
            marker,
            color=colour,
            ms=4.5,
            mec="white",
            mew=0.6,
            zorder=4,
        )


def _deadlines(axes: Axes, groups: dict[str, dict[str, Any]]) -> None:
    """A dotted line per distinct deadline, with the groups that have it named beside it."""
    named: dict[float, list[str]] = {}
    for name, group in groups.items():
        if group["deadline_s"] is not None:
            named.setdefault(float(group["deadline_s"]), []).append(name)
    for index, (deadline_s, names) in enumerate(sorted(named.items())):
        label = "deadline" if index == 0 else None
        axes.axvline(deadline_s, color=FAINT, lw=1.0, ls=(0, (1, 2)), label=label, zorder=2)
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
