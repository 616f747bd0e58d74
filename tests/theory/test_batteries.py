"""The law of batteries against runs: how long they last, and what they have left."""

from __future__ import annotations

import numpy as np
import pytest
from predicted_runs import predict_run


@pytest.mark.parametrize("price", ["always_remote", "always_local"])
def test_lifetimes_agree(price, tmp_path):
    """Who asks always runs empty within the run; who asks never does not."""
    changes = f"fleet.*.policy={{score: random, price: {{kind: {price}}}}}"
    laws = predict_run(tmp_path, "battery", changes, "fleet.*.clients=40")
    quantity = "lifetime" if price == "always_remote" else "left at the end"
    (found,) = laws.of("batteries", quantity)
    assert found.predicted > 0
    laws.assert_agree("batteries")


@pytest.mark.parametrize("rate_hz", ["0.1", "0.4", "1.5"])
def test_tails_that_overlap_are_paid_once(rate_hz, tmp_path):
    """At a high rate the radio listens nearly always, at a low one for a whole tail after each payload."""
    policy = "fleet.*.policy={score: random, price: {kind: threshold, at: 0.5}}"
    rate = f"fleet.*.arrivals.process={{kind: poisson, rate_hz: {rate_hz}}}"
    laws = predict_run(tmp_path, "battery", policy, rate, "fleet.*.clients=40")
    laws.assert_agree("batteries")


def test_lifetimes_are_the_mean_over_models_that_send_unlike_shares(tmp_path):
    """Two of four send all, two about a third: they do not last as long as four that send two thirds."""
    policy = "fleet.*.policy={score: confidence, price: {kind: threshold, at: 0.5}}"
    unlike = np.array([[9], [9], [0], [0]])
    laws = predict_run(tmp_path, "battery", policy, "fleet.*.clients=40", scores=lambda score: score + unlike)
    found = laws.one("batteries", "lifetime")
    assert abs(found.predicted - found.simulated.value) < 2 * found.margin


def test_laws_that_know_of_no_silence_are_silent(tmp_path):
    policy = "fleet.*.policy={score: random, price: {kind: always_remote}}"
    one = (
        "server.replicas=1",
        "server.max_batch=1",
        "fleet.*.arrivals.process={kind: poisson, rate_hz: 0.1}",
    )
    laws = predict_run(tmp_path, "battery", policy, *one, "fleet.*.clients=20")
    assert laws.by_law.keys() & {"waiting", "backlog", "sharing", "shared_links"} == set()
    laws.assert_agree("batteries")
