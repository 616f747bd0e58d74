"""Learning in virtual time: what the server knew at each moment, and how far the fleet lay behind it.
Shows that an outage stops training and copies too, and that a drift is followed only after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SERIES,
    VERMILION,
    WIDTH_IN,
    as_percent,
    bin_width_s,
    label_outages,
    label_time,
    legend_beside,
    mark_warm_up,
    shade_outages,
    styled,
)
from analysis.metrics.rounds import in_force_s, learners
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Floats, Traffic

DRIFT = (0, (7, 2, 1, 2, 1, 2))
LAPSED = {"round_lost": ("lost round", "x", VERMILION), "round_skipped": ("skipped round", "|", GREY)}


def learns_online(run: Run) -> bool:
    """Whether anything is trained during the run."""
    return bool(run.scenario.get("training", {}).get("online"))


@styled
def online(traffic: Traffic) -> Figure:
    """The server's accuracy by group, its version and rounds that came to nothing, its age, staleness."""
    run, outages = traffic.run, traffic.outages
    figure = Figure(figsize=(WIDTH_IN, 6.6), layout=ConstrainedLayoutEngine(hspace=0.04))
    panels = figure.subplots(4, 1, sharex=True, height_ratios=[1.5, 1.0, 1.0, 1.0])
    _accuracy(panels[0], run, server_accuracy_bins(traffic))
    _versions(panels[1], run)
    _age(panels[2], run)
    _staleness(panels[3], run)
    for axes in panels:
        shade_outages(axes, outages)
        mark_warm_up(axes, run.warm_up_s)
        for at_s in drifts(run):
            axes.axvline(at_s, color=INK, lw=1.0, ls=DRIFT)
        axes.grid(visible=True, axis="y")
        legend_beside(axes)
    label_outages(panels[0], outages, run.horizon_s, run.warm_up_s)
    label_time(panels[-1], run.horizon_s)
    return figure


def drifts(run: Run) -> list[float]:
    """The instants at which what some group's clients are sent changes, ascending."""
    noted: list[dict[str, Any]] = [
        drift for group in run.groups.values() for drift in group.get("traffic", {}).get("drift", ())
    ]
    return sorted({float(drift["at_s"]) for drift in noted})


def server_accuracy_bins(traffic: Traffic, most_bins: int = 60) -> pd.DataFrame:
    """The share of held-out requests that the server in force gets right, asked or not, a column per group,
    in bins of at least 10 s by arrival; the index is the middle of a bin (s). Where several models learn a
    column for each, of the requests that were sent to it.
    """
    requests, horizon_s = traffic.everything, traffic.run.horizon_s
    rows = requests[requests["held_out"] & requests["server_known"]]
    models = list(learners(traffic.run))
    several = len(models) > 1 and "model" in rows
    if several:
        rows = rows[rows["deferred"]]
    width = bin_width_s(horizon_s, 10, most_bins)
    places = rows.assign(
        bin=(rows["arrived_at_s"] // width).astype("int64"),
        whose=rows["model" if several else "group"].astype("str"),
    )
    bins = places.pivot_table(index="bin", columns="whose", values="server_right", aggfunc="mean")
    bins.index = (bins.index.to_numpy(dtype=float) + 0.5) * width
    return bins.reindex(columns=models if several else list(traffic.run.groups))


def _accuracy(axes: Axes, run: Run, bins: pd.DataFrame) -> None:
    for place, whose in enumerate(bins.columns):
        axes.plot(bins.index, bins[whose], color=SERIES[place % len(SERIES)], label=whose)
    lowest = float(np.nanmin(bins.to_numpy(dtype=float))) if bins.notna().to_numpy().any() else 0.0
    axes.set_ylim(max(0.0, np.floor(lowest * 10 - 0.3) / 10), 1.0)
    axes.yaxis.set_major_formatter(as_percent())
    asked = list(bins.columns) != list(run.groups)
    axes.set_ylabel("right when asked\n(% of held-out)" if asked else "server right\n(% of held-out)")
    if drifts(run):
        axes.plot([], [], color=INK, lw=1.0, ls=DRIFT, label="drift")


def _versions(axes: Axes, run: Run) -> None:
    at_s, most = run.timeline["at_s"].to_numpy(dtype=float), 1.0
    level: dict[str, Floats] = {}
    for place, (name, target) in enumerate(learners(run).items()):
        before = np.searchsorted(in_force_s(run, target), at_s, side="left") - 1.0
        level[target] = np.maximum(before, 0.0)
        axes.step(at_s, level[target], where="post", color=_colour(run, place), label=_of(run, name))
        most = max(most, float(level[target].max(initial=1.0)))
    for kind, (name, marker, colour) in LAPSED.items():
        lapsed = run.events[run.events["kind"] == kind]
        if len(lapsed):
            second = np.searchsorted(at_s, lapsed["at_s"], side="right") - 1
            met = [
                level[str(target)][at]
                for target, at in zip(lapsed["target"], np.maximum(second, 0), strict=True)
            ]
            axes.plot(
                lapsed["at_s"].to_numpy(dtype=float), met, marker, color=colour, ms=7, mew=1.6, label=name
            )
    axes.set_ylim(-0.05 * most, 1.1 * most)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("server's model\n(version)")


def _of(run: Run, name: str, what: str = "version") -> str:
    """What a line of one model is called: by its name where there are several."""
    return name if len(learners(run)) > 1 else what


def _colour(run: Run, place: int, alone: str = INK) -> str:
    return SERIES[place % len(SERIES)] if len(learners(run)) > 1 else alone


def _age(axes: Axes, run: Run) -> None:
    most = 1.0
    for place, (name, target) in enumerate(learners(run).items()):
        since = in_force_s(run, target)
        at_s = np.repeat(np.append(since, run.horizon_s), 2)[1:-1]
        age_s = at_s - np.repeat(since, 2)
        axes.plot(at_s, age_s, color=_colour(run, place, GREEN), label=_of(run, name, "age"))
        most = max(most, float(age_s.max(initial=1.0)))
    axes.set_ylim(0, 1.1 * most)
    axes.set_ylabel("age of the\nserver's model (s)")


def _staleness(axes: Axes, run: Run) -> None:
    rows, highest = run.timeline, 1.0
    for of, colour, look in (("rejector", ORANGE, "-"), ("copy", BLUE, (0, (3, 2)))):
        behind = rows[f"{of}_staleness"].to_numpy(dtype=float)
        name = "rejectors" if of == "rejector" else "copies"  # dashed: the two are often the same
        axes.plot(rows["at_s"], behind, color=colour, ls=look, label=name)
        highest = max(highest, float(behind.max(initial=0.0)))
    axes.set_ylim(0, 1.1 * highest)
    axes.set_ylabel("behind the server\n(versions)")
