"""How evenly help reaches the clients: each one's accuracy, with the fleet's help and by its own model."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from analysis.figures.style import FAINT, INK, SERIES, WIDTH_IN, styled
from analysis.metrics.by_client import LEAST_REQUESTS, accuracy_by_client
from analysis.run_folder.traffic import Traffic

MOST_CLIENTS = 600  # dots; of more clients every n-th is drawn


@styled
def fairness(traffic: Traffic) -> Figure:
    """Clients in order of their accuracy; below each the accuracy of its own model on the same requests."""
    figure = Figure(figsize=(WIDTH_IN, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, axis="y")
    every = accuracy_by_client(traffic)
    step = max(1, -(-len(every) // MOST_CLIENTS))
    clients, rank = every.iloc[::step], np.arange(1, len(every) + 1, step)
    if len(clients):
        worst = -(-len(every) // 10)
        axes.axvspan(0.5, worst + 0.5, color="#EEEEEE", lw=0, zorder=0, label="worst decile")
        axes.vlines(rank, clients["client"], clients["fleet"], color=FAINT, lw=0.6, alpha=0.6)
    axes.plot(rank, clients["client"], "_", color=INK, ms=5, mew=1.0, label="its own model")
    for index, group in enumerate(traffic.run.groups):
        here = np.asarray(clients["group"] == group)
        if here.any():
            colour = SERIES[index % len(SERIES)]
            axes.plot(
                rank[here], clients["fleet"][here], "o", color=colour, ms=4, mec="white", mew=0.3, label=group
            )
    axes.set_xlim(0.5, max(1.5, len(every) + 0.5))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    shown = "" if step == 1 else f"; one in {step}"
    axes.set_xlabel(f"clients with {LEAST_REQUESTS} held-out requests or more, the worst first (rank{shown})")
    axes.set_ylabel("accuracy (% of held-out)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
