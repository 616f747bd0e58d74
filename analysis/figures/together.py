"""Learning together in virtual time: what decisions cost, which rejector was merged, and who lies behind.
Shows that an outage of the server takes the merges, while clients go on with what they learn alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import (
    BLUE,
    INK,
    SERIES,
    VERMILION,
    WIDTH_IN,
    bin_width_s,
    label_outages,
    label_time,
    legend_beside,
    mark_warm_up,
    shade_outages,
    styled,
)
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.run_folder.what_it_tells import MERGED


def learns_together(run: Run) -> bool:
    """Whether clients learn together from their answers during the run."""
    return bool(run.scenario.get("federation"))


@styled
def together(traffic: Traffic) -> Figure:
    """Risk by group over time, the number of the merged version with rounds lost, and staleness."""
    run, outages = traffic.run, traffic.outages
    figure = Figure(figsize=(WIDTH_IN, 5.0), layout=ConstrainedLayoutEngine(hspace=0.04))
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[1.5, 1.0, 1.0])
    bins = risk_bins(traffic)
    for place, group in enumerate(run.groups):
        panels[0].plot(bins.index, bins[group], color=SERIES[place % len(SERIES)], label=group)
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("risk\n(held-out)")
    _versions(panels[1], run)
    behind = run.timeline["copy_staleness"].to_numpy(dtype=float)
    panels[2].plot(run.timeline["at_s"], behind, color=BLUE, label="clients")
    panels[2].set_ylim(0, 1.1 * max(1.0, float(behind.max(initial=0.0))))
    panels[2].set_ylabel("behind the\nmerged (versions)")
    for axes in panels:
        shade_outages(axes, outages)
        mark_warm_up(axes, run.warm_up_s)
        axes.grid(visible=True, axis="y")
        legend_beside(axes)
    label_outages(panels[0], outages, run.horizon_s, run.warm_up_s)
    label_time(panels[-1], run.horizon_s)
    return figure


def risk_bins(traffic: Traffic, most_bins: int = 40) -> pd.DataFrame:
    """The mean loss paid on held-out requests, a column per group, in bins of at least 10 s by arrival; the
    index is the middle of a bin (s)."""
    requests, costs = traffic.requests, traffic.run.scenario["costs"]
    weight = np.where(traffic.is_answered_by("server"), float(costs["c_1"]), 1.0)
    loss = traffic.c_e * requests["charged"].to_numpy() + weight * (1.0 - traffic.correct)
    width = bin_width_s(traffic.run.horizon_s, 10, most_bins)
    rows = pd.DataFrame(
        {
            "bin": (traffic.arrived_at_s // width).astype("int64"),
            "group": requests["group"].astype("str").to_numpy(),
            "loss": loss,
        }
    )[traffic.held_out]
    bins = rows.pivot_table(index="bin", columns="group", values="loss", aggfunc="mean")
    bins.index = (bins.index.to_numpy(dtype=float) + 0.5) * width
    return bins.reindex(columns=list(traffic.run.groups))


def _versions(axes: Axes, run: Run) -> None:
    events = run.events
    made = events[events["kind"].isin(MERGED)]
    at_s = np.concatenate([[0.0], made["at_s"].to_numpy(dtype=float), [run.horizon_s]])
    version = np.concatenate([[0.0], made["value"].to_numpy(dtype=float)])
    version = np.append(version, version[-1])
    axes.step(at_s, version, where="post", color=INK, label="merged")
    lost_s = events.loc[events["kind"] == "merge_lost", "at_s"].to_numpy(dtype=float)
    if lost_s.size:
        level = version[np.searchsorted(at_s, lost_s, side="right") - 1]
        axes.plot(lost_s, level, "x", color=VERMILION, ms=7, mew=1.6, label="lost round")
    axes.set_ylim(-0.05 * version.max(initial=1.0), 1.1 * version.max(initial=1.0))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("merged\n(version)")
