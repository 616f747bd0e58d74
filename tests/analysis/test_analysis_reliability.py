"""Reliability: the error of calibration by hand, and what its intervals cover in simulations."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from run_folders import write_folder

import analysis.metrics.reliability
from analysis import load_run
from analysis.figures import FIGURES, drawings_of
from analysis.metrics.reliability import calibration_error, estimates_of, reliability_bins
from analysis.metrics.summary import summarise
from analysis.run_folder.traffic import traffic_of

Finished = tuple[Path, dict[str, Any]]


def said(estimated: Any, right: Any) -> pd.DataFrame:
    """One client that speaks of each sample once."""
    count = len(right)
    return pd.DataFrame(
        {
            "sample_id": np.arange(count),
            "weight": 1.0,
            "estimated": estimated,
            "right": np.asarray(right, float),
        }
    )


def test_the_error_by_hand() -> None:
    """Of ten said to be right with 0.85, nine are; of ten with 0.35, one: (0.05 + 0.25) / 2."""
    table = said([0.85] * 10 + [0.35] * 10, [1] * 9 + [0] + [1] + [0] * 9)
    assert calibration_error(table, "a")["value"] == pytest.approx(0.15)
    points = reliability_bins(table)
    assert points["estimated"].tolist() == pytest.approx([0.35, 0.85])
    assert points["right"].tolist() == [0.1, 0.9]
    assert points["samples"].tolist() == [10, 10]
    assert (points["low"] < points["right"]).all()
    assert (points["right"] < points["high"]).all()


def test_clients_weigh_what_they_are_and_a_sample_is_one_witness() -> None:
    half = said([0.5] * 40, [1, 0] * 20)
    twice = pd.concat([half.assign(weight=0.25), half.assign(weight=0.75)])
    reported = [calibration_error(table, "a") for table in (half, twice)]
    assert reported[0] == pytest.approx(reported[1])
    assert reported[0]["samples"] == 40


def test_too_few_samples_tell_nothing() -> None:
    assert calibration_error(said([0.5] * 9, [1] * 9), "a")["value"] is None


@pytest.mark.slow
def test_intervals_cover() -> None:
    """180 samples, as many as digits hold out. Calibrated estimates: their tenths' intervals cover, and their
    error stays below what chance is said to do, 95% of the time. Overconfident ones: that is found out; and
    the interval of the error covers, by more than 95%, as it promises."""
    draw, covers, below, found, error = np.random.default_rng(3), [], [], [], []
    for index in range(250):
        sure = draw.beta(2, 1, 180)
        luck = draw.random(180)
        points = reliability_bins(said(sure, luck < sure))
        judged = points[points["samples"] >= 10]
        covers += ((judged["low"] <= judged["estimated"]) & (judged["estimated"] <= judged["high"])).tolist()
        calibrated, bold = (calibration_error(said(sure, luck < p), str(index)) for p in (sure, sure - 0.2))
        below.append(calibrated["value"] <= calibrated["by_chance"])
        found.append(bold["value"] > bold["by_chance"])
        truth = np.mean(sure - np.clip(sure - 0.2, 0, 1))
        error.append(bold["low"] <= truth <= bold["high"])
    assert 0.93 <= np.mean(covers) <= 0.98
    assert 0.92 <= np.mean(below) <= 0.975
    assert np.mean(found) > 0.95
    assert np.mean(error) >= 0.95


def test_the_summary_and_the_figure_tell_of_every_source(finished: Finished) -> None:
    run, rows = load_run(finished[0]), finished[1]["reliability"]
    assert [(row["group"], row["source"]) for row in rows] == [
        (group, source) for group in ("sensors", "cameras") for source in ("softmax", "plug_in")
    ]
    softmax, plug_in = rows[:2]
    assert softmax["value"] <= softmax["by_chance"], "as sure as it may be"
    assert plug_in["value"] > plug_in["by_chance"], "too sure"
    assert plug_in["value"] == pytest.approx(plug_in["estimated"] - plug_in["right"])
    figure = FIGURES["reliability"].draw(traffic_of(run))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert [label.splitlines()[0] for label in labels] == ["as said", "softmax", "plug-in"]
    assert len(list(estimates_of(run))) == len(rows)


def test_a_folder_without_estimates_says_nothing_of_them(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "run", clients=4)
    assert "reliability" in drawings_of(load_run(path))
    (path / "reliability.parquet").unlink()
    assert "reliability" not in drawings_of(load_run(path))
    assert summarise(load_run(path))["reliability"] == []


@pytest.mark.parametrize("speakers", [1, 3])
def test_many_samples_are_summed_up_by_their_moments(monkeypatch: pytest.MonkeyPatch, speakers: int) -> None:
    """Bounds from mean and covariance are those of the bootstrap, within the error of 500 replicates."""
    draw, samples = np.random.default_rng(5), 4000
    table = pd.DataFrame(
        {
            "sample_id": np.tile(np.arange(samples), speakers),
            "weight": draw.random(samples * speakers),
            "estimated": draw.random(samples * speakers),
        }
    )
    table["right"] = (np.tile(draw.random(samples), speakers) < 0.97 * table["estimated"]).astype(float)
    drawn = calibration_error(table, "a")
    monkeypatch.setattr(analysis.metrics.reliability, "MANY", 0)
    summed = calibration_error(table, "a")
    assert summed["value"] == drawn["value"]
    assert summed["by_chance"] == pytest.approx(drawn["by_chance"], rel=0.1)
    assert summed["high"] - summed["value"] == pytest.approx(drawn["high"] - drawn["value"], rel=0.1)


def test_a_million_samples_take_no_memory_per_replicate() -> None:
    """A replicate of each sample would take 4 GB: room for the sums alone is asked for, 240 MB a table."""
    draw = np.random.default_rng(6)
    estimated = draw.random(200_000)
    tracemalloc.start()
    found = calibration_error(said(estimated, draw.random(200_000) < estimated), "a")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["low"] <= 0.01
    assert most < 200_000 * 10 * 8 * 12
