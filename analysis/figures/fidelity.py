"""Simulated and real runs on top of each other: how long answers took, and who waited when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from analysis.figures.style import (
    FAINT,
    SERIES,
    WIDTH_IN,
    as_percent,
    label_outages,
    mark_warm_up,
    shade_outages,
    styled,
)
from analysis.figures.timeline import binned_seconds
from analysis.run_folder.traffic import Traffic


@styled
def fidelity_figure(simulated: Mapping[str, Traffic], real: Sequence[Traffic]) -> Figure:
    """Three panels; real runs are thin and grey, simulated ones thick and coloured."""
    figure = Figure(figsize=(WIDTH_IN, 6.6), layout=ConstrainedLayoutEngine(hspace=0.04))
    latency, waiting, sends = figure.subplots(3, 1)
    first = next(iter(simulated.values()))
    for axes in (waiting, sends):
        shade_outages(axes, first.outages)
        mark_warm_up(axes, first.run.warm_up_s)
        axes.set_xlim(0, first.run.horizon_s)
    looks: list[tuple[Traffic, dict[str, Any]]] = [
        (traffic, {"color": FAINT, "lw": 0.8, "alpha": 0.7, "label": "real" if number == 0 else None})
        for number, traffic in enumerate(real)
    ]
    looks += [
        (traffic, {"color": SERIES[number], "lw": 1.8, "label": f"simulated, {name}"})
        for number, (name, traffic) in enumerate(simulated.items())
    ]
    for traffic, look in looks:
        _distribution(latency, traffic, look)
        seconds = binned_seconds(traffic.run)
        waiting.plot(seconds["middle_s"], seconds["waiting_mean"], **look)
        sends.plot(seconds["middle_s"], seconds["first_sends"] + seconds["retries"], **look)
    latency.set_xlabel("seconds from arrival to the server's answer")
    latency.set_ylabel("share of answers")
    latency.yaxis.set_major_formatter(as_percent())
    waiting.set_ylabel("waiting\n(requests)")
    sends.set_ylabel("sends\n(1/s)")
    sends.set_xlabel("time (s)")
    label_outages(waiting, first.outages, first.run.horizon_s, first.run.warm_up_s)
    figure.legend(*latency.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _distribution(axes: Axes, traffic: Traffic, look: dict[str, Any]) -> None:
    rows = traffic.requests[np.asarray(traffic.requests["outcome"] == "remote")]
    took = np.sort(rows["final_s"].to_numpy(dtype=float))
    axes.step(took, np.arange(1, len(took) + 1) / max(1, len(took)), where="post", **look)
