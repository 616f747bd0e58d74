"""How evenly help reaches the clients: accuracies with the fleet's help and by their own models."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.style import FAINT, LIKE, PARTLY, SERIES, WIDTH_IN, as_percent, legend_beside, styled
from analysis.metrics.by_client import LEAST_REQUESTS, accuracy_by_client
from analysis.run_folder.traffic import Traffic

WORST = 0.1  # the decile that is shaded


@styled
def fairness(traffic: Traffic) -> Figure:
    """The share of each group's clients whose accuracy is at most so much, and with circles by their own
    models, on the same requests. However many clients there are, a group is two lines."""
    figure = Figure(figsize=(WIDTH_IN, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True)
    clients = accuracy_by_client(traffic)
    axes.axhspan(0, WORST, color=PARTLY, lw=0, zorder=0, label="worst decile")
    for index, group in enumerate(traffic.run.groups):
        here = clients["group"] == group
        if here.any():
            colour = SERIES[index % len(SERIES)]
            _cdf(axes, clients["fleet"][here], color=colour, label=group)
            own: dict[str, object] = {"marker": "o", "mfc": "white", "ms": 3.5, "markevery": 0.15, "lw": 1.0}
            _cdf(axes, clients["client"][here], color=colour, label=LIKE + group, **own)
    axes.plot([], [], "o", color=FAINT, mfc="white", ms=3.5, label="own models")
    axes.set_ylim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(as_percent())
    axes.set_xlabel(f"accuracy of a client with {LEAST_REQUESTS} held-out requests or more (% of held-out)")
    axes.set_ylabel("clients with at most this\n(% of group)")
    legend_beside(axes)
    return figure


def _cdf(axes: Axes, values: NDArray[np.float64], **look: object) -> None:
    """An empirical distribution, a step a client."""
    ordered = np.sort(values)
    share = np.arange(1, ordered.size + 1) / ordered.size
    axes.step(np.append(ordered[0], ordered), np.append(0.0, share), where="post", **look)  # type: ignore[arg-type]
