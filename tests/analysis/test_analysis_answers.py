"""Accuracy, contrast, risk and fairness on tables small enough to work out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folders import write_tiny

from analysis import load_run, summarise
from analysis.figures.deferral import operating_point
from analysis.figures.timeline import accuracy_bins
from analysis.metrics.by_client import (
    accuracy_by_client,
    shrunk,
    worst_decile,
    worst_decile_by_chance,
)
from analysis.metrics.summary import summary_of
from analysis.run_folder.traffic import traffic_of

REMOTE = {
    "deferred": True,
    "outcome": "remote",
    "answered_by": "server",
    "attempts": 1,
    "cost": 0.1,
    "sent_at_s": 50.0,
    "started_at_s": 51.0,
    "finished_at_s": 52.0,
    "replica": 0,
    "batch_size": 1,
}
WRONG = 9
# client right, client wrong; sent: server right where the client is wrong, both wrong; nobody answered
FIVE = [
    {"sample_id": 0},
    {"sample_id": 1, "client_label": WRONG},
    {"sample_id": 2, "client_label": WRONG, **REMOTE},
    {"sample_id": 3, "client_label": WRONG, "server_label": WRONG, **REMOTE, "client_id": 1},
    {"sample_id": 4, **REMOTE, "outcome": "timed_out", "answered_by": "none", "attempts": 1, "client_id": 1},
]


@pytest.fixture
def summary(tmp_path: Path) -> dict:
    return summarise(load_run(write_tiny(tmp_path, FIVE)))


def test_accuracy_counts_the_unanswered_as_wrong_only_over_all(summary: dict) -> None:
    held_out = summary["accuracy"]["held_out"]
    assert held_out["all"]["value"] == 2 / 5
    assert held_out["answered"]["value"] == 2 / 4
    assert held_out["by_answerer"]["client"]["value"] == 1 / 2
    assert held_out["by_answerer"]["server"]["value"] == 1 / 2
    assert held_out["client_accuracy"]["value"] == 2 / 5
    assert held_out["server_accuracy"]["value"] == 4 / 5
    assert held_out["gain"]["value"] == pytest.approx(0.0)
    assert held_out["all"]["n"] == held_out["all"]["samples"] == 5
    assert summary["accuracy"]["training_half"]["all"]["value"] is None


def test_both_halves_are_kept_apart(tmp_path: Path) -> None:
    halves = [{"held_out": True, "client_label": WRONG}, {"held_out": False}, {"held_out": False}]
    accuracy = summarise(load_run(write_tiny(tmp_path, halves)))["accuracy"]
    assert accuracy["held_out"]["all"]["value"] == 0.0
    assert accuracy["training_half"]["all"]["value"] == 1.0


def test_contrast_compares_both_models_on_both_sides(summary: dict) -> None:
    contrast = summary["contrast"]
    assert contrast["deferred"]["client"]["value"] == pytest.approx(1 / 3)
    assert contrast["deferred"]["server"]["value"] == pytest.approx(2 / 3)
    assert contrast["local"]["client"]["value"] == 1 / 2
    assert contrast["local"]["server"]["value"] == 1.0


def test_rates(summary: dict) -> None:
    assert summary["rates"]["deferral_rate"]["value"] == 3 / 5
    assert summary["rates"]["remote_answer_rate"] == 2 / 5
    assert summary["rates"]["answered_if_sent"] == pytest.approx(2 / 3)


def test_risk_is_what_was_paid_and_excess_is_above_an_oracle(summary: dict) -> None:
    # paid: 0, 1, 0.1, 0.1 + 1, 0.1 + 1; oracle: 0, min(1, 0.1), min(1, 0.1), min(1, 1.1), 0
    assert summary["risk"]["realised"]["value"] == pytest.approx((0 + 1 + 0.1 + 1.1 + 1.1) / 5)
    assert summary["risk"]["oracle"]["value"] == pytest.approx((0 + 0.1 + 0.1 + 1 + 0) / 5)
    assert summary["risk"]["excess"]["value"] == pytest.approx(2.1 / 5)


def test_wrong_server_answers_weigh_c_1(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, FIVE, costs=("c_1: 1.0", "c_1: 3.0"))
    risk = summarise(load_run(folder))["risk"]
    assert risk["realised"]["value"] == pytest.approx((0 + 1 + 0.1 + 3.1 + 1.1) / 5)
    assert risk["oracle"]["value"] == pytest.approx((0 + 0.1 + 0.1 + 1 + 0) / 5)


def test_requests_in_flight_have_no_risk_yet(tmp_path: Path) -> None:
    waiting = {**REMOTE, "outcome": "in_flight", "answered_by": "none"}
    risk = summarise(load_run(write_tiny(tmp_path, [{}, waiting])))["risk"]
    assert risk["realised"] == {"value": 0.0, "low": None, "high": None, "n": 1, "samples": 1, "clients": 1}


def test_requests_in_flight_are_neither_right_nor_wrong_anywhere(tmp_path: Path) -> None:
    waiting = {**REMOTE, "outcome": "in_flight", "answered_by": "none"}
    traffic = traffic_of(load_run(write_tiny(tmp_path, [{}, waiting, waiting | {"client_id": 1}])))
    summary = summary_of(traffic)
    whole, held_out = summary["outages"]["whole_run"], summary["accuracy"]["held_out"]
    assert summary["counts"]["requests"] == whole["requests"] == 3
    assert summary["run"]["held_out_requests"] == held_out["all"]["n"] == whole["accuracy"]["n"] == 1
    assert held_out["all"]["value"] == whole["accuracy"]["value"] == 1.0
    assert held_out["gain"]["value"] == 0.0
    assert whole["answered_share"] == summary["goodput"]["answered_in_time_share"] == 1.0
    assert (summary["fairness"]["clients"], summary["fairness"]["left_out"]) == (0, 1)
    assert operating_point(traffic, traffic.known | True)[2]["n"] == 1
    assert accuracy_bins(traffic)["fleet"].tolist() == [1.0]


def test_fairness_is_over_clients_that_asked_often_enough(tmp_path: Path) -> None:
    rows = [{"client_id": 0, "correct": k < 8} for k in range(10)]
    rows += [{"client_id": 1, "correct": False} for _ in range(10)]
    rows += [{"client_id": 2} for _ in range(9)]
    reported = summary_of(traffic_of(load_run(write_tiny(tmp_path, rows))))["fairness"]
    assert (reported["clients"], reported["left_out"]) == (2, 1)
    assert reported["jain"] == pytest.approx(0.5)
    assert reported["worst_decile_accuracy"] == 0.0


def test_the_worst_of_alike_clients_are_no_worse() -> None:
    """200 clients that are right one time in four, ten requests each: the worst tenth looks far worse."""
    right = np.random.default_rng(3).random((200, 10)) < 0.25
    table = pd.DataFrame({"fleet": right.mean(axis=1), "group": "a", "witnesses": 10.0})
    assert worst_decile(table["fleet"].to_numpy()) < 0.1
    assert worst_decile_by_chance(table) == pytest.approx(worst_decile(table["fleet"].to_numpy()), abs=0.02)
    assert worst_decile(shrunk(table)) == pytest.approx(0.25, abs=0.05)


def test_the_worst_of_unlike_clients_stay_apart() -> None:
    """Half of them right at 0.9, half at 0.4, over 100 witnesses each: little of that is chance."""
    truth = np.repeat([0.9, 0.4], 100)
    right = np.random.default_rng(4).binomial(100, truth) / 100
    table = pd.DataFrame({"fleet": right, "group": "a", "witnesses": 100.0})
    assert worst_decile(shrunk(table)) == pytest.approx(worst_decile(right), abs=0.02)
    assert worst_decile_by_chance(table) == pytest.approx(0.56, abs=0.03)


def test_one_sample_asked_often_is_one_witness(tmp_path: Path) -> None:
    rows = [{"client_id": 0, "sample_id": 0} for _ in range(20)]
    rows += [{"client_id": 1, "sample_id": k % 5} for k in range(20)]
    found = accuracy_by_client(traffic_of(load_run(write_tiny(tmp_path, rows))))
    assert dict(zip(found["client_id"], found["witnesses"], strict=True)) == {0: 1.0, 1: 5.0}


def test_without_a_client_that_asked_often_fairness_says_nothing(summary: dict) -> None:
    reported = summary["fairness"]
    assert (reported["clients"], reported["jain"], reported["worst_decile_accuracy"]) == (0, None, None)


def test_counts_of_outcomes_sum_to_the_requests_after_the_warm_up(tmp_path: Path) -> None:
    summary = summarise(load_run(write_tiny(tmp_path, FIVE, warm_up_s=2)))
    counts = summary["counts"]
    assert counts["requests"] == 3 == sum(counts["outcome"].values()) == sum(counts["server_cause"].values())
    assert counts["outcome"]["remote"] == 2
    assert summary["run"]["requests_in_warm_up"] == 2
