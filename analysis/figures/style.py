"""How every figure looks: one palette, one type size, the same colour for the same thing everywhere.
Figures are drawn inside `styled`, so that no setting leaks into or out of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, FixedLocator, FuncFormatter
from numpy.typing import NDArray

from analysis.figures.layout import lay_out
from analysis.figures.once import found_once
from analysis.run_folder.outages import Outage

Parameters = ParamSpec("Parameters")
Floats = NDArray[np.float64]
Spans = list[tuple[float, float]]

# Okabe and Ito (2008), told apart under every common colour blindness.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#8C8C8C"
INK, FAINT, PAPER = "#222222", "#6B6B6B", "#FFFFFF"
GRID, PARTLY, TOTALLY, STRIP = (
    "#E9E9E9",
    "#EEEEEE",
    "#D9D9D9",
    "#C9C9C9",
)  # behind: outages of some, of all, of links
ON_DARK, ON_LIGHT = "#FDFDFD", "#020202"  # words on a shade, which is the same on every screen
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)  # for groups, in the scenario's order

OUTCOME_COLOURS = {
    "local": SKY,
    "remote": BLUE,
    "over_budget": YELLOW,
    "link_down": PURPLE,
    "breaker_open": GREEN,
    "refused": ORANGE,
    "timed_out": VERMILION,
    "in_flight": GREY,
    "no_power": BLACK,
}
SCORE_STYLES: dict[str, dict[str, Any]] = {
    "l2h": {"color": BLUE, "linewidth": 2.2},
    "l2h_priced": {"color": SKY, "linewidth": 2.2},
    "plug_in": {"color": GREEN},
    "confidence": {"color": ORANGE},
    "entropy": {"color": ORANGE, "linestyle": (0, (4, 1.5))},
    "margin": {"color": ORANGE, "linestyle": (0, (1, 1))},
    "confidence_calibrated": {"color": ORANGE, "linestyle": (0, (6, 1, 1, 1))},
    "energy": {"color": ORANGE, "linestyle": (0, (3, 1, 1, 1, 1, 1))},
    "compare_confidence": {"color": VERMILION},
    "mozannar_sontag": {"color": PURPLE},
    "one_vs_all": {"color": PURPLE, "linestyle": (0, (4, 1.5))},
    "random": {"color": GREY},
    "oracle": {"color": BLACK, "linestyle": (0, (5, 2))},
}
SCORE_NAMES = {
    "l2h": "L2H",
    "l2h_priced": "L2H, priced",
    "plug_in": "plug-in",
    "mozannar_sontag": "Mozannar–Sontag",
    "one_vs_all": "one-vs-all",
    "oracle": "oracle (bound)",
}

Settings = dict[Any, Any]  # as `matplotlib.rc_context` takes them
SETTINGS: Settings = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name with dollars is a name
    "svg.hashsalt": "l2h-fleet",  # otherwise the ids in the file differ from run to run
    "path.simplify": True,
}
WIDTH_IN = 7.2
LIKE = "_like "  # before a name: the label of a line with the stroke of the line of that name
TIME_UNITS = (("days", 86_400.0, 4 * 86_400.0), ("h", 3_600.0, 4 * 3_600.0), ("s", 1.0, 0.0))  # from when on
HOURS = (0.5, 1, 2, 3, 6, 12, 24)  # between two labels of a long run
MOST_HOURS = 9  # of them along the axis
MOST_NAMED = 6  # more outages than this are counted, not named
MOST_SHADED = 100  # more than this are shaded as one
MOST_STEPS = 500  # of a step function; the bins of a time line are about as many
FINEST = 1_000  # parts of the time between the first of them and the last that are told apart


def scores_of(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The scores that a table holds, in one order everywhere, each with its look; strange ones are grey."""
    there = set(table["score"])
    strange = {name: {"color": GREY, "linestyle": (0, (1, 2))} for name in sorted(there - set(SCORE_STYLES))}
    return {name: look for name, look in (SCORE_STYLES | strange).items() if name in there}


def legend_beside(axes: Axes, **options: Any) -> None:
    """The legend to the right of a panel, if anything there has a name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **options)


def score_name(score: str) -> str:
    return SCORE_NAMES.get(score, score.replace("_", " "))


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """The figure function, drawn under SETTINGS."""

    @wraps(draw)
    def drawn(*values: Parameters.args, **named: Parameters.kwargs) -> Figure:
        with mpl.rc_context(SETTINGS):
            return draw(*values, **named)

    return drawn


def to_svg(figure: Figure, settings: Settings = SETTINGS) -> bytes:
    """The figure as SVG; the same figure gives the same bytes."""
    return _saved(figure, settings, "svg", metadata={"Date": None, "Creator": None})


def to_pdf(figure: Figure, settings: Settings = SETTINGS) -> bytes:
    """The figure as PDF."""
    return _saved(figure, settings, "pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def to_png(figure: Figure, settings: Settings = SETTINGS, dpi: int = 300) -> bytes:
    """The figure as PNG, with so many dots per inch."""
    return _saved(figure, settings, "png", dpi=dpi, metadata={"Software": None})


def _saved(figure: Figure, settings: Settings, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    with mpl.rc_context(settings), found_once():
        lay_out(figure)
        figure.savefig(content, format=kind, **options)
    return content.getvalue()


def bin_width_s(horizon_s: float, at_least_s: float, most_bins: int) -> float:
    """The smallest round width from `at_least_s` on that cuts a run into at most `most_bins` bins."""
    for width in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400):
        if width >= at_least_s and horizon_s / width <= most_bins:
            return float(width)
    return horizon_s / most_bins


def shade_outages(axes: Axes, outages: tuple[Outage, ...]) -> None:
    """Grey behind each outage; a lighter grey where the server goes on with less."""
    for colour, is_total in ((PARTLY, False), (TOTALLY, True)):
        spans = [(one.from_s, one.to_s) for one in outages if (one.target == "server") == is_total]
        shade(axes, spans, color=colour, lw=0, zorder=0)


def shade(
    axes: Axes, spans: list[tuple[float, float]], bottom: float = 0, top: float = 1, **look: Any
) -> None:
    """Colours each of these spans of time, between two shares of the panel's height.

    Those beyond MOST_SHADED, which no eye tells apart, are one shape, and gaps that none sees are closed: so
    a figure of a hundred thousand outages is no larger than one of a thousand.
    """
    if len(spans) <= MOST_SHADED:
        for begin, end in spans:
            axes.axvspan(begin, end, bottom, top, **look)
        return
    begins, ends = np.sort(np.array(spans), axis=0).T  # of the union, as many have begun as ended in its gaps
    seen_s = (ends[-1] - begins[0]) / FINEST
    gaps = np.flatnonzero(begins[1:] - ends[:-1] > seen_s)
    from_s, to_s = begins[np.append(0, gaps + 1)], ends[np.append(gaps, -1)]
    widths = np.column_stack((from_s, to_s - from_s)).tolist()
    axes.broken_barh(widths, (bottom, top - bottom), transform=axes.get_xaxis_transform(), **look)


def shade_links(axes: Axes, at_s: Floats, share: Floats, horizon_s: float, colour: str = STRIP) -> None:
    """A strip at the foot of the panel, a fifth of it high where every client's own link is out."""
    if share.max() > 0:
        at_s, share = few_steps(at_s, share, horizon_s)
        edges, heights = np.append(at_s, horizon_s), 0.2 * np.append(share, share[-1])
        place = axes.get_xaxis_transform()
        axes.fill_between(edges, 0, heights, step="post", transform=place, color=colour, lw=0, zorder=0)


def few_steps(at_s: Floats, values: Floats, end_s: float, most: int = MOST_STEPS) -> tuple[Floats, Floats]:
    """A step function on [0, end_s), values (n,) from at_s (n,) on, the first of which is 0; where it has
    more than `most` steps, its means over so many even bins, which a figure cannot tell from it."""
    if len(at_s) <= most:
        return at_s, values
    edges = np.linspace(0.0, end_s, most + 1)
    times = np.append(at_s[at_s < end_s], end_s)
    areas = np.concatenate([[0.0], np.cumsum(np.diff(times) * values[: len(times) - 1])])
    return edges[:-1], np.diff(np.interp(edges, times, areas)) / np.diff(edges)


def label_outages(axes: Axes, outages: tuple[Outage, ...], horizon_s: float, warm_up_s: float) -> None:
    """Names above the panel, at the outages; where they would not fit, one line says how many there are."""
    place = axes.get_xaxis_transform()
    middles = [(outage.from_s + outage.to_s) / 2 for outage in outages]
    gaps = np.diff([0.0, *sorted(middles), horizon_s])
    if outages and (len(outages) > MOST_NAMED or gaps[1:-1].min(initial=horizon_s) < 0.14 * horizon_s):
        count = f"{len(outages)} outages" if len(outages) > 1 else "1 outage"
        axes.set_title(count, loc="right", fontweight="normal", fontsize=8.5)
        return
    for outage in outages:
        middle = (outage.from_s + outage.to_s) / 2
        axes.text(
            middle, 1.03, f"{outage.label} down", transform=place, ha="center", va="bottom", fontsize=8.5
        )
    if warm_up_s > 0:
        axes.text(
            warm_up_s / 2,
            1.03,
            "warm-up",
            transform=place,
            ha="center",
            va="bottom",
            fontsize=8.5,
            color=FAINT,
        )


def as_percent() -> FuncFormatter:
    """Labels of shares: as many digits as it takes that none says another number than its place, '82.5%'."""
    return FuncFormatter(lambda share, _: f"{100 * share + 0.0:.6g}%")


def label_time(axes: Axes, horizon_s: float, of: str = "") -> None:
    """Names the axis of virtual time, in hours or days where the run is that long."""
    unit, size_s = next((unit, size) for unit, size, least in TIME_UNITS if horizon_s >= least)
    axes.set_xlabel(f"virtual time{of} ({unit})")
    axes.set_xlim(0, horizon_s)
    if size_s > 1:
        ticks = size_s * time_ticks(horizon_s / size_s, unit)
        axes.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at_s, _: f"{at_s / size_s:g}"))


def time_ticks(horizon: float, unit: str) -> Floats:
    """Where an axis of virtual time is labelled, in its unit: hours as clocks divide a day."""
    step = next((step for step in HOURS if horizon / step <= MOST_HOURS), None) if unit == "h" else None
    if step is None:
        return np.asarray(AutoLocator().tick_values(0, horizon))
    return np.arange(0.0, horizon + 1e-9, step)


def mark_warm_up(axes: Axes, warm_up_s: float) -> None:
    if warm_up_s > 0:
        axes.axvline(warm_up_s, color=INK, lw=0.8, ls=(0, (1, 2)))
