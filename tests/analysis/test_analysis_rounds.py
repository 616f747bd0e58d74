"""What is told of several models that learn during the run: rounds by hand, ages, figure, words, the law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from played_runs import played

import analysis
from analysis.figures import online
from analysis.figures.alt import online as words_of_figure
from analysis.figures.learning import owners
from analysis.figures.online import server_accuracy_bins
from analysis.metrics.rounds import in_force_s, learners, mean_age_s
from analysis.reports.sentences import sentences
from analysis.run_folder.traffic import traffic_kept

Played = tuple[Path, dict]


def test_each_model_has_its_rounds_and_its_age(of_rounds: Played) -> None:
    """Rounds at 10, 20, …, 110 take two seconds. The cloud is down from 41 to 65: that of 40 is lost, those
    of 50 and 60 are skipped, so that nothing new comes from 32 to 72."""
    of_models = of_rounds[1]["rounds"]["by_model"]
    fates = {name: (one["made"], one["lost"], one["skipped"]) for name, one in of_models.items()}
    assert fates == {"small": (11, 0, 0), "large": (8, 1, 2)}
    assert of_rounds[1]["rounds"]["made"] == 19
    # From 10 s on: 10 to 12 s old at first, gaps of 10 s, 8 s at the end; a gap adds half its square.
    assert of_models["small"]["age_mean_s"] == pytest.approx((22 + 10 * 50 + 32) / 110)
    large = 22 + 2 * 50 + 800 + 4 * 50 + 32  # a gap of 40 s among them
    assert of_models["large"]["age_mean_s"] == pytest.approx(large / 110)


def test_requests_tell_the_version_of_the_model_that_answered(of_rounds: Played) -> None:
    run = analysis.load_run(of_rounds[0])
    rows = pd.concat(
        [pd.read_parquet(path) for path in sorted((of_rounds[0] / "requests").glob("*.parquet"))]
    )
    rows = rows[rows["started_at_s"].notna()]
    for name, target in learners(run).items():
        mine = rows[rows["model"] == name]
        version = np.searchsorted(in_force_s(run, target), mine["started_at_s"], side="right") - 1
        assert len(mine) > 100
        assert (mine["server_version"].to_numpy() == version).all()


def test_the_figure_has_a_line_for_each_model(of_rounds: Played) -> None:
    run = analysis.load_run(of_rounds[0])
    figure = online(traffic_kept(run))
    right, versions, ages = figure.axes[:3]
    bins = server_accuracy_bins(traffic_kept(run))
    rows = traffic_kept(run).everything
    mine = rows[
        rows["held_out"] & rows["deferred"] & (rows["model"] == "large") & (rows["arrived_at_s"] < 10)
    ]
    assert bins.columns.tolist() == ["small", "large"]
    assert bins["large"].iloc[0] == pytest.approx(mine["server_right"].mean())
    assert [line.get_label() for line in right.get_lines()][:2] == ["small", "large"]
    assert right.get_ylabel().startswith("right when asked")
    lines = {line.get_label(): line for line in versions.get_lines()}
    assert max(lines["small"].get_ydata()) == 11
    assert max(lines["large"].get_ydata()) == 8
    assert lines["lost round"].get_xdata().tolist() == [41.0]
    assert lines["lost round"].get_ydata().tolist() == [3.0]
    assert lines["skipped round"].get_xdata().tolist() == [50.0, 60.0]
    ages_of = {line.get_label(): max(line.get_ydata()) for line in ages.get_lines()}
    assert (ages_of["small"], ages_of["large"]) == (12.0, 40.0)
    told = words_of_figure(traffic_kept(run), of_rounds[1])
    assert "small goes through 11 versions, with 0 rounds lost" in told
    assert "large goes through 8 versions, with 1 rounds lost and 2 skipped" in told


def test_losses_before_the_run_are_drawn_of_each_model(of_rounds: Played) -> None:
    run = analysis.load_run(of_rounds[0])
    assert owners(run) == ["", "sensors", "cameras", "small", "large"]


def test_words_tell_of_each_model(of_rounds: Played) -> None:
    (told,) = [part for part in sentences(of_rounds[1]) if "rounds of training" in part]
    assert "Of 11 rounds of training during the run 11 made a new version of small" in told
    assert "Of 11 rounds of training during the run 8 made a new version of large; 2 were skipped" in told
    assert "1 lost" in told
    assert "behind what is new to them" in told


def test_one_that_is_named_alone_is_told_alone(tmp_path: Path) -> None:
    path, summary = played("rounds_of_servers", tmp_path / "run", ("training.online.models=[small]",))
    fates = {"made": 11, "lost": 0, "skipped": 0}
    assert {name: summary["rounds"][name] for name in fates} == fates
    assert list(summary["rounds"]["by_model"]) == ["small"]
    (told,) = [part for part in sentences(summary) if "rounds of training" in part]
    assert "Of 11 rounds of training during the run 11 made a new version of small; its version" in told
    run = analysis.load_run(path)
    assert list(learners(run)) == ["small"]
    assert mean_age_s(run, "model:small") == pytest.approx((22 + 10 * 50 + 32) / 110)
