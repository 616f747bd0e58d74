"""Deferring over time: how much is sent, how often a send is repeated, and what answers cost in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from analysis.figures.style import (
    BLUE,
    INK,
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
from analysis.figures.timeline import LEAST_IN_BIN
from analysis.metrics.measures import oracle_risk, realised_risk
from analysis.run_folder.per_request import per_request
from analysis.run_folder.traffic import Floats, Mask, Traffic
from analysis.statistics.pieces import pieces
from analysis.statistics.room import laid_down

MOST_BINS = 120


@styled
def deferring(traffic: Traffic) -> Figure:
    """Deferral rate by group, sends per sent request, and risk against the oracle's, by time of arrival."""
    run, outages = traffic.run, traffic.outages
    bins = deferring_bins(traffic, max(1, min(MOST_BINS, len(traffic.requests) // LEAST_IN_BIN)))
    dot = {"marker": "o", "ms": 3.5} if len(bins) == 1 else {}  # of which there is no line
    is_sent = bool(bins["amplification"].notna().any())
    count = 2 + is_sent
    figure = Figure(figsize=(WIDTH_IN, 0.2 + 1.8 * count), layout=ConstrainedLayoutEngine(hspace=0.04))
    panels = figure.subplots(count, 1, sharex=True)
    middle = bins["middle_s"]
    for axes in panels:
        shade_outages(axes, outages)
        mark_warm_up(axes, run.warm_up_s)
        axes.grid(visible=True, axis="y")
    for index, group in enumerate(run.groups):
        colour = SERIES[index % len(SERIES)]
        panels[0].plot(middle, bins[f"deferral_rate.{group}"], color=colour, label=group, **dot)
    panels[0].set_ylim(0, 1)
    panels[0].yaxis.set_major_formatter(as_percent())
    panels[0].set_ylabel("deferral rate\n(% sent)")
    if is_sent:
        panels[1].plot(middle, bins["amplification"], color=VERMILION, label="all groups", **dot)
        panels[1].set_ylim(bottom=1.0)
        panels[1].set_ylabel("sends per sent\nrequest (ratio)")
    panels[-1].plot(middle, bins["risk"], color=BLUE, label="paid", **dot)
    panels[-1].plot(middle, bins["oracle"], color=INK, lw=0.9, ls=(0, (4, 2)), label="oracle (bound)")
    panels[-1].set_ylim(bottom=0)
    panels[-1].set_ylabel("generalised risk\n(loss)")
    for axes in panels:
        legend_beside(axes)
    label_outages(panels[0], outages, run.horizon_s, run.warm_up_s)
    label_time(panels[-1], run.horizon_s, " of arrival")
    return figure


def deferring_bins(traffic: Traffic, most_bins: int = MOST_BINS) -> pd.DataFrame:
    """In bins of at least 10 s after the warm-up, by arrival: middle_s, deferral_rate.GROUP, amplification,
    risk and oracle (both over held-out requests whose server's answer is on record)."""
    horizon_s, requests = traffic.run.horizon_s, traffic.requests
    width = bin_width_s(horizon_s, 10, most_bins)
    count, instants = len(requests), traffic.arrived_at_s
    at = laid_down(lambda places: (instants[places] // width).astype(np.int32), count, np.int32)
    size = int(at.max(initial=-1)) + 1
    first = int(at.min(initial=size))
    judged = np.asarray(traffic.held_out & traffic.column("server_known"))
    attempts = traffic.column("attempts")

    def mean(values: NDArray[Any], among: Mask) -> Floats:
        counted, sums = np.zeros(size, dtype=np.int64), np.zeros(size)
        for places in pieces(count):
            bin_of = at[places][among[places]]
            counted += np.bincount(bin_of, minlength=size)
            sums += np.bincount(bin_of, values[places][among[places]], size)
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / counted)[first:]

    start = np.arange(first, size) * width
    bins = {"middle_s": (start + np.minimum(start + width, horizon_s)) / 2}
    for group in traffic.run.groups:
        of = traffic.is_of_group(group) & traffic.column("is_decided")
        bins[f"deferral_rate.{group}"] = mean(traffic.column("deferred"), of)
    bins["amplification"] = mean(attempts, attempts > 0)
    for name, risk in (("risk", realised_risk), ("oracle", oracle_risk)):
        bins[name] = mean(per_request(traffic, risk), judged)
    return pd.DataFrame(bins)
