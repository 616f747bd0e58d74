"""Figures for print: as wide as asked, text of 8 points and as text, told apart in grey; and bad requests."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from analysis import load_run
from analysis.figures import FIGURES
from analysis.figures.for_print import LEAST_PT, NARROW_IN, PRINT, for_print, panels_of
from analysis.figures.predictions import predictions
from analysis.figures.style import to_png
from analysis.reports.print_figure import print_figure
from analysis.run_folder.traffic import Traffic, traffic_of
from sim.errors import BadInput

Finished = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def traffic(finished: Finished) -> Traffic:
    return traffic_of(load_run(finished[0]))


def looks_of(axes: Any) -> list[tuple[Any, ...]]:
    """How each named thing of a panel looks without its colour."""
    lines = [
        ("line", str(one._unscaled_dash_pattern), one.get_linestyle(), one.get_marker())
        for one in axes.get_lines()
        if not one.get_label().startswith("_")
    ]
    fills = [
        ("fill", one.get_hatch())
        for one in axes.collections
        if isinstance(one, PolyCollection) and not str(one.get_label()).startswith("_")
    ]
    return lines + (fills if len(fills) > 1 else [])


@pytest.mark.slow
@pytest.mark.parametrize("width_in", [3.33, 7.0])
@pytest.mark.parametrize("name", FIGURES)
def test_text_can_be_read_and_nothing_is_told_by_colour_alone(
    traffic: Traffic, name: str, width_in: float
) -> None:
    figure = FIGURES[name].draw(traffic)
    shown = len(panels_of(figure))
    with mpl.rc_context(PRINT):
        for_print(figure, width_in)
    assert figure.get_figwidth() == width_in
    assert len(panels_of(figure)) == shown, "all that the report shows"
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]  # type: ignore[attr-defined]
    assert min(text.get_fontsize() for text in texts) >= LEAST_PT  # type: ignore[attr-defined]
    for axes in figure.axes:
        looks = looks_of(axes)
        assert len(set(looks)) == len(looks), name
        for legend in filter(None, [axes.get_legend()]):
            entries = [entry for entry in legend.legend_handles if entry is not None]
            assert len(entries) == len(legend.get_texts())
    with Image.open(io.BytesIO(to_png(figure, PRINT))) as picture:
        assert picture.size[0] == int(300 * width_in)
        ink = np.flatnonzero((np.asarray(picture.convert("L")) < 250).any(axis=0))
    assert ink[0] >= 3, "nothing is cut at the left"
    assert ink[-1] <= picture.size[0] - 2


def test_text_is_text_and_the_same_folder_gives_the_same_bytes(finished: Finished) -> None:
    svg = print_figure(finished[0], "timeline", "3.33in", "svg").decode()
    words = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert {"virtual time (s)", "the fleet"} <= set(words)
    assert re.search(r'width="239\.76pt"', svg)
    pdf = print_figure(finished[0], "timeline", "3.33in", "pdf")
    assert b"/Type /Font" in pdf
    assert b"/Subtype /Type3" not in pdf
    assert print_figure(finished[0], "timeline", "3.33in", "pdf") == pdf


def test_panels_are_chosen_by_what_they_show(traffic: Traffic) -> None:
    figure = FIGURES["timeline"].draw(traffic)
    whole_in = figure.get_figheight()
    with mpl.rc_context(PRINT):
        for_print(figure, 7.2, ["accuracy", "waiting"])
    assert list(panels_of(figure)) == ["accuracy", "waiting"]
    assert figure.get_figheight() < 0.8 * whole_in
    assert figure.axes[-1].get_xlabel() == "virtual time (s)"
    assert figure.axes[-1].xaxis.get_tick_params()["labelbottom"]


@pytest.mark.parametrize(
    ("name", "width", "panels", "why"),
    [
        ("timelines", "3.33in", [], "did you mean 'timeline'"),
        ("timeline", "3cm", [], "must be inches"),
        ("timeline", "0.1in", [], "from 2 to 20 inches"),
        ("timeline", "3.33in", ["acuracy"], "did you mean 'accuracy'"),
        ("predictions", "0.1in", [], "from 2 to 20 inches"),
        ("predictions", "3.33in", ["backlog gone"], "did you mean 'backlog gone after'"),
    ],
)
def test_what_there_is_not_is_told(
    finished: Finished, name: str, width: str, panels: list[str], why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        print_figure(finished[0], name, width, "pdf", panels)


def test_a_legend_of_nothing_is_printed_too() -> None:
    """As of a figure whose table could not be read."""
    figure = Figure()
    figure.subplots().legend(handles=[])
    for_print(figure, 3.33)


@pytest.mark.parametrize("name", FIGURES)
def test_names_of_axes_fit_beside_their_panels_in_a_column(traffic: Traffic, name: str) -> None:
    """None is cut at the edge of the figure, or runs into that of the next panel."""
    figure = FIGURES[name].draw(traffic)
    with mpl.rc_context(PRINT):
        for_print(figure, 3.33)
        boxes = [axes.yaxis.label.get_window_extent() for axes in figure.axes if axes.get_ylabel()]
    for box in boxes:
        assert -2 <= box.y0 <= box.y1 <= figure.bbox.height + 2
    for upper, lower in pairwise(sorted(boxes, key=lambda box: -box.y1)):
        assert upper.y0 >= lower.y1 - 2


def test_panels_in_one_column_each_say_what_they_show(traffic: Traffic) -> None:
    """Reliability has a row per model: one under another, a group's name alone would not tell which."""
    figure = FIGURES["reliability"].draw(traffic)
    with mpl.rc_context(PRINT):
        for_print(figure, 3.33)
    named = [(axes.get_title(loc="left"), axes.get_ylabel()) for axes in figure.axes]
    assert all(label for _, label in named)
    assert len(set(named)) == len(named)


def strokes_of(axes: Any) -> dict[str, str]:
    return {str(line.get_label()): str(line._unscaled_dash_pattern) for line in axes.get_lines()}


def test_clients_own_models_have_the_stroke_of_their_group_and_circles(traffic: Traffic) -> None:
    figure = FIGURES["fairness"].draw(traffic)
    for_print(figure, 7.0)
    (axes,) = figure.axes
    strokes, groups = strokes_of(axes), list(traffic.run.groups)
    assert len({strokes[group] for group in groups}) == len(groups) > 1
    assert [strokes[f"_like {group}"] for group in groups] == [strokes[group] for group in groups]
    circled = {str(line.get_label()) for line in axes.get_lines() if line.get_marker() == "o"}
    assert circled == {"own models", *(f"_like {group}" for group in groups)}


def test_a_key_to_what_has_no_name_keeps_its_look() -> None:
    """As that of drifts, whose lines stand in every panel and are named in one."""
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="one")
    axes.plot([0, 1], [1, 0], label="other")
    axes.axvline(0.5, ls=(0, (7, 2, 1, 2)))
    axes.plot([], [], ls=(0, (7, 2, 1, 2)), label="drift")
    axes.legend()
    for_print(figure, 3.33)
    lines = axes.get_lines()
    assert lines[3]._unscaled_dash_pattern == lines[2]._unscaled_dash_pattern  # type: ignore[attr-defined]
    assert axes.get_legend().legend_handles[2].get_linestyle() == "--"  # type: ignore[union-attr]


@pytest.mark.parametrize("width_in", [3.33, 3.7, 7.0])
def test_predictions_can_be_read_at_every_width(finished: Finished, width_in: float) -> None:
    """Each name lies within the figure, in letters of 8 points or more in a column."""
    by_law = finished[1]["predictions"]
    figure = predictions(by_law, (), width_in)
    with mpl.rc_context(PRINT):
        FigureCanvasAgg(figure).draw()
    assert figure.get_figwidth() == width_in
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    names = {value["where"] for law in by_law for value in law["values"] if not value["over"]}
    assert names <= {text.get_text() for text in texts}
    if width_in < NARROW_IN:
        assert min(text.get_fontsize() for text in texts) >= LEAST_PT
    shown = [text.get_window_extent() for text in texts if text.get_text() in names]
    assert min(box.x0 for box in shown) >= 0
    assert max(box.x1 for box in shown) <= figure.bbox.width


def test_predictions_are_printed_whole_or_by_number_and_a_page_has_them_for_phones(
    finished: Finished,
) -> None:
    folder, summary = finished
    whole = print_figure(folder, "predictions", "3.33in", "svg").decode()
    part = print_figure(folder, "predictions", "3.33in", "svg", ["backlog gone after"]).decode()
    titles = {value["quantity"] for law in summary["predictions"] for value in law["values"]}
    assert len(titles) > 1
    assert all(f"{title} (" in whole for title in titles)
    assert [title for title in titles if f"{title} (" in part] == ["backlog gone after"]
    wide, narrow = re.findall(
        r'id="predictions".*?srcset="([^"]+)".*?src="([^"]+)"', (folder / "report.html").read_text(), re.S
    )[0]
    assert wide != narrow
