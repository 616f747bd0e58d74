"""The time line of a run: what the clients got, and what the server went through, second by second."""

from __future__ import annotations

from itertools import cycle
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
    INK,
    LIKE,
    PURPLE,
    SERIES,
    SKY,
    VERMILION,
    WIDTH_IN,
    Floats,
    as_percent,
    bin_width_s,
    label_outages,
    label_time,
    legend_beside,
    mark_warm_up,
    shade_links,
    shade_outages,
    styled,
)
from analysis.metrics.mean_work import mean_items
from analysis.metrics.service import seconds_per_request
from analysis.run_folder.outages import own_links_down, usable_steps
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.statistics.estimates import wilson
from analysis.statistics.pieces import pieces

LEAST_IN_BIN = 20  # held-out requests, on average


@styled
def timeline(traffic: Traffic) -> Figure:
    """Accuracy, load, queue and usable replicas above one another, on one time axis; queues and replicas of
    several servers each on their own."""
    run, outages = traffic.run, traffic.outages
    figure = Figure(figsize=(WIDTH_IN, 7.4), layout=ConstrainedLayoutEngine(hspace=0.04))
    panels = figure.subplots(4, 1, sharex=True, height_ratios=[1.5, 1.1, 1.0, 0.7])
    seconds = binned_seconds(run)
    draws = (_load, _queue, _replicas) if len(run.servers) == 1 else (_load, _queues, _replicas_of_each)
    _accuracy(panels[0], accuracy_bins(traffic))
    for draw, axes in zip(draws, panels[1:], strict=True):
        draw(axes, run, seconds)
    for axes in panels:
        shade_outages(axes, outages)
        shade_links(axes, *own_links_down(run), run.horizon_s)
        mark_warm_up(axes, run.warm_up_s)
        axes.grid(visible=True, axis="y")
        legend_beside(axes)
    label_outages(panels[0], outages, run.horizon_s, run.warm_up_s)
    label_time(panels[-1], run.horizon_s)
    return figure


def _accuracy(axes: Axes, bins: pd.DataFrame) -> None:
    middle = bins["middle_s"]
    axes.fill_between(middle, bins["low"], bins["high"], color=BLUE, alpha=0.18, lw=0, label="95% band")
    axes.plot(middle, bins["fleet"], color=BLUE, label="the fleet")
    axes.plot(middle, bins["clients"], color=INK, lw=0.9, ls=(0, (4, 2)), label="clients' own models")
    low = float(np.nanmin([bins["low"].min(), bins["clients"].min()])) if len(bins) else 0.0
    axes.set_ylim(max(0.0, np.floor(low * 10 - 0.3) / 10), 1.0)
    axes.yaxis.set_major_formatter(as_percent())
    axes.set_ylabel("accuracy\n(% of held-out)")


def _load(axes: Axes, run: Run, seconds: pd.DataFrame) -> None:
    first, again = seconds["first_sends"].to_numpy(), seconds["retries"].to_numpy()
    middle = seconds["middle_s"]
    axes.fill_between(middle, 0, first, step="mid", color=SKY, lw=0, label="first sends")
    axes.fill_between(middle, first, first + again, step="mid", color=VERMILION, lw=0, label="retries")
    highest = float((first + again).max()) if len(seconds) else 1.0
    items = (
        mean_items(run, run.requests, run.requests["attempts"].to_numpy() > 0) if run.has_sessions else 1.0
    )
    per_request_s = seconds_per_request(run.server, items)
    if per_request_s:
        at_s, usable = usable_steps(run)
        capacity = usable / per_request_s
        if capacity.max() <= 2.5 * highest:  # else the line would flatten what the panel is about
            _steps(axes, at_s, capacity, run.horizon_s, color=INK, lw=1.1, label="capacity")
            highest = max(highest, float(capacity.max()))
    axes.set_ylim(0, 1.08 * highest or 1.0)
    axes.set_ylabel("sends\n(1/s)")


def _queue(axes: Axes, _run: Run, seconds: pd.DataFrame) -> None:
    axes.fill_between(
        seconds["middle_s"],
        0,
        seconds["waiting_max"],
        step="mid",
        color=PURPLE,
        alpha=0.35,
        lw=0,
        label="maximum",
    )
    axes.plot(seconds["middle_s"], seconds["waiting_mean"], color=PURPLE, label="mean")
    axes.set_ylim(0, max(1.0, 1.08 * float(seconds["waiting_max"].max())) if len(seconds) else 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("waiting\n(requests)")


def _replicas(axes: Axes, run: Run, seconds: pd.DataFrame) -> None:
    at_s, usable = usable_steps(run)
    axes.fill_between(
        seconds["middle_s"],
        0,
        seconds["busy_replicas_mean"],
        step="mid",
        color=GREEN,
        alpha=0.35,
        lw=0,
        label="busy",
    )
    _steps(axes, at_s, usable, run.horizon_s, color=GREEN, lw=1.8, label="usable")
    axes.set_ylim(0, 1.15 * float(usable.max()) or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylabel("replicas\n(number)")


def _queues(axes: Axes, run: Run, _seconds: pd.DataFrame) -> None:
    for (name, bins), colour in zip(bins_of_servers(run).items(), cycle(SERIES), strict=False):
        axes.plot(bins["middle_s"], bins["waiting_mean"], color=colour, lw=1.1, label=name)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("waiting, mean\n(requests)")


def _replicas_of_each(axes: Axes, run: Run, _seconds: pd.DataFrame) -> None:
    circles: dict[str, Any] = {"marker": "o", "mfc": "white", "ms": 3.5}
    for (name, bins), colour in zip(bins_of_servers(run).items(), cycle(SERIES), strict=False):
        look: dict[str, Any] = {"color": colour, "lw": 1.1, "label": LIKE + name}
        axes.plot(bins["middle_s"], bins["busy_replicas_mean"], **look)
        if "usable_replicas_mean" in bins:
            usable = bins["usable_replicas_mean"]
            axes.step(bins["middle_s"], usable, where="mid", markevery=0.15, **look, **circles)
    for label, marks in (("busy", {}), ("usable", circles)):
        axes.plot([], [], color=INK, lw=1.1, label=label, **marks)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylabel("replicas\n(number)")


def bins_of_servers(run: Run, most_bins: int = 150) -> dict[str, pd.DataFrame]:
    """Means of each server's seconds, in bins as those of `binned_seconds`, by its name. What is usable of a
    serverless one is how many calls it takes at once, which would flatten the others: it is left out."""
    width = bin_width_s(run.horizon_s, 1, most_bins)
    names = ["waiting_mean", "busy_replicas_mean", "usable_replicas_mean"]
    every = run.seconds_of_servers
    found = {}
    for name in run.servers:
        mine = every[every["server"] == name]
        told = names[:-1] if run.servers[name].get("serverless") else names
        bins = mine.groupby((mine["at_s"] // width).astype("int64"))[told].mean()
        found[name] = bins.assign(middle_s=(bins.index.to_numpy(dtype=float) + 0.5) * width)
    return found


def _steps(axes: Axes, at_s: Floats, values: Floats, horizon_s: float, **style: Any) -> None:
    axes.step(np.append(at_s, horizon_s), np.append(values, values[-1]), where="post", **style)


def binned_seconds(run: Run, most_bins: int = 450) -> pd.DataFrame:
    """The time line in bins of at least a second: means, the maximum of `waiting_max`, the middle."""
    width = bin_width_s(run.horizon_s, 1, most_bins)
    rows = run.timeline.groupby((run.timeline["at_s"] // width).astype("int64"))
    names = ["first_sends", "retries", "waiting_mean", "busy_replicas_mean", "usable_replicas_mean"]
    bins = rows[names].mean()
    bins["waiting_max"] = rows["waiting_max"].max()
    bins["middle_s"] = (bins.index.to_numpy(dtype=float) + 0.5) * width
    return bins


def accuracy_bin_s(horizon_s: float, requests: int, most_bins: int) -> float:
    """How wide the bins of accuracy are, of a run with so many held-out requests."""
    return bin_width_s(horizon_s, 10, max(1, min(most_bins, requests // LEAST_IN_BIN)))


def accuracy_bins(traffic: Traffic, most_bins: int = 120) -> pd.DataFrame:
    """Accuracy over held-out requests by arrival, in bins of at least 10 s, and wider where a bin would hold
    fewer than LEAST_IN_BIN requests on average.

    Columns middle_s, fleet, clients (shares), low and high: Wilson's 95% interval for as many trials
    as the bin has distinct base samples, since asking a sample again tells little that is new.
    """
    horizon_s, requests = traffic.run.horizon_s, traffic.everything
    columns = {name: requests[name].to_numpy() for name in ("correct", "client_right")}
    arrived_at_s, base = requests["arrived_at_s"].to_numpy(), requests["base_id"].to_numpy()
    held_out = requests["held_out"].to_numpy() & (requests["outcome"] != "in_flight").to_numpy()
    width = accuracy_bin_s(horizon_s, int(np.count_nonzero(held_out)), most_bins)
    size, bases = int(horizon_s // width) + 1, np.unique(traffic.run.samples["base_id"])
    sums, is_met = np.zeros((3, size)), np.zeros((size, bases.size), dtype=bool)
    for places in pieces(held_out.size):
        mine = held_out[places]
        bin_of = (arrived_at_s[places][mine] // width).astype(np.int64)
        is_met[bin_of, np.searchsorted(bases, base[places][mine])] = True
        for row, weights in enumerate((None, *(values[places][mine] for values in columns.values()))):
            sums[row] += np.bincount(bin_of, weights, size)
    bins = np.flatnonzero(sums[0])
    asked, right, alone = sums[:, bins]
    low, high = wilson(right / asked, is_met[bins].sum(axis=1).astype(np.float64))
    middle_s = np.minimum((bins + 0.5) * width, (bins * width + horizon_s) / 2)
    return pd.DataFrame(
        {"fleet": right / asked, "clients": alone / asked, "low": low, "high": high, "middle_s": middle_s}
    )
