"""Figures: units on axes, one legend entry per thing, the colours of the palette, nothing global touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from run_folders import write_folder

from analysis import load_run
from analysis.clusters import wilson
from analysis.figures import FIGURES
from analysis.figures.deferral import operating_point
from analysis.figures.outcomes import outcome_shares
from analysis.figures.style import OUTCOME_COLOURS, bin_width_s, to_svg
from analysis.figures.timeline import accuracy_bins
from analysis.traffic import traffic_of
from sim.columns import OUTCOMES

Finished = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def drawn(finished: Finished) -> dict[str, Figure]:
    traffic = traffic_of(load_run(finished[0]))
    return {name: drawing.draw(traffic) for name, drawing in FIGURES.items()}


def all_axes(figure: Figure) -> list[Any]:
    return [axes for axes in figure.findobj(mpl.axes.Axes) if axes.get_visible()]


@pytest.mark.parametrize("name", FIGURES)
def test_axes_carry_units(drawn: dict[str, Figure], name: str) -> None:
    labels = [axes.get_ylabel() for axes in all_axes(drawn[name])] + [
        axes.get_xlabel() for axes in all_axes(drawn[name])
    ]
    labels = [label for label in labels if label]
    assert labels
    assert [label for label in labels if not label.endswith(")")] == []


@pytest.mark.parametrize("name", FIGURES)
def test_legend_names_each_thing_once(drawn: dict[str, Figure], name: str) -> None:
    legends = drawn[name].findobj(mpl.legend.Legend)
    assert legends
    for legend in legends:
        names = [text.get_text() for text in legend.get_texts()]
        assert len(names) == len(set(names))
        assert not any(entry.startswith("_") for entry in names)


def test_outages_are_shaded_in_every_panel_of_the_time_line(drawn: dict[str, Figure]) -> None:
    for axes in all_axes(drawn["timeline"]):
        assert [p for p in axes.patches if p.get_x() == 100.0 and p.get_width() == 40.0]
    texts = [text.get_text() for text in all_axes(drawn["timeline"])[0].texts]
    assert "server down" in texts


def test_deadlines_are_named_by_their_groups(drawn: dict[str, Figure]) -> None:
    (axes,) = all_axes(drawn["latency"])
    assert {"sensors", "cameras"} <= {text.get_text() for text in axes.texts}


def test_panels_of_deferral_share_their_ticks(drawn: dict[str, Figure]) -> None:
    panels = all_axes(drawn["deferral"])
    assert len(panels) == 3
    assert len({tuple(axes.get_yticks()) for axes in panels}) == 1
    assert {axes.get_xlabel() for axes in panels} == {"reject rate (% sent)", ""}


def test_every_outcome_has_its_own_colour() -> None:
    assert tuple(OUTCOME_COLOURS) == OUTCOMES
    assert len(set(OUTCOME_COLOURS.values())) == len(OUTCOMES)


@pytest.mark.parametrize("name", FIGURES)
def test_same_run_gives_the_same_svg_without_links(finished: Finished, name: str) -> None:
    first, again = (to_svg(FIGURES[name].draw(traffic_of(load_run(finished[0])))) for _ in range(2))
    assert first == again
    assert b"<dc:date>" not in first
    assert b'href="http' not in first


def test_drawing_leaves_no_setting_behind(finished: Finished) -> None:
    before = dict(mpl.rcParams)
    to_svg(FIGURES["outcomes"].draw(traffic_of(load_run(finished[0]))))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("outages", [(), tuple(("links:sensors", a, a + 2) for a in range(10, 110, 10))])
def test_figures_of_runs_without_and_with_many_outages(tmp_path: Path, outages: tuple[Any, ...]) -> None:
    traffic = traffic_of(load_run(write_folder(tmp_path, clients=3, horizon_s=120, outages=outages)))
    for drawing in FIGURES.values():
        assert to_svg(drawing.draw(traffic))


def test_shares_of_outcomes_sum_to_one(finished: Finished) -> None:
    shares, width = outcome_shares(traffic_of(load_run(finished[0])))
    assert width == 10.0
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert shares.loc[110.0, "timed_out"] == pytest.approx(0.5, abs=0.1)


def test_accuracy_bins_lie_within_their_bands(finished: Finished) -> None:
    bins = accuracy_bins(traffic_of(load_run(finished[0])))
    assert len(bins) == 30
    assert ((bins["low"] < bins["fleet"]) & (bins["fleet"] < bins["high"])).all()


def test_wilson_interval_of_nine_in_ten() -> None:
    # Wilson (1927): the roots of (p - 0.9)^2 = z^2 p (1 - p) / 10
    low, high = wilson(np.array([0.9]), np.array([10.0]))
    for p in (low[0], high[0]):
        assert (p - 0.9) ** 2 == pytest.approx(1.959963984540054**2 * p * (1 - p) / 10)
    assert low[0] < 0.9 < high[0]


def test_operating_point_shows_what_an_answering_server_would_give(finished: Finished) -> None:
    traffic = traffic_of(load_run(finished[0]))
    rate, promised, got = operating_point(traffic, np.ones(len(traffic.requests), dtype=bool)) or (0, 0, {})
    assert rate == pytest.approx(finished[1]["rates"]["reject_rate_held_out"]["value"])
    assert promised > got["value"]
    assert operating_point(traffic, np.zeros(len(traffic.requests), dtype=bool)) is None


@pytest.mark.parametrize(("horizon_s", "width"), [(900, 10), (3600, 30), (86_400, 1800), (1e8, 1e8 / 120)])
def test_bins_are_round_and_few(horizon_s: float, width: float) -> None:
    assert bin_width_s(horizon_s, 10, 120) == width
