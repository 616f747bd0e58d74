"""The law of servers that switch models under overload, against runs and by hand."""

from __future__ import annotations

import pytest
from predicted_runs import predict_run

from analysis.theory.switching import share_of_small

SHORTER = "horizon_s=400"


def test_the_share_by_hand():
    """Forty a second, fifty and fifteen milliseconds: 40·(f·15 + (1 − f)·50) ms = 1."""
    share = share_of_small(40.0, 0.015, 0.05, 1)
    assert share == pytest.approx(25 / 35)
    assert 40.0 * (share * 0.015 + (1 - share) * 0.05) == pytest.approx(1.0)


@pytest.mark.parametrize("rate_hz", ["0.8", "1.25", "1.9"])
def test_the_small_model_answers_as_many_as_keep_the_server_busy(rate_hz, tmp_path):
    rate = f"fleet.*.arrivals.process={{kind: poisson, rate_hz: {rate_hz}}}"
    laws = predict_run(tmp_path, "switchable", rate, SHORTER)
    assert 0.0 < laws.one("switching", "share of small").predicted < 1.0
    laws.assert_agree("switching")


def test_two_replicas_and_another_hysteresis(tmp_path):
    changes = ("servers.0.replicas=2", "servers.0.switch.above=15", "servers.0.switch.below=5")
    rate = "fleet.*.arrivals.process={kind: poisson, rate_hz: 2.0}"
    laws = predict_run(tmp_path, "switchable", rate, "servers.0.queue_limit=80", *changes, SHORTER)
    laws.assert_agree("switching")


def test_it_is_silent_where_the_large_model_serves_all_and_where_the_small_one_cannot(tmp_path):
    for place, rate_hz in enumerate((0.4, 4.0)):
        rate = f"fleet.*.arrivals.process={{kind: poisson, rate_hz: {rate_hz}}}"
        assert "switching" not in predict_run(tmp_path / str(place), "switchable", rate, SHORTER).by_law
