"""Queueing theory: where a formula or a recursion knows the answer, the simulator must find it.

Means over replications are held against the exact value by a t-test: the tolerance is the replications'
own standard error, and a right simulator would fail each such test once in a thousand sets of seeds. The
seeds are fixed, so what passes goes on passing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from worlds import group_of, made_up, poisson, product, scenario_of

from sim.delays import ServiceTimes
from sim.engine import CHUNK_S
from sim.scenario import Scenario

FALSE_ALARM = 1e-3
MEAN_S = 1.0
EXPONENTIAL = {"kind": "exponential", "mean_s": MEAN_S}
WARM_UP_S, COOL_DOWN_S = 300.0, 150.0  # at a load of 0.8 the empty start is forgotten in tens of seconds


def queue(
    seed: int, rate_hz: float, horizon_s: float, time: object = EXPONENTIAL, **server: object
) -> Scenario:
    """Ten clients that send everything at once to servers of one second."""
    process = {"kind": "poisson", "rate_hz": rate_hz / 10}
    return scenario_of(
        seed=seed,
        horizon_s=horizon_s,
        fleet=(group_of(clients=10, arrivals={"process": process}),),
        server={"service": {"kind": "per_batch", "time": time}} | server,
    )


def requests_of(scenario: Scenario) -> pd.DataFrame:
    requests, _ = product(scenario, made_up(scenario), poisson(scenario, CHUNK_S), CHUNK_S)
    return requests


def replications(
    statistic: Callable[[pd.DataFrame], float], n: int, horizon_s: float, **parts: object
) -> np.ndarray:
    """The statistic of n independent runs, over the requests between warm-up and cool-down."""
    found = []
    for seed in range(n):
        requests = requests_of(queue(seed, horizon_s=horizon_s, **parts))
        found.append(
            statistic(requests[requests["arrived_at_s"].between(WARM_UP_S, horizon_s - COOL_DOWN_S)])
        )
    return np.array(found)


def assert_mean(found: np.ndarray, exact: float, precision: float) -> None:
    """The replications agree with the exact mean, and are precise enough for that to say something."""
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert error < precision * exact
    assert stats.ttest_1samp(found, exact).pvalue > FALSE_ALARM, (found.mean(), error, exact)


def wait(requests: pd.DataFrame) -> float:
    return float((requests["started_at_s"] - requests["reached_at_s"]).mean())


def erlang_b(servers: int, load: float) -> float:
    """P(all servers busy) in a loss system; `load` in erlangs (Erlang 1917)."""
    terms = [load**n / factorial(n) for n in range(servers + 1)]
    return terms[-1] / sum(terms)


def erlang_c(servers: int, load: float) -> float:
    """P(wait) with unlimited queue."""
    loss = erlang_b(servers, load)
    return loss / (1 - load / servers * (1 - loss))


@pytest.mark.parametrize("load", [0.5, 0.95])
def test_one_server_follows_lindleys_recursion_to_the_last_bit(load):
    """start = max(arrival, end of the one before), on the draws that the simulator used."""
    scenario = queue(3, load, horizon_s=12_000.0)
    requests = requests_of(scenario).sort_values(["arrived_at_s", "request_id"])
    service = ServiceTimes(scenario.seed, scenario.server.service, 1)
    takes = service.factor_many(requests["request_id"].to_numpy())
    free_at, starts, ends = -np.inf, [], []
    for arrival, time in zip(requests["arrived_at_s"].tolist(), takes.tolist(), strict=True):
        starts.append(max(arrival, free_at))
        free_at = starts[-1] + time
        ends.append(free_at)
    started, finished = (requests[name].to_numpy() for name in ("started_at_s", "finished_at_s"))
    begun, done = (np.array(times) < scenario.horizon_s for times in (starts, ends))
    np.testing.assert_array_equal(started, np.where(begun, starts, np.nan))
    np.testing.assert_array_equal(finished, np.where(done, ends, np.nan))
    assert begun.sum() > 5000
    assert (started > requests["reached_at_s"]).mean() > load / 2


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_mean_wait_of_mm1(load):
    """W = rho / (1 - rho) service times."""
    found = replications(wait, 30, 3000.0, rate_hz=load)
    assert_mean(found, load / (1 - load), precision=0.05)


@pytest.mark.parametrize(
    ("time", "cv"),
    [
        (MEAN_S, 0.0),
        ({"kind": "lognormal", "mean_s": MEAN_S, "cv": 1.5}, 1.5),
        ({"kind": "gamma", "mean_s": MEAN_S, "cv": 0.5}, 0.5),
    ],
    ids=["constant", "lognormal", "gamma"],
)
def test_the_mean_wait_of_mg1(time, cv):
    """Pollaczek and Khinchine: W = rho (1 + cv^2) / (2 (1 - rho)) service times."""
    load = 0.6
    found = replications(wait, 30, 3000.0, rate_hz=load, time=time)
    assert_mean(found, load * (1 + cv**2) / (2 * (1 - load)), precision=0.06)


def test_the_chance_and_the_length_of_a_wait_in_mm4():
    """Erlang C at a load of 0.75 of four: P(wait) = 0.509, mean wait P(wait) / (4 - 3)."""
    exact = erlang_c(4, 3.0)
    assert exact == pytest.approx(0.5094, abs=1e-4)

    def waited(requests: pd.DataFrame) -> float:
        return float((requests["started_at_s"] > requests["reached_at_s"]).mean())

    assert_mean(replications(waited, 20, 2000.0, rate_hz=3.0, replicas=4), exact, precision=0.02)
    assert_mean(replications(wait, 20, 2000.0, rate_hz=3.0, replicas=4), exact / (4 - 3.0), precision=0.06)


@pytest.mark.parametrize(
    "time", [EXPONENTIAL, MEAN_S, {"kind": "lognormal", "mean_s": MEAN_S, "cv": 2.0}], ids=["M", "D", "G"]
)
def test_the_loss_of_a_server_without_a_queue(time):
    """Erlang B, 3 erlangs on four servers: 0.2061, whatever the distribution of the service times."""
    exact = erlang_b(4, 3.0)
    assert exact == pytest.approx(0.2061, abs=1e-4)

    def lost(requests: pd.DataFrame) -> float:
        return float((requests["outcome"] == "refused").mean())

    found = replications(lost, 20, 2000.0, rate_hz=3.0, replicas=4, queue_limit=0, time=time)
    assert_mean(found, exact, precision=0.02)


def test_a_batch_server_keeps_up_with_more_than_one_at_a_time_could():
    """2.4 requests per second at one replica that takes a second for up to four: 0.6 of what it can do."""
    scenario = queue(1, 2.4, horizon_s=3000.0, time=MEAN_S, max_batch=4)
    requests = requests_of(scenario)
    settled = requests[requests["arrived_at_s"] < scenario.horizon_s - COOL_DOWN_S]
    assert (settled["outcome"] == "remote").all()
    assert wait(settled) < 4 * MEAN_S
    assert settled["batch_size"].max() == 4
