"""The time lines of several runs over one another: accuracy, sends and queue, a colour for each run."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analysis.figures.style import (
    SERIES,
    SETTINGS,
    WIDTH_IN,
    label_outages,
    mark_warm_up,
    shade_outages,
)
from analysis.figures.timeline import accuracy_bins, binned_seconds
from analysis.run_folder.traffic import Traffic


def overlay(traffics: Sequence[Traffic], names: Sequence[str]) -> Figure:
    """Three panels on one time axis; outages are those of the first run, shaded where all runs have them."""
    with mpl.rc_context(SETTINGS):
        return _drawn(traffics, names)


def _drawn(traffics: Sequence[Traffic], names: Sequence[str]) -> Figure:
    first = traffics[0]
    horizon_s = max(traffic.run.horizon_s for traffic in traffics)
    same = all(traffic.outages == first.outages for traffic in traffics)
    outages = first.outages if same else ()
    figure = Figure(figsize=(WIDTH_IN, 6.2), layout=ConstrainedLayoutEngine(hspace=0.04))
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[1.3, 1.0, 1.0])
    for axes in panels:
        shade_outages(axes, outages)
        mark_warm_up(axes, first.run.warm_up_s)
        axes.grid(visible=True, axis="y")
    for index, (traffic, name) in enumerate(zip(traffics, names, strict=True)):
        look = {"color": SERIES[index % len(SERIES)], "lw": 1.4, "label": name}
        look["ls"] = "-" if index < len(SERIES) else "--"
        bins, seconds = accuracy_bins(traffic), binned_seconds(traffic.run)
        panels[0].plot(bins["middle_s"], bins["fleet"], **look)
        panels[1].plot(seconds["middle_s"], seconds["first_sends"] + seconds["retries"], **look)
        panels[2].plot(seconds["middle_s"], seconds["waiting_mean"], **look)
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panels[0].set_ylabel("accuracy\n(% of held-out)")
    panels[1].set_ylabel("sends\n(1/s)")
    panels[2].set_ylabel("waiting\n(requests)")
    for axes in panels[1:]:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_outages(panels[0], outages, horizon_s, first.run.warm_up_s)
    panels[-1].set_xlabel("virtual time (s)")
    panels[-1].set_xlim(0, horizon_s)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
