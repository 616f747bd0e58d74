"""Tables and figures of a study: which rows they are made of, and when a run has them at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from run_folders import write_folder
from study_folders import GROUPS, SENT

from analysis import load_run
from analysis.figures import FIGURES, drawings_of
from analysis.figures.style import SERIES
from analysis.reports.contrast_table import HEAD, contrast_rows, markdown
from analysis.run_folder.run import Run
from analysis.run_folder.study_rows import own_setting, rows_of
from analysis.run_folder.traffic import Traffic, traffic_of

STUDY = [name for name in FIGURES if name.startswith("study_")]


@pytest.fixture(scope="module")
def traffic(finished: tuple[Path, dict[str, object]]) -> Traffic:
    return traffic_of(load_run(finished[0]))


@pytest.fixture(scope="module")
def run(traffic: Traffic) -> Run:
    return traffic.run


def panels(traffic: Traffic, name: str) -> list[Axes]:
    return FIGURES[name].draw(traffic).axes


def test_the_own_setting_is_the_scenarios(run: Run) -> None:
    own = {"score": "l2h", "form": "nonnegative", "sync_every": "1", "c_e": 0.1, "c_1": 1.0}
    assert own_setting(run, "sensors") == own
    assert len(rows_of(run, run.study, "sensors")) == 1
    assert len(rows_of(run, run.study, "sensors", "c_e", "form")) == 4


def test_the_contrastive_table_has_a_row_for_every_cost_and_form(run: Run) -> None:
    rows = contrast_rows(run)
    assert len(rows) == 2 * 2 * 2 * 2
    assert rows[0][: len(HEAD)] == (
        *("sensors", "nonnegative", "1", "0.1", "50.0"),
        *("100.0", "100.0", "+0.0", "40.0", "80.0", "+40.0"),
        *("90.0", "0.150", "0.100"),
    )
    assert markdown(run).count("\n") == len(rows) + 1


def test_lines_of_accuracy_go_over_the_prices(traffic: Traffic) -> None:
    for axes in panels(traffic, "study_accuracy"):
        of_costs = [line for line in axes.lines if line.get_marker() == "o"]
        assert len(of_costs) == 4  # c_1 and form
        assert {line.get_color() for line in of_costs} == set(SERIES[:2])
        assert all(list(line.get_xdata()) == [SENT[0.1], SENT[0.4]] for line in of_costs)
        (random,) = (line for line in axes.lines if line.get_label() == "sent at random")
        assert list(random.get_ydata()) == pytest.approx([0.7, 0.9])


def test_rates_are_against_prices(traffic: Traffic) -> None:
    (line, *_) = panels(traffic, "study_rates")[0].lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0.1, 0.4], [0.5, 0.2])


def test_risk_is_shown_between_its_bounds(traffic: Traffic) -> None:
    lines = {line.get_label(): line for line in panels(traffic, "study_risk")[0].lines}
    assert set(lines) == {"nonnegative", "released", "nothing sent", "all sent", "oracle (bound)"}
    assert list(lines["nothing sent"].get_ydata()) == pytest.approx([0.3, 0.3])
    assert list(lines["all sent"].get_ydata()) == pytest.approx([0.2, 0.5])
    assert list(lines["nonnegative"].get_ydata()) == pytest.approx([0.15, 0.30])


def test_there_is_a_line_of_losses_for_each_interval(traffic: Traffic) -> None:
    for axes in panels(traffic, "study_losses"):
        assert [line.get_label() for line in axes.lines] == ["S = 1", "S = an epoch"]


def test_the_coin_is_drawn_where_it_ends_up(traffic: Traffic) -> None:
    axes = panels(traffic, "study_bounded")[0]
    coin = next(line for line in axes.lines if "coin" in str(line.get_label()))
    np.testing.assert_allclose(coin.get_xdata(), np.linspace(0.1, 0.9, 9))


def test_both_sides_have_a_row_for_each_group_and_price(traffic: Traffic) -> None:
    sent, kept = panels(traffic, "study_contrast")
    assert [text.get_text() for text in sent.get_yticklabels()] == [
        f"{group}, cₑ = {c_e:g}" for group in GROUPS for c_e in SENT
    ]
    assert list(sent.lines[0].get_xdata()) == [0.4] * 4
    assert all(
        client <= server for client, server in zip(*(line.get_xdata() for line in kept.lines), strict=True)
    )


def test_a_run_without_a_study_has_none_of_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "plain")
    text = (folder / "scenario.yaml").read_text()
    (folder / "scenario.yaml").write_text(text.replace("study: {c_e: [0.1, 0.4]}", "study: null"))
    run = load_run(folder)
    assert contrast_rows(run) == []
    assert not set(STUDY) & set(drawings_of(run))


def test_the_report_leads_with_the_study(finished: tuple[Path, dict[str, object]]) -> None:
    page = (finished[0] / "report.html").read_text()
    order = ("summary", "timeline", "study", "tables", STUDY[0], STUDY[-1], "outcomes")
    places = [page.index(f'<section id="{name}"') for name in order]
    assert places == sorted(places)
