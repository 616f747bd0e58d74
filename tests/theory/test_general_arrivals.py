"""Arrivals that are not Poisson: one client whose gaps are Gamma. Kingman's bound, and Erlang's arrivals.
As in `test_closed_forms`; waits are in units of the mean service time."""

from __future__ import annotations

import json

import pytest
from agreement import assert_agreement, replicate, with_truth
from formulas import kingman, mean_wait_of_erlang_arrivals
from queues import MEAN_S, queue
from scipy import stats
from test_closed_forms import mean_wait

ONE_CLIENT = "fleet.devices.clients=1"


def gamma_arrivals(load: float, cv: float) -> str:
    return (
        f"fleet.devices.arrivals.process={json.dumps({'kind': 'gamma', 'rate_hz': load / MEAN_S, 'cv': cv})}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("service_cv", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
def test_the_mean_wait_stays_below_kingmans_bound(cv, service_cv):
    """W <= load (ca² / load² + cs²) / (2 (1 - load)) (Kingman 1962), and not far below."""
    load = 0.8
    time = {"kind": "gamma", "mean_s": MEAN_S, "cv": service_cv} if service_cv else MEAN_S
    scenario = queue(load, gamma_arrivals(load, cv), ONE_CLIENT, "horizon_s=1500", time=time)
    simulated = replicate(scenario, range(8000, 8010), mean_wait)["mean wait"]
    bound = kingman(load, cv, service_cv)
    assert stats.ttest_1samp(simulated, bound, alternative="greater").pvalue > 1e-3
    assert simulated.mean() > 0.3 * bound


@pytest.mark.slow
@pytest.mark.parametrize("stages", [2, 4])
def test_the_mean_wait_of_erlang_arrivals(stages):
    """E_k/M/1: gaps of cv 1/sqrt(k) are Erlang's; the wait has the root of a polynomial as its parameter."""
    load = 0.8
    scenario = queue(load, gamma_arrivals(load, stages**-0.5), ONE_CLIENT, "horizon_s=2000")
    simulated = replicate(scenario, range(8100, 8130), mean_wait)
    exact = {"mean wait": mean_wait_of_erlang_arrivals(load, stages)}
    assert_agreement(with_truth(simulated, exact), {"mean wait": 0.12})
