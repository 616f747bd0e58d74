"""The policies of a study over virtual time, a line each, with what was down shaded.
Pure function of curves that `analysis.reports.regret` and `learning_in_time` make of the runs of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from analysis.figures.for_print import STROKES
from analysis.figures.style import (
    SERIES,
    WIDTH_IN,
    Floats,
    as_percent,
    label_outages,
    label_time,
    mark_warm_up,
    shade_outages,
    styled,
)
from analysis.run_folder.outages import Outage

Curves = Mapping[str, Floats]  # by policy, a row per seed: (seeds, instants)


@dataclass(frozen=True)
class Panel:
    """A number of each policy at some instants."""

    name: str  # with its unit, as its axis has it
    at_s: Floats  # (instants,)
    curves: Curves
    is_share: bool = False
    from_0: bool = False  # else the line of 0 is drawn where it is


@styled
def policies_in_time(
    panels: list[Panel], outages: tuple[Outage, ...], horizon_s: float, warm_up_s: float = 0.0
) -> Figure:
    """Each policy's mean over its seeds as a line, and from the least to the largest as a band; policies
    whose curves are the same are one line, under all their names. Strokes tell them apart in grey, too."""
    size = (WIDTH_IN, 3.6 if len(panels) == 1 else 0.4 + 2.3 * len(panels))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.04))
    drawn = _apart(panels)
    places = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(places, panels, strict=True):
        shade_outages(axes, outages)
        mark_warm_up(axes, warm_up_s)
        for place, name, names in drawn:
            rows = panel.curves[name]
            colour, dash = SERIES[place % len(SERIES)], STROKES[place % len(STROKES)]
            axes.plot(panel.at_s, rows.mean(axis=0), color=colour, ls=dash, label=" = ".join(names))
            least, most = rows.min(axis=0), rows.max(axis=0)
            axes.fill_between(panel.at_s, least, most, color=colour, alpha=0.15, lw=0)
        if panel.is_share:
            axes.yaxis.set_major_formatter(as_percent())
        elif panel.from_0:
            axes.set_ylim(bottom=0)
        else:
            axes.axhline(0.0, color="black", lw=0.8)
        axes.set_ylabel(panel.name)
        axes.grid(visible=True, axis="y")
    places[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    label_outages(places[0], outages, horizon_s, warm_up_s)
    label_time(places[-1], horizon_s, " of arrival")
    return figure


def _apart(panels: list[Panel]) -> list[tuple[int, str, list[str]]]:
    """The policies that differ: the place of each among all, its name, and the names of all like it."""
    alike: dict[tuple[bytes, ...], list[str]] = {}
    for name in panels[0].curves:
        alike.setdefault(tuple(panel.curves[name].tobytes() for panel in panels), []).append(name)
    every = list(panels[0].curves)
    return [(every.index(names[0]), names[0], names) for names in alike.values()]
