"""A figure as a paper prints it: a column wide, text of at least 8 points, told apart without colour.
Takes any figure and changes how it looks, never what it shows; behind the command `figure`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation

from analysis.figures.layout import lay_out
from analysis.figures.style import LIKE, SETTINGS, WIDTH_IN, Settings
from sim.errors import BadInput

LEAST_PT = 8.0
NARROW_IN = 5.0  # below it legends stand under their panels, and all text has the least size
NARROWEST_IN, WIDEST_IN = 2.0, 20.0
HEIGHT_POWER = 0.4  # a figure half as wide keeps three quarters of its height
CHARACTERS_PER_IN = 16.0  # of LEAST_PT
STROKES: Sequence[Any] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//////", "......", "\\\\\\\\\\\\", "xxxxx", "+++++", "ooo", "-----", "|||||")
STROKE_LOOKS: list[dict[str, Any]] = [{"linestyle": stroke} for stroke in STROKES] + [
    {"linestyle": stroke, "marker": mark, "markersize": 3.5, "markevery": 0.12}
    for mark in MARKS
    for stroke in STROKES
]
MARK_LOOKS: list[dict[str, Any]] = [{"marker": mark} for mark in MARKS] + [
    {"marker": mark, "markerfacecolor": "#FFFFFF"} for mark in MARKS
]
HATCH_LOOKS: list[dict[str, Any]] = [
    {"hatch": hatch, "hatchcolor": "#000000", "edgecolor": "#00000080", "linewidth": 0.3} for hatch in HATCHES
]
PRINT: Settings = SETTINGS | {"svg.fonttype": "none", "pdf.fonttype": 42, "hatch.linewidth": 0.5}


def for_print(figure: Figure, width_in: float, panels: Sequence[str] = (), marked: bool = True) -> None:
    """Makes a figure `width_in` wide, with text of LEAST_PT or more and, unless not `marked`, with strokes,
    marks and hatches that survive grey. panels: which of `panels_of` to keep, all if none. Below NARROW_IN
    panels stand in one column, and legends under them.

    Raises BadInput for a width that is none, or for a panel that there is not.
    """
    require_width(width_in)
    is_narrow, chosen = width_in < NARROW_IN, _chosen(figure, panels)
    is_stacked = is_narrow and len({round(axes.get_position().x0, 2) for axes in chosen}) > 1
    share = _arrange(figure, chosen, is_stacked) if is_stacked or panels else 1.0
    figure.set_size_inches(width_in, figure.get_figheight() * share * (width_in / WIDTH_IN) ** HEIGHT_POWER)
    across = len({round(axes.get_position().x0, 2) for axes in chosen})
    room = max(12, int(CHARACTERS_PER_IN * (width_in - 0.6) / across))
    for axes in chosen:
        height_in = figure.get_figheight() * axes.get_position().height
        lines = axes.get_ylabel().split("\n")
        high = max(12, int(CHARACTERS_PER_IN * height_in))
        axes.set_ylabel("\n".join(broken(line, high) for line in lines))
        axes.set_xlabel(broken(axes.get_xlabel(), room))
        axes.set_title(broken(axes.get_title(loc="left"), room), loc="left")
    for text in figure.texts:
        lines = text.get_text().split("\n")
        text.set_text("\n".join(broken(line, int(CHARACTERS_PER_IN * width_in)) for line in lines))
    looks = told_apart(chosen) if marked else {}
    for legend in [*figure.legends, *(axes.get_legend() for axes in chosen)]:
        if legend is not None:
            _match(legend, looks)
            if is_narrow:
                _stand_below(legend, width_in)
    texts: list[Any] = figure.findobj(Text)
    for text in texts:
        text.set_fontsize(LEAST_PT if is_narrow else max(LEAST_PT, text.get_fontsize()))
    lay_out(figure)
    for axes in chosen:
        _hide_overlaps(axes)


def broken(words: str, room: int) -> str:
    """The words in lines of at most so many characters; a path that is longer breaks behind its dots."""
    lines = [""]
    for word in words.split():
        parts = [word] if len(word) <= room else re.findall(rf"[^.]{{1,{room - 1}}}\.?|\.", word)
        for number, part in enumerate(parts):
            gap = " " if lines[-1] and not number else ""
            if len(lines[-1] + gap + part) <= room:
                lines[-1] += gap + part
            else:
                lines.append(part)
    return "\n".join(line for line in lines if line)


def require_width(width_in: float) -> None:
    """Raises BadInput for a width that is none."""
    if not NARROWEST_IN <= width_in <= WIDEST_IN:
        raise BadInput(f"--width {width_in:g}in: must be from {NARROWEST_IN:g} to {WIDEST_IN:g} inches")


def panels_of(figure: Figure) -> dict[str, Axes]:
    """The panels of a figure by what they show: the first words of their title or of their axis, without
    commas, which stand between names; and a number where several show the same."""
    found: dict[str, Axes] = {}
    for axes in figure.axes:
        if axes.get_visible():
            words = axes.get_title(loc="left") or axes.get_ylabel() or axes.get_xlabel()
            words = words.partition("\n")[0].partition(" (")[0].replace(",", "")
            name, number = words.partition(":")[0], 1
            while name in found:
                number += 1
                name = f"{words} {number}"
            found[name] = axes
    return found


def _chosen(figure: Figure, panels: Sequence[str]) -> list[Axes]:
    known = panels_of(figure)
    require_panels(panels, known)
    return [axes for name, axes in known.items() if name in panels or not panels]


def require_panels(panels: Sequence[str], known: Collection[str]) -> None:
    """Raises BadInput for a panel that there is not."""
    for name in panels:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise BadInput(f"--panels: '{name}' is not a panel of this figure ({', '.join(known)}){hint}")


def _arrange(figure: Figure, chosen: Sequence[Axes], is_stacked: bool) -> float:
    """Leaves these panels alone in the figure, in one column or as they stood; gives its height by then."""
    boxes = {axes: axes.get_position() for axes in chosen}
    rows = sorted({round(box.y1, 2) for box in boxes.values()}, reverse=True)
    columns = sorted({round(box.x0, 2) for box in boxes.values()})
    labels = {axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()}
    for axes in [axes for axes in figure.axes if axes not in boxes]:
        axes.remove()
    if is_stacked:
        _name_all(boxes)
        rows, columns = list(range(len(chosen))), [0.0]
    heights = [0.0] * len(rows)
    places = {}
    for number, (axes, box) in enumerate(boxes.items()):
        row = number if is_stacked else rows.index(round(box.y1, 2))
        places[axes] = (row, 0 if is_stacked else columns.index(round(box.x0, 2)))
        heights[row] = max(heights[row], box.height)
    grid = GridSpec(len(rows), len(columns), figure, height_ratios=heights)
    for axes, (row, column) in places.items():
        axes.set_subplotspec(grid[row, column])
        axes.tick_params(labelleft=column == 0 or axes.yaxis.get_tick_params().get("labelleft", True))
        if row == len(rows) - 1:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(axes.get_xlabel() or next(iter(labels), ""))
        elif is_stacked and len(labels) == 1:
            axes.set_xlabel("")
    return max(0.35, 1.15 * sum(heights))


def _name_all(boxes: dict[Axes, Any]) -> None:
    """Gives each panel that stood beside another of its size the name of their common y axis."""
    for axes, box in boxes.items():
        beside = [
            one.get_ylabel()
            for one, other in boxes.items()
            if abs(other.y1 - box.y1) < 0.01 and abs(other.height - box.height) < 0.01 and one.get_ylabel()
        ]
        if beside and not axes.get_ylabel():
            axes.set_ylabel(beside[0])


def told_apart(panels: Sequence[Axes]) -> dict[str, dict[str, Any]]:
    """Gives whatever has a name a stroke, a mark or a hatch that nothing else in its panel has; returns these
    looks by name, for one name looks alike in all panels."""
    looks: dict[str, dict[str, Any]] = {}
    for axes in panels:
        named = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
        lines = [line for line in named if np.size(line.get_xdata())]  # else a key to what has no name
        fills = [
            fill
            for fill in axes.collections
            if isinstance(fill, PolyCollection) and not str(fill.get_label()).startswith("_")
        ]
        drawn = [line for line in lines if line.get_linestyle() != "None"]
        dots = [line for line in lines if line.get_linestyle() == "None"]
        own = [{"marker": dot.get_marker()} for dot in dots]
        _assign(drawn, STROKE_LOOKS, looks)
        _assign(dots, [*(look for look in own if own.count(look) == 1), *MARK_LOOKS], looks, own)
        if len(fills) > 1:
            _assign(fills, HATCH_LOOKS, looks)
        for line in axes.get_lines():
            name = str(line.get_label()).removeprefix(LIKE)
            if name != line.get_label() and name in looks:
                line.set_linestyle(looks[name].get("linestyle", "-"))
    return looks


def _assign(
    artists: Sequence[Any],
    known: Sequence[dict[str, Any]],
    looks: dict[str, dict[str, Any]],
    own: Sequence[dict[str, Any]] | None = None,
) -> None:
    """Gives each the look of its name; a new name gets its own if nothing has that, else one that is free."""
    names = [str(artist.get_label()) for artist in artists]
    taken = [looks[name] for name in names if name in looks]
    for number, (name, artist) in enumerate(zip(names, artists, strict=True)):
        if name not in looks:
            free = [look for look in known if look not in taken]
            mine = own[number] if own else None
            looks[name] = mine if mine and mine not in taken else (free or known)[0]
            taken.append(looks[name])
        artist.set(**looks[name])


def _match(legend: Legend, looks: dict[str, dict[str, Any]]) -> None:
    """Gives the entries of a legend the looks of what they name."""
    for entry, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if entry is not None and text.get_text() in looks:
            look = looks[text.get_text()]
            entry.set(**{name: value for name, value in look.items() if name != "markevery"})


def _stand_below(legend: Legend, width_in: float) -> None:
    """Puts a legend under its panel, or under the figure, in as many columns as fit; the figure grows."""
    names, entries = [text.get_text() for text in legend.get_texts()], list[Any](legend.legend_handles)
    title = legend.get_title().get_text() or None
    if not names:  # nothing could be drawn
        return
    widest_pt = LEAST_PT * (4.5 + 0.62 * max(len(line) for name in names for line in name.split("\n")))
    columns = max(1, min(len(names), int((width_in - 0.6) * 72 / widest_pt)))
    looks: Any = {
        "title": title,
        "ncols": columns,
        "columnspacing": 1.0,
        "handlelength": 2.6,
        "borderaxespad": 0.2,
    }
    axes, figure = legend.axes, legend.get_figure()
    assert figure is not None
    lines = -(-len(names) // columns) * (1 + names[0].count("\n")) + (title is not None)
    figure.set_figheight(figure.get_figheight() + 0.75 * lines * 1.4 * LEAST_PT / 72)  # type: ignore[union-attr]
    if axes is None:
        legend.remove()
        figure.legend(entries, names, loc="outside lower center", **looks)
        return
    shows_x = axes.xaxis.get_tick_params().get("labelbottom", True)
    below = 1.5 * shows_x + 1.4 * len(axes.get_xlabel().splitlines()) + 0.7
    place = axes.transAxes + ScaledTranslation(0, -below * LEAST_PT / 72, figure.dpi_scale_trans)
    looks |= {"bbox_to_anchor": (0, 0), "bbox_transform": place}
    axes.legend(entries, names, loc="upper left", **looks)


def _hide_overlaps(axes: Axes) -> None:
    """Of the words above a panel, hides those that run into others: in a narrow figure there is no room."""
    shown: list[Any] = []
    for text in axes.texts:
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in shown):
            text.set_visible(False)
        else:
            shown.append(box)
