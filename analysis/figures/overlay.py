"""The time lines of several runs over one another: accuracy, sends and queue, a colour for each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import (
    SERIES,
    SETTINGS,
    WIDTH_IN,
    as_percent,
    label_outages,
    label_time,
    mark_warm_up,
    shade,
    shade_links,
    shade_outages,
)
from analysis.figures.timeline import accuracy_bins, binned_seconds
from analysis.run_folder.outages import own_links_down
from analysis.run_folder.traffic import Traffic

STROKES: Sequence[tuple[float, Any]] = (  # of one run on another: what lies below is wider, or shows in gaps
    (2.6, "-"),
    (1.4, "-"),
    (1.4, (0, (4, 3))),
    (1.4, (0, (1, 2))),
    (1.0, (2, (6, 4))),
)


def overlay(traffics: Sequence[Traffic], names: Sequence[str]) -> Figure:
    """Three panels on one time axis; outages that all runs have are grey, else each run's has its colour, and
    so has the share of clients whose own link is out, at the foot. Runs that are alike lie on one another as
    strokes of another width and pattern each, so that all of them are seen."""
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
        for index, traffic in enumerate(traffics):
            colour = SERIES[index % len(SERIES)]
            if not same:
                spans = [(outage.from_s, outage.to_s) for outage in traffic.outages]
                shade(axes, spans, color=colour, alpha=0.12, lw=0, zorder=0)
            shade_links(axes, *own_links_down(traffic.run), traffic.run.horizon_s, colour)
        mark_warm_up(axes, first.run.warm_up_s)
        axes.grid(visible=True, axis="y")
    for index, (traffic, name) in enumerate(zip(traffics, names, strict=True)):
        width, dashes = STROKES[index % len(STROKES)]
        look = {"color": SERIES[index % len(SERIES)], "lw": width, "ls": dashes, "label": name}
        bins, seconds = accuracy_bins(traffic), binned_seconds(traffic.run)
        panels[0].plot(bins["middle_s"], bins["fleet"], **look)
        panels[1].plot(seconds["middle_s"], seconds["first_sends"] + seconds["retries"], **look)
        panels[2].plot(seconds["middle_s"], seconds["waiting_mean"], **look)
    panels[0].yaxis.set_major_formatter(as_percent())
    panels[0].set_ylabel("accuracy\n(% of held-out)")
    panels[1].set_ylabel("sends\n(1/s)")
    panels[2].set_ylabel("waiting\n(requests)")
    for axes in panels[1:]:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_outages(panels[0], outages, horizon_s, first.run.warm_up_s)
    label_time(panels[-1], horizon_s)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
