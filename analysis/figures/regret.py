"""Regret over time, a line per policy, with what was down shaded.
Pure function of the curves that `analysis.reports.regret` makes of the runs of a study."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from analysis.figures.style import SERIES, WIDTH_IN, Floats, label_outages, shade_outages, styled
from analysis.run_folder.outages import Outage

DASHES = ("-", (0, (5, 2)), (0, (1, 1)))  # of policies beyond as many as there are colours


@styled
def regret(
    at_s: Floats, curves: Mapping[str, Floats], outages: tuple[Outage, ...], horizon_s: float
) -> Figure:
    """Regret so far of each policy, a row of `curves` per seed, float64 (seeds, instants): the mean as a
    line, from the least to the largest as a band."""
    figure = Figure(figsize=(WIDTH_IN, 3.6), layout=ConstrainedLayoutEngine())
    axes = figure.subplots()
    shade_outages(axes, outages)
    for place, (name, rows) in enumerate(curves.items()):
        colour, dash = SERIES[place % len(SERIES)], DASHES[place // len(SERIES) % len(DASHES)]
        axes.plot(at_s, rows.mean(axis=0), color=colour, ls=dash, label=name)
        axes.fill_between(at_s, rows.min(axis=0), rows.max(axis=0), color=colour, alpha=0.15, lw=0)
    axes.axhline(0.0, color="black", lw=0.8)
    axes.set_xlim(0, horizon_s)
    axes.set_xlabel("virtual time of arrival (s)")
    axes.set_ylabel("regret so far (loss)")
    axes.grid(visible=True, axis="y")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    label_outages(axes, outages, horizon_s, 0.0)
    return figure


def so_far(arrived_at_s: Floats, regrets: Floats, at_s: Floats) -> Floats:
    """The sum of the regrets of all requests that arrived by each instant, float64 (instants,)."""
    found: Floats = np.concatenate([[0.0], np.cumsum(regrets)])[np.searchsorted(arrived_at_s, at_s, "right")]
    return found
