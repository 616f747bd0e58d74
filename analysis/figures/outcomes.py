"""What became of the requests over time: the share of each outcome, stacked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import (
    INK,
    MOST_NAMED,
    OUTCOME_COLOURS,
    WIDTH_IN,
    as_percent,
    bin_width_s,
    label_outages,
    label_time,
    legend_beside,
    mark_warm_up,
    shade,
    styled,
)
from analysis.run_folder.traffic import Traffic


@styled
def outcomes(traffic: Traffic) -> Figure:
    """Shares over time by arrival, with the outages as bars above them."""
    run, outages = traffic.run, traffic.outages
    figure = Figure(figsize=(WIDTH_IN, 3.4), layout="constrained")
    axes = figure.subplots()
    shares, width = outcome_shares(traffic)
    names = [name for name in OUTCOME_COLOURS if name in shares.columns]
    edges = [*shares.index, min(shares.index[-1] + width, run.horizon_s)] if len(shares) else []
    bottom = pd.Series(0.0, index=shares.index)
    for name in names:
        top = bottom + shares[name]
        axes.fill_between(
            edges,
            [*bottom, bottom.iloc[-1]],
            [*top, top.iloc[-1]],
            step="post",
            facecolor=OUTCOME_COLOURS[name],
            edgecolor="white",
            lw=0.5,
            label=name.replace("_", " "),
        )
        bottom = top
    spans = [(outage.from_s, outage.to_s) for outage in outages]
    shade(axes, spans, 1.0, 1.025, color=INK, lw=0, clip_on=False)
    for edge in (edge for span in spans for edge in span) if len(outages) <= MOST_NAMED else ():
        axes.axvline(edge, color=INK, lw=0.8, ls=(0, (2, 2)))
    mark_warm_up(axes, run.warm_up_s)
    label_outages(axes, outages, run.horizon_s, run.warm_up_s)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(as_percent())
    label_time(axes, run.horizon_s, " of arrival")
    axes.set_ylabel("share of requests (%)")
    if names:
        legend_beside(axes, reverse=True)
    return figure


def outcome_shares(traffic: Traffic, most_bins: int = 120) -> tuple[pd.DataFrame, float]:
    """Per bin of arrival (index: its start in s) the share of each outcome; and the bins' width in s."""
    width = bin_width_s(traffic.run.horizon_s, 10, most_bins)
    number = (traffic.everything["arrived_at_s"].to_numpy() // width).astype(np.int32)
    outcome = traffic.everything["outcome"].cat
    kinds = len(outcome.categories)
    bins = int(number.max(initial=-1)) + 1
    cell = number * kinds + outcome.codes.to_numpy()
    table = np.bincount(cell, minlength=bins * kinds).reshape(bins, kinds)
    met, known = np.flatnonzero(table.any(axis=1)), np.flatnonzero(table.any(axis=0))
    counted = pd.DataFrame(
        table[np.ix_(met, known)], index=met * width, columns=outcome.categories[known].astype("str")
    ).sort_index(axis=1)
    return counted.div(counted.sum(axis=1), axis=0), width
