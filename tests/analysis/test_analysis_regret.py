"""Regret: against what was best in hindsight, of requests that are counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_folders import write_folder

import analysis
from analysis.metrics.measures import realised_risk
from analysis.metrics.regret import best_threshold, regret_of
from analysis.reports.regret import so_far
from analysis.run_folder.traffic import traffic_of


def test_the_best_threshold_sends_what_costs_less_sent_than_kept() -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4])
    kept, sent = np.array([0.0, 1.0, 0.0, 1.0]), np.full(4, 0.3)
    assert best_threshold(score, kept, sent) == pytest.approx(0.1)  # 0 + 3·0.3; from 0.3 on: 1 + 0.3
    assert best_threshold(score, kept, np.full(4, 0.6)) == pytest.approx(0.3)  # 1 + 0.6 of 1.8 and 2
    assert best_threshold(score, np.ones(4), sent) == -np.inf
    assert best_threshold(score, kept, np.full(4, 2.0)) == np.inf


def test_alike_scores_are_sent_or_kept_together() -> None:
    score = np.array([0.5, 0.5, 0.5])
    assert best_threshold(score, np.array([0.0, 0.0, 1.0]), np.full(3, 0.3)) in (-np.inf, 0.5)
    assert best_threshold(score, np.array([0.0, 0.0, 1.0]), np.full(3, 0.3)) == -np.inf  # 0.9 and 1


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_costs_less(seed: int) -> None:
    draw = np.random.default_rng(seed)
    score = np.round(draw.random(50), 1)
    kept, sent = draw.integers(0, 2, 50).astype(float), draw.random(50)

    def cost(at: float) -> float:
        return float(np.where(score > at, sent, kept).sum())

    least = cost(best_threshold(score, kept, sent))
    assert least == pytest.approx(min(map(cost, [-np.inf, *score, np.inf])))


def test_regret_of_a_run_is_what_was_paid_over_the_best_rule_that_knows_the_outage(tmp_path: Path) -> None:
    run = analysis.load_run(write_folder(tmp_path, clients=3, horizon_s=120, outages=(("server", 40, 60),)))
    traffic, found = traffic_of(run), regret_of(run)
    counted = traffic.known & np.asarray(traffic.requests["server_known"] & traffic.requests["is_decided"])
    assert len(found) == counted.sum()
    assert found["arrived_at_s"].is_monotonic_increasing
    paid = realised_risk(traffic)[counted]
    kept = 1.0 - traffic.requests["client_right"].to_numpy(dtype=float)[counted]
    in_outage = ((found["arrived_at_s"] >= 40) & (found["arrived_at_s"] < 60)).to_numpy()
    np.testing.assert_allclose(found["regret"][in_outage], (paid - kept)[in_outage])
    assert found["regret"][~in_outage].sum() >= (paid - kept)[~in_outage].sum() - 1e-9  # one rule keeps all


def test_regret_so_far_counts_who_has_arrived() -> None:
    told = so_far(np.array([1.0, 2.0, 2.0]), np.array([0.5, 1.0, -0.25]), np.array([0.0, 1.0, 1.5, 2.0, 9.0]))
    assert told.tolist() == [0.0, 0.5, 0.5, 1.25, 1.25]
