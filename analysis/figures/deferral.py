"""What each score would buy: accuracy and risk against deferral rate, and where the run ended up beside
it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MultipleLocator

from analysis.figures.style import (
    INK,
    VERMILION,
    WIDTH_IN,
    as_percent,
    legend_beside,
    score_name,
    scores_of,
    styled,
)
from analysis.metrics.measures import realised_risk
from analysis.run_folder.kept import kept
from analysis.run_folder.per_request import per_request
from analysis.run_folder.traffic import Mask, Traffic, share
from analysis.time_in_words import between

Point = tuple[float, float, dict[str, Any]]  # deferral rate, accuracy if all were answered, and as it was
MOST_GROUPS = 8
ENDS = ((0, min), (1, max))


@styled
def deferral(traffic: Traffic) -> Figure:
    """All groups in one large panel; the groups as small multiples beside it, if there are several."""
    table = traffic.run.deferral
    groups = [name for name in traffic.run.groups if name in set(table["group"])][:MOST_GROUPS]
    groups = groups if len(groups) > 1 else []
    figure = Figure(figsize=(WIDTH_IN, 4.6), layout="constrained")
    columns = 1 if len(groups) <= 3 else 2
    ratios = [1.5, 0.4 + 0.4 * columns] if groups else [1.0]
    parts = figure.add_gridspec(1, len(ratios), width_ratios=ratios)
    axes = figure.add_subplot(parts[0])
    _curves(axes, table[table["group"] == "all"])
    while_so, when = as_the_curves(traffic)
    _ran(axes, ran_as_the_curves(traffic))
    axes.set_title(f"{'all groups' if groups else 'all clients'}: {when}")
    axes.set_ylabel("accuracy (% of held-out)")
    axes.set_xlabel("deferral rate (% sent)")
    if groups:
        small = _small_multiples(figure, parts[1], columns, table, traffic, groups, while_so)
        low, high = (pick(panel.get_ylim()[end] for panel in [axes, *small]) for end, pick in ENDS)
        spare = 0.02 * (high - low)  # so that no mark is cut
        for panel in [axes, *small]:
            panel.set_ylim(low - spare, high + spare)
            panel.yaxis.set_major_locator(MultipleLocator(0.1 if high - low > 0.15 else 0.05))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def risk(traffic: Traffic) -> Figure:
    """The generalised risk of each score against its deferral rate, and what the run paid at its own."""
    figure = Figure(figsize=(WIDTH_IN, 3.8), layout="constrained")
    axes = figure.subplots()
    table = traffic.run.deferral
    _curves(axes, table[table["group"] == "all"], "risk")
    rate, paid = paid_as_the_curves(traffic)
    axes.set_title(as_the_curves(traffic)[1])
    if rate is not None and paid["value"] is not None:
        if paid["low"] is not None:
            axes.plot(
                [rate, rate],
                [paid["low"], paid["high"]],
                color=INK,
                lw=1.0,
                zorder=5,
                label="its 95% interval",
            )
        axes.plot(
            [rate],
            [paid["value"]],
            "o",
            color=VERMILION,
            mec=INK,
            mew=0.6,
            ms=6.5,
            zorder=6,
            label="this run",
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("generalised risk (loss)")
    axes.set_xlabel("deferral rate (% sent)")
    legend_beside(axes)
    return figure


def as_the_curves(traffic: Traffic) -> tuple[Mask, str]:
    """Which requests came while things were as the curves have them, and how the figure says so.

    Curves are of the first models on samples as they are before any drift; a run's point among requests of
    later versions, or after a drift, would lie off them for that alone, and not for queues or outages.
    """
    run = traffic.run
    drifts = [
        float(drift["at_s"])
        for group in run.groups.values()
        for drift in (group.get("traffic") or {}).get("drift") or ()
    ]
    later = run.events[(run.events["kind"] == "model_in_force") & (run.events["value"] > 0)]
    version_s, drift_s = later["at_s"].min() if len(later) else np.inf, min(drifts, default=np.inf)
    until_s = min(float(version_s), drift_s, run.horizon_s)
    why = ""
    if until_s < run.horizon_s:
        why = ", before the drift" if drift_s <= version_s else ", before version 1"
    return traffic.arrived_at_s < until_s, f"version 0, {between(run.warm_up_s, until_s, '–')}{why}"


def deferral_rate_and_risk(
    traffic: Traffic, among: Mask | None = None
) -> tuple[float | None, dict[str, Any]]:
    """Of the held-out requests, or those `among`: the share sent of those decided, and the risk paid."""
    sent, decided, known = (
        traffic.requests[name].to_numpy(dtype=bool) for name in ("deferred", "is_decided", "server_known")
    )
    held_out = traffic.held_out if among is None else traffic.held_out & among
    paid = traffic.clusters.mean(per_request(traffic, realised_risk), held_out & known)
    return share(sent, decided & held_out), paid


def _small_multiples(
    figure: Figure,
    part: SubplotSpec,
    columns: int,
    table: pd.DataFrame,
    traffic: Traffic,
    groups: list[str],
    among: Mask,
) -> list[Axes]:
    """A panel per group, with labels at the outer edges only; returns the panels."""
    inner = part.subgridspec(-(-len(groups) // columns), columns)
    grid = [figure.add_subplot(inner[divmod(number, columns)]) for number in range(len(groups))]
    for index, (panel, name) in enumerate(zip(grid, groups, strict=True)):
        _curves(panel, table[table["group"] == name])
        _ran(panel, operating_point(traffic, among & np.asarray(traffic.requests["group"] == name)))
        panel.set_title(name)
        panel.set_xticks([0, 0.5, 1])
        is_lowest, is_first = index + columns >= len(groups), index % columns == 0
        panel.tick_params(labelbottom=is_lowest, labelleft=is_first)
        if is_lowest:
            panel.set_xlabel("deferral rate (% sent)")
    return grid


def _curves(axes: Axes, table: pd.DataFrame, of: str = "accuracy") -> None:
    axes.grid(visible=True)
    for score, style in scores_of(table).items():
        rows = table[table["score"] == score].sort_values("deferral_rate")
        axes.plot(rows["deferral_rate"], rows[of], label=score_name(score), **style)
    axes.set_xlim(-0.02, 1.02)
    for axis in (axes.xaxis, axes.yaxis) if of == "accuracy" else (axes.xaxis,):
        axis.set_major_formatter(as_percent())


def _ran(axes: Axes, point: Point | None) -> None:
    """The run's own point, and from it the point that the same decisions give if each send is answered."""
    if point is None:
        return
    rate, promised, got = point
    axes.plot([rate, rate], [promised, got["value"]], color=VERMILION, lw=4, alpha=0.4, zorder=4)
    axes.plot(
        [rate], [promised], "o", mfc="white", mec=VERMILION, ms=6.5, zorder=5, label="if all were answered"
    )
    if got["low"] is not None:
        axes.plot(
            [rate, rate], [got["low"], got["high"]], color=INK, lw=1.0, zorder=5, label="its 95% interval"
        )
    axes.plot(
        [rate], [got["value"]], "o", color=VERMILION, mec=INK, mew=0.6, ms=6.5, zorder=6, label="this run"
    )


@kept
def ran_as_the_curves(traffic: Traffic) -> Point | None:
    """The operating point of the requests that came while things were as the curves have them."""
    return operating_point(traffic, as_the_curves(traffic)[0])


@kept
def paid_as_the_curves(traffic: Traffic) -> tuple[float | None, dict[str, Any]]:
    """The deferral rate and risk of the same."""
    return deferral_rate_and_risk(traffic, as_the_curves(traffic)[0])


def operating_point(traffic: Traffic, among: Mask) -> Point | None:
    """Of the held-out requests in `among`: deferral rate, accuracy if the server had answered whatever was
    sent, and accuracy as it was with its interval; None where nothing was decided."""
    requests = traffic.requests
    usable = requests["is_decided"] & requests["server_known"]
    among = among & traffic.held_out & usable.to_numpy(dtype=bool)
    if not among.any():
        return None
    sent = requests["deferred"].to_numpy(dtype=bool)
    right = np.where(sent, requests["server_right"], requests["client_right"])
    got = traffic.clusters.share(traffic.correct, among)
    return float(sent[among].mean()), float(right[among].mean()), got
