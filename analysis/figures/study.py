"""Figures of a study of learning: what costs, copies and a bounded deferral rate do, a panel per group.
Every line comes from the tables of a study, so it holds for any grid; nothing here knows of traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import BLUE, GREY, INK, ORANGE, SERIES, WIDTH_IN, as_percent, styled
from analysis.run_folder.study_rows import forms_in, rows_of
from analysis.run_folder.traffic import Traffic

MOST_GROUPS = 4
RISK_BOUNDS: dict[str, tuple[str, dict[str, Any]]] = {
    "risk_all_local": ("nothing sent", {"color": GREY}),
    "risk_all_remote": ("all sent", {"color": GREY, "ls": (0, (4, 2))}),
    "risk_oracle": ("oracle (bound)", {"color": INK, "ls": (0, (1, 1))}),
}
DASHES = {"nonnegative": "-", "cost_sensitive": (0, (6, 1.5)), "paper": (0, (1, 1)), "released": (0, (3, 2))}


@styled
def study_contrast(traffic: Traffic) -> Figure:
    """Both models on what is kept and on what is sent, by group and cost of deferring."""
    run = traffic.run
    table = pd.concat(
        [rows_of(run, run.study, name, "c_e").sort_values("c_e") for name in list(run.groups)[:MOST_GROUPS]]
    )
    figure = Figure(figsize=(WIDTH_IN, 1.4 + 0.34 * len(table)), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    y = np.arange(len(table))
    for axes, side, title in zip(panels, ("remote", "local"), ("sent", "kept"), strict=True):
        client, server = (table[f"{model}_accuracy_{side}"].to_numpy() for model in ("client", "server"))
        axes.hlines(y, client, server, color=GREY, lw=1.2, zorder=1)
        axes.plot(client, y, "o", color=ORANGE, mec=INK, mew=0.5, ms=6, ls="", label="the client's model")
        axes.plot(server, y, "s", color=BLUE, mec=INK, mew=0.5, ms=6, ls="", label="the server's model")
        axes.set_title(f"what the rejector {title}")
        axes.set_yticks(y, [f"{row.group}, cₑ = {row.c_e:g}" for row in table.itertuples()])
        axes.xaxis.set_major_formatter(as_percent())
        axes.set_xlabel("accuracy (% of held-out)")
        axes.grid(visible=True, axis="x")
    panels[0].set_ylim(len(table) - 0.5, -0.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def study_accuracy(traffic: Traffic) -> Figure:
    """Accuracy against deferral rate as c_e goes over its grid, a line per c_1 and form."""
    figure, panels = _panels(traffic, 3.6)
    for name, axes in panels:
        for label, look, line in _costs(traffic, name):
            axes.plot(line["deferral_rate"], line["accuracy"], label=label, **look)
        ends = rows_of(traffic.run, traffic.run.study, name).iloc[0]
        held = ends["samples_local"] + ends["samples_remote"]
        server = ends["server_accuracy_local"] * ends["samples_local"], ends["server_accuracy_remote"]
        right = np.nansum([server[0], server[1] * ends["samples_remote"]]) / held
        line_ends = [1 - ends["risk_all_local"], right]
        axes.plot([0, 1], line_ends, color=GREY, lw=1, zorder=1, label="sent at random")
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("deferral rate (% sent)")
        _percent(axes, "accuracy (% of held-out)", both=True)
    return _finished(figure, panels)


@styled
def study_rates(traffic: Traffic) -> Figure:
    """Deferral rate against c_e, a line per c_1 and form."""
    figure, panels = _panels(traffic, 3.3)
    for name, axes in panels:
        for label, look, line in _costs(traffic, name):
            axes.plot(line["c_e"], line["deferral_rate"], label=label, **look)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("cost of deferring cₑ (loss)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _percent(axes, "deferral rate (% sent)")
    return _finished(figure, panels)


@styled
def study_risk(traffic: Traffic) -> Figure:
    """Generalised risk against c_e at the run's own c_1, a line per form, between its bounds."""
    figure, panels = _panels(traffic, 3.3)
    for name, axes in panels:
        table = rows_of(traffic.run, traffic.run.study, name, "c_e", "form")
        for colour, form in zip(SERIES, forms_in(table), strict=False):
            line = table[table["form"] == form].sort_values("c_e")
            look: dict[str, Any] = {"color": colour, "ls": DASHES.get(form, "-"), "marker": "o", "ms": 4.5}
            axes.plot(line["c_e"], line["risk"], label=form.replace("_", " ") or "the score", **look)
        bounds = table.drop_duplicates("c_e").sort_values("c_e")
        for column, (label, look) in RISK_BOUNDS.items():
            axes.plot(bounds["c_e"], bounds[column], label=label, lw=1, zorder=1, **look)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("cost of deferring cₑ (loss)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylabel("generalised risk (loss)")
    return _finished(figure, panels)


@styled
def study_losses(traffic: Traffic) -> Figure:
    """The rejectors' training loss over the steps, a line per interval between copies of the server."""
    figure, panels = _panels(traffic, 3.3)
    for name, axes in panels:
        table = rows_of(traffic.run, traffic.run.study_losses, name, "sync_every")
        intervals = sorted(
            set(table["sync_every"]),
            key=lambda interval: float("inf") if interval == "epoch" else int(interval),
        )
        for colour, interval in zip(SERIES, intervals, strict=False):
            line = table[table["sync_every"] == interval].sort_values("step")
            label = "S = an epoch" if interval == "epoch" else f"S = {interval}"
            axes.plot(line["step"], line["loss"], "o-", ms=3, color=colour, label=label)
        axes.set_xlabel("training step (batches)")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylabel("mean training loss (nats)")
    return _finished(figure, panels)


@styled
def study_bounded(traffic: Traffic) -> Figure:
    """Accuracy at a bounded deferral rate: by the coin, by the score itself, and sent at random."""
    figure, panels = _panels(traffic, 3.3)
    for name, axes in panels:
        coin = rows_of(traffic.run, traffic.run.study_bounded, name).sort_values("bound")
        curve = rows_of(traffic.run, traffic.run.study_curves, name).sort_values("deferral_rate")
        axes.plot(
            curve["deferral_rate"],
            curve["accuracy"],
            color=ORANGE,
            lw=1.2,
            label="the score's highest, exactly",
        )
        axes.plot(
            coin["deferral_rate"], coin["accuracy"], "o-", color=BLUE, ms=4, label="the rejector and a coin"
        )
        axes.plot(coin["bound"], coin["accuracy_random"], color=GREY, label="sent at random")
        axes.set_xlabel("deferral rate (% sent)")
        _percent(axes, "accuracy (% of held-out)", both=True)
    return _finished(figure, panels)


def _costs(traffic: Traffic, group: str) -> Iterator[tuple[str, dict[str, Any], pd.DataFrame]]:
    """Label, look and rows of each c_1 and form, by c_e."""
    table = rows_of(traffic.run, traffic.run.study, group, "c_e", "c_1", "form")
    for form in forms_in(table):
        for colour, c_1 in zip(SERIES, sorted(set(table["c_1"])), strict=False):
            line = table[(table["form"] == form) & (table["c_1"] == c_1)].sort_values("c_e")
            label = f"c₁ = {c_1:g}" + (f", {form.replace('_', ' ')}" if form else "")
            size = (
                {"lw": 3.0, "ms": 7.5} if colour == SERIES[0] else {"ms": 4.5}
            )  # seen below one that is alike
            look = {"color": colour, "ls": DASHES.get(form, "-"), "marker": "o"} | size
            yield label, look | ({"mfc": "white"} if form == "released" else {}), line


def _panels(traffic: Traffic, height_in: float) -> tuple[Figure, list[tuple[str, Axes]]]:
    names = list(traffic.run.groups)[:MOST_GROUPS]
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    return figure, list(zip(names, axes, strict=True))


def _percent(axes: Axes, label: str, both: bool = False) -> None:
    for axis in (axes.yaxis, axes.xaxis) if both else (axes.yaxis,):
        axis.set_major_formatter(as_percent())
    axes.set_ylabel(label)


def _finished(figure: Figure, panels: list[tuple[str, Axes]]) -> Figure:
    """Titles, a grid, labels at the outer edge, and one legend for all panels."""
    named: dict[str, Artist] = {}
    for index, (name, axes) in enumerate(panels):
        axes.set_title(name)
        axes.grid(visible=True)
        if index:
            axes.set_ylabel("")
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=3, handlelength=2.8)
    return figure
