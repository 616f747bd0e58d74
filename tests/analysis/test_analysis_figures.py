"""Figures: units on axes, one legend entry per thing, the colours of the palette, nothing global touched."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from run_folders import write_folder, write_outages, write_tiny

from analysis import load_run
from analysis.figures import FIGURES, drawings_of
from analysis.figures.dark import DARK, for_dark
from analysis.figures.deferral import deferral_rate_and_risk, operating_point
from analysis.figures.deferring import deferring_bins
from analysis.figures.online import server_accuracy_bins
from analysis.figures.outcomes import outcome_shares
from analysis.figures.style import (
    INK,
    ON_DARK,
    ON_LIGHT,
    OUTCOME_COLOURS,
    SCORE_STYLES,
    SETTINGS,
    as_percent,
    bin_width_s,
    few_steps,
    label_time,
    score_name,
    scores_of,
    shade,
    time_ticks,
    to_pdf,
    to_png,
    to_svg,
)
from analysis.figures.timeline import accuracy_bin_s, accuracy_bins
from analysis.metrics.by_client import accuracy_by_client
from analysis.metrics.summary import summarise
from analysis.run_folder.outages import own_links_down
from analysis.run_folder.traffic import traffic_of
from analysis.statistics.estimates import wilson
from sim.results.columns import OUTCOMES

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


@pytest.mark.filterwarnings("error")
def test_where_nothing_has_a_name_there_is_no_legend_and_no_complaint(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no request came while things were as the curves have them, and no curve could be made."""
    traffic = traffic_of(load_run(finished[0]))
    drawn_in = sys.modules["analysis.figures.deferral"]
    monkeypatch.setattr(drawn_in, "_curves", lambda *_words: None)
    monkeypatch.setattr(drawn_in, "deferral_rate_and_risk", lambda *_words: (None, {"value": None}))
    assert FIGURES["risk"].draw(traffic).axes[0].get_legend() is None


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


def test_outages_are_shaded_and_rounds_that_came_to_nothing_marked_where_the_fleet_learns(
    drawn: dict[str, Figure], finished: Finished
) -> None:
    """Rounds every 30 s; the outage of 100 to 140 s leaves out that of 120 s, at version 3."""
    panels = all_axes(drawn["online"])
    for axes in panels:
        assert [p for p in axes.patches if p.get_x() == 100.0 and p.get_width() == 40.0]
    lines = {line.get_label(): line for line in panels[1].get_lines()}
    assert max(panels[2].get_lines()[0].get_ydata()) == 60.0, "from 92 s to 152 s nothing new came"
    assert lines["skipped round"].get_xdata().tolist() == [120.0]
    assert lines["skipped round"].get_ydata().tolist() == [3.0]
    assert "lost round" not in lines
    assert finished[1]["rounds"] == {"made": 8, "lost": 0, "skipped": 1}
    assert lines["version"].get_ydata()[[99, 139, 160]].tolist() == [3, 3, 4]


def test_a_run_that_does_not_learn_has_no_figure_of_it(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "run", clients=4)
    text = (path / "scenario.yaml").read_text(encoding="utf-8")
    assert "online" in drawings_of(load_run(path))
    (path / "scenario.yaml").write_text(text[: text.index("  online:")], encoding="utf-8")
    assert "online" not in drawings_of(load_run(path))


def test_server_accuracy_is_by_group_of_what_is_held_out_and_known(finished: Finished) -> None:
    traffic = traffic_of(load_run(finished[0]))
    bins = server_accuracy_bins(traffic)
    rows = traffic.everything
    rows = rows[rows["held_out"] & rows["server_known"] & (rows["group"] == "cameras")]
    rows = rows[(rows["arrived_at_s"] >= 50) & (rows["arrived_at_s"] < 60)]
    assert bins.columns.tolist() == ["sensors", "cameras"]
    assert bins.loc[55.0, "cameras"] == pytest.approx(rows["server_right"].mean())


def test_deadlines_are_named_by_their_groups(drawn: dict[str, Figure]) -> None:
    (axes,) = all_axes(drawn["latency"])
    assert {"sensors", "cameras"} <= {text.get_text() for text in axes.texts}


def test_panels_of_deferral_share_their_ticks(drawn: dict[str, Figure]) -> None:
    panels = all_axes(drawn["deferral"])
    assert len(panels) == 3
    assert len({tuple(axes.get_yticks()) for axes in panels}) == 1
    assert {axes.get_xlabel() for axes in panels} == {"deferral rate (% sent)", ""}


def test_every_outcome_has_its_own_colour() -> None:
    assert tuple(OUTCOME_COLOURS) == OUTCOMES
    assert len(set(OUTCOME_COLOURS.values())) == len(OUTCOMES)


def test_every_score_has_its_own_look_and_strange_ones_are_drawn_too() -> None:
    looks = [(style["color"], str(style.get("linestyle"))) for style in SCORE_STYLES.values()]
    assert len(set(looks)) == len(looks)
    table = pd.DataFrame({"score": ["oracle", "brand_new", "l2h", "l2h"]})
    assert list(scores_of(table)) == ["l2h", "oracle", "brand_new"]
    assert score_name("brand_new") == "brand new"


def test_bars_of_contrast_are_the_summarys_intervals(drawn: dict[str, Figure], finished: Finished) -> None:
    sent, kept = all_axes(drawn["contrast"])
    for axes, side in ((sent, "deferred"), (kept, "local")):
        reported = finished[1]["contrast"][side]["client"]
        ends = [tuple(line.get_xdata()) for line in axes.lines]
        assert (reported["low"], reported["high"]) in ends
    assert [label.get_text() for label in sent.get_yticklabels()] == ["all groups", "sensors", "cameras"]


def test_deferring_bins_by_hand(tmp_path: Path) -> None:
    sent = {"deferred": True, "outcome": "remote", "answered_by": "server", "cost": 0.1, "sent_at_s": 1.0}
    requests = [
        {"arrived_at_s": 1.0, "attempts": 1, **sent},
        {"arrived_at_s": 2.0, "client_label": 9},
        {"arrived_at_s": 3.0, "client_label": 9, "server_label": 9, "group": "cameras"},
        {"arrived_at_s": 15.0},
    ]
    bins = deferring_bins(traffic_of(load_run(write_tiny(tmp_path, requests))))
    assert bins["middle_s"].tolist() == [5.0, 15.0]
    assert bins["deferral_rate.sensors"].tolist() == [0.5, 0.0]
    assert bins["deferral_rate.cameras"].tolist() == pytest.approx([0.0, np.nan], nan_ok=True)
    assert bins["amplification"].tolist() == pytest.approx([1.0, np.nan], nan_ok=True)
    assert bins["risk"].tolist() == pytest.approx([(0.1 + 1 + 1) / 3, 0.0])
    assert bins["oracle"].tolist() == pytest.approx([(0.0 + 0.1 + 1.0) / 3, 0.0])


def test_clients_are_in_order_of_what_the_fleet_gets(finished: Finished) -> None:
    table = accuracy_by_client(traffic_of(load_run(finished[0])))
    assert table["fleet"].size == finished[1]["fairness"]["clients"]
    assert (np.diff(table["fleet"]) >= 0).all()
    worst = table["fleet"][: -(-table["fleet"].size // 10)].mean()
    assert worst == pytest.approx(finished[1]["fairness"]["worst_decile_accuracy"])


def test_risk_of_the_run_is_the_summarys(finished: Finished) -> None:
    rate, paid = deferral_rate_and_risk(traffic_of(load_run(finished[0])))
    assert rate == finished[1]["rates"]["deferral_rate_held_out"]["value"]
    assert paid == finished[1]["risk"]["realised"]


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("outages", [(), tuple(("links:sensors", a, a + 2) for a in range(10, 110, 10))])
def test_figures_of_runs_without_and_with_many_outages(tmp_path: Path, outages: tuple[Any, ...]) -> None:
    traffic = traffic_of(load_run(write_folder(tmp_path, clients=3, horizon_s=120, outages=outages)))
    for drawing in FIGURES.values():
        assert to_svg(drawing.draw(traffic))


def test_very_many_outages_are_shaded_as_one_shape(tmp_path: Path) -> None:
    several = tuple(("server", a, a + 1) for a in range(20, 320, 2))
    traffic = traffic_of(load_run(write_folder(tmp_path, clients=3, horizon_s=320, outages=several)))
    for axes in all_axes(FIGURES["timeline"].draw(traffic)):
        assert not axes.patches
        assert [shape for shape in axes.collections if len(shape.get_paths()) == len(several)]


def test_many_steps_become_means_of_even_bins() -> None:
    rng = np.random.default_rng(3)
    at_s, values = np.append(0.0, np.sort(rng.uniform(0, 90, 5000))), rng.integers(0, 4, 5001).astype(float)
    begins, means = few_steps(at_s, values, 100.0, most=10)
    assert begins.tolist() == list(range(0, 100, 10))
    dense = values[np.searchsorted(at_s, np.linspace(0, 10, 200_001)[:-1], side="right") - 1]
    assert means[0] == pytest.approx(dense.mean(), abs=1e-3)
    assert means[-1] == values[-1]
    whole = np.diff(np.append(at_s, 100.0)) @ values / 100
    assert means.mean() == pytest.approx(whole, rel=1e-12)
    assert few_steps(at_s, values, 100.0, most=5001) == (at_s, values)


def test_a_picture_does_not_grow_with_the_outages_of_single_links(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, clients=3, horizon_s=120)
    own = [("links:sensors", at, at + 0.02) for at in np.arange(0.0, 119.0, 0.01)]
    write_outages(folder, tuple(own), client_id=[number % 3 for number in range(len(own))])
    traffic = traffic_of(load_run(folder))
    assert len(own_links_down(traffic.run)[0]) > 10_000
    assert len(to_svg(FIGURES["timeline"].draw(traffic))) < 500_000


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
    assert rate == pytest.approx(finished[1]["rates"]["deferral_rate_held_out"]["value"])
    assert promised > got["value"]
    assert operating_point(traffic, np.zeros(len(traffic.requests), dtype=bool)) is None


@pytest.mark.parametrize(("horizon_s", "width"), [(900, 10), (3600, 30), (86_400, 1800), (1e8, 1e8 / 120)])
def test_bins_are_round_and_few(horizon_s: float, width: float) -> None:
    assert bin_width_s(horizon_s, 10, 120) == width


def test_fairness_is_two_lines_a_group_however_many_clients(finished: Finished) -> None:
    """Each an empirical distribution: of the fleet, and dashed of the clients' own models."""
    traffic = traffic_of(load_run(finished[0]))
    (axes,) = all_axes(FIGURES["fairness"].draw(traffic))
    clients = accuracy_by_client(traffic)
    lines = axes.get_lines()
    assert len(lines) == 2 * len(traffic.run.groups) + 1, "and one for the legend"
    first = clients["fleet"][clients["group"] == next(iter(traffic.run.groups))]
    assert sorted(set(lines[0].get_xdata())) == sorted(set(first))
    assert lines[0].get_ydata()[-1] == 1.0


def test_long_runs_have_axes_in_hours_and_days() -> None:
    for horizon_s, unit, last in ((900.0, "s", 900.0), (86_400.0, "h", 24.0), (7 * 86_400.0, "days", 7.0)):
        axes = Figure().subplots()
        label_time(axes, horizon_s, " of arrival")
        assert axes.get_xlabel() == f"virtual time of arrival ({unit})"
        if unit != "s":
            write = axes.xaxis.get_major_formatter()
            written = [float(write(at)) for at in axes.get_xticks() if at <= horizon_s]
            assert last / 2 < max(written) <= last


def test_bins_of_accuracy_grow_where_requests_are_few() -> None:
    assert accuracy_bin_s(900.0, 40_000, 120) == 10.0
    assert accuracy_bin_s(900.0, 100, 120) >= 900.0 * 20 / 100 - 1
    assert accuracy_bin_s(900.0, 3, 120) >= 900.0


NUMBER, IDENTITY = re.compile(r"-?\d+(?:\.\d+)?"), re.compile(r"\b[mp][0-9a-f]{10}\b")


def test_a_figure_is_laid_out_once_whatever_it_is_saved_as(finished: Finished) -> None:
    """`savefig` would draw the whole figure twice, first to find places; one gives the same, and places that
    do not tell in what order the solver had its variables."""
    drawing, traffic = FIGURES["timeline"], traffic_of(load_run(finished[0]))
    with mpl.rc_context(SETTINGS):
        slow = io.BytesIO()
        drawing.draw(traffic).savefig(slow, format="svg", metadata={"Date": None, "Creator": None})
    figure, drawn = drawing.draw(traffic), []
    draw, engine = figure.draw, figure.get_layout_engine()
    assert engine is not None
    execute = engine.execute
    figure.draw = lambda renderer: (drawn.append("draw"), draw(renderer))  # type: ignore[method-assign]
    engine.execute = lambda figure: (drawn.append("layout"), execute(figure))  # type: ignore[method-assign]
    texts = [IDENTITY.sub("id", svg.decode()) for svg in (to_svg(figure), slow.getvalue())]
    once, twice = (NUMBER.sub("number", text) for text in texts)
    assert once == twice
    once_at, twice_at = (np.array(NUMBER.findall(text), dtype=float) for text in texts)
    np.testing.assert_allclose(once_at, twice_at, atol=2e-6)
    for axes in figure.axes:
        place = axes.get_position(original=True).get_points()
        np.testing.assert_array_equal(place, np.round(place, 9))
    assert drawn == ["layout", "draw"]
    assert to_png(figure).startswith(b"\x89PNG")
    assert to_pdf(figure).startswith(b"%PDF")
    assert drawn == ["layout", "draw", "draw", "draw"]


def test_marks_of_latency_are_the_summarys_percentiles(tmp_path: Path) -> None:
    """Six in ten are answered within 3 s; the others are open at the end, so no one knows the p95 and p99."""
    answered = [{"arrived_at_s": 0.1 * k, "answered_at_s": 0.1 * k + 1 + k % 3} for k in range(60)]
    still_open = [
        {"arrived_at_s": 6 + 0.1 * k, "answered_at_s": np.nan, "outcome": "in_flight"} for k in range(40)
    ]
    run = load_run(write_tiny(tmp_path / "run", [*answered, *still_open]))
    told = summarise(run)["latency_s"]["final"]
    assert (told["p50"], told["p95"], told["p99"]) == (3.0, None, None)
    (axes,) = all_axes(FIGURES["latency"].draw(traffic_of(run)))
    in_ink = [line for line in axes.get_lines() if line.get_color() == INK and line.get_xdata().size]
    marks = [line.get_xydata().tolist() for line in in_ink if line.get_marker() != "None"]
    assert marks == [[[told["p50"], 0.5]]]
    (curve,) = [line for line in in_ink if line.get_marker() == "None"]
    assert np.nanmin(curve.get_ydata()) > 0.39  # the line ends where nothing is known any more


def test_a_figure_does_not_grow_with_outages_that_no_eye_tells_apart(tmp_path: Path) -> None:
    several = tuple(("server", begin, begin + 0.05) for begin in np.arange(1.0, 319.0, 0.1).tolist())
    path = write_folder(tmp_path / "run", clients=3, horizon_s=320)
    write_outages(path, several)
    traffic = traffic_of(load_run(path))
    for name in ("timeline", "outcomes"):
        for axes in all_axes(FIGURES[name].draw(traffic)):
            paths = [path for shape in axes.collections for path in shape.get_paths()]
            assert len(axes.patches) + len(paths) < len(several) / 2, name
            (shaded,) = [path for path in paths if path.get_extents().width == pytest.approx(317.95)]
            assert shaded.get_extents().x0 == 1.0


def test_gaps_between_very_many_outages_stay_where_they_can_be_seen() -> None:
    axes = Figure().subplots()
    early = [(at, at + 2.0) for at in range(200)]  # each overlaps the next
    shade(axes, [*early, (900.0, 1_000.0)], 1.0, 1.5, color="red")
    (shaded,) = axes.collections
    boxes = [path.get_extents().get_points().tolist() for path in shaded.get_paths()]
    assert boxes == [[[0.0, 1.0], [201.0, 1.5]], [[900.0, 1.0], [1_000.0, 1.5]]]


def test_a_label_of_a_share_says_where_it_stands() -> None:
    """Steps of 2.5 points: rounded to whole ones, 82.5 and 77.5 would both lie."""
    write = as_percent()
    assert [write(share) for share in (0.825, 0.775, 0.3, 1.0, 0.0)] == [
        "82.5%",
        "77.5%",
        "30%",
        "100%",
        "0%",
    ]


def test_hours_are_labelled_as_clocks_divide_a_day() -> None:
    assert time_ticks(24.0, "h").tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    assert time_ticks(4.0, "h").tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert np.diff(time_ticks(48.0, "h")).tolist() == [6] * 8


def test_a_run_that_answers_at_once_and_sends_nothing_has_no_empty_axes(tmp_path: Path) -> None:
    """Latencies of 0 vanish from a logarithmic axis, and there is no ratio of attempts to what was sent."""
    requests = [{"arrived_at_s": float(k)} for k in range(42)]
    traffic = traffic_of(load_run(write_tiny(tmp_path, requests, horizon_s=86_400)))
    (tail,) = FIGURES["latency"].draw(traffic).axes
    assert tail.get_xscale() == "linear"
    low, high = tail.get_xlim()
    assert any(low < np.nanmax(line.get_xdata()) < high for line in tail.get_lines() if len(line.get_xdata()))
    panels = FIGURES["deferring"].draw(traffic).axes
    assert len(panels) == 2
    for axes in panels:
        known = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()]
        assert any(
            np.isfinite(y).sum() > 1 or line.get_marker() == "o"
            for y, line in zip(known, axes.get_lines(), strict=True)
        )


def test_every_colour_has_one_for_dark_screens(drawn: dict[str, Figure]) -> None:
    """But for words on shades, which stay; a rule for each stands before anything that is drawn."""
    known = {colour.lower() for colour in (*DARK, ON_DARK, ON_LIGHT)}
    for name, figure in drawn.items():
        svg = to_svg(figure).decode()
        used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg))
        assert used <= known, name
        rules = for_dark(svg.encode()).decode().partition('<g id="figure_1">')[0]
        assert all(f'"fill: {colour}"' in rules and f'"stroke: {colour}"' in rules for colour in used), name
    assert len(set(DARK.values())) == len(DARK) - 1, "ink is black; else what is told apart stays so"
