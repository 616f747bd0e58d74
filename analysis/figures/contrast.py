"""Whom to ask about what: both models' accuracy on what the policy sent and on what it kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import BLUE, INK, ORANGE, WIDTH_IN, as_percent, styled
from analysis.metrics.answers import contrast as contrast_of_all
from analysis.metrics.answers import contrast_among
from analysis.run_folder.traffic import Traffic

MOST_GROUPS = 8
MODELS = {"client": (ORANGE, "o", "the client's model"), "server": (BLUE, "s", "the server's model")}


@styled
def contrast(traffic: Traffic) -> Figure:
    """A row for all clients and one per group, in a panel for what was sent and one for what was kept."""
    names = list(traffic.run.groups)
    names = ["all groups", *names[:MOST_GROUPS]] if len(names) > 1 else ["all clients"]
    figure = Figure(figsize=(WIDTH_IN, 1.5 + 0.42 * len(names)), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    sides = [_of(traffic, name) for name in names]
    for axes, side, title in zip(panels, ("deferred", "local"), ("sent", "kept"), strict=True):
        axes.grid(visible=True, axis="x")
        axes.set_title(f"what the policy {title}")
        for offset, (model, (colour, marker, label)) in zip((-0.12, 0.12), MODELS.items(), strict=True):
            estimates = [row[side][model] for row in sides]
            y = np.arange(len(names)) + offset
            for at, estimate in zip(y, estimates, strict=True):
                if estimate["low"] is not None:
                    axes.plot([estimate["low"], estimate["high"]], [at, at], color=colour, lw=1.6, alpha=0.6)
            value = [np.nan if estimate["value"] is None else estimate["value"] for estimate in estimates]
            axes.plot(value, y, marker, color=colour, mec=INK, mew=0.5, ms=6.5, ls="", label=label)
        axes.set_yticks(range(len(names)), names)
        axes.xaxis.set_major_formatter(as_percent())
        axes.set_xlabel("accuracy (% of held-out)")
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _of(traffic: Traffic, name: str) -> dict[str, Any]:
    if name in traffic.run.groups:
        return contrast_among(traffic, np.asarray(traffic.requests["group"] == name))
    return contrast_of_all(traffic)
