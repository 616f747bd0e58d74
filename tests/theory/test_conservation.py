"""Laws of every queue, whatever the distributions: Little's, conservation of time, PASTA, Burke's theorem."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import assert_agreement, replicate, with_truth
from queues import MEAN_S, Run, in_queue, in_service, queue, run
from scipy import stats
from worlds import poisson

from sim.scenario.schema.values import CHUNK_S
from sim.world.arrivals.source import Arrivals, in_order

STEP_S = 2.0**-10
IN_BATCHES = ("server.max_batch=2", f"server.batch_wait_s={16 * STEP_S}")  # a third would be rounded
WITH_OUTAGES = (
    "server.outages=[{when: {kind: intervals, at: [[20.5, 31.25], [70.125, 75]]}}, "
    "{when: {kind: intervals, at: [[50, 90]]}, target: {kind: replicas, count: 1}}]",
)
IMPATIENT = ("fleet.devices.timeout_s=2", "fleet.devices.retry={attempts: 3, jitter: none, backoff_s: 0.25}")


class OnALattice:
    """A scenario's own arrivals, moved to whole multiples of STEP_S."""

    def __init__(self, scenario) -> None:
        self._drawn = poisson(scenario, CHUNK_S)

    def draw(self, index: int, start_s: float, end_s: float) -> Arrivals:
        drawn = self._drawn.draw(index, start_s, end_s)
        return in_order(np.floor(drawn.at_s / STEP_S) * STEP_S, drawn.client, end_s)


@pytest.mark.parametrize("load", [0.5, 0.95, 1.3])
@pytest.mark.parametrize(
    "changes",
    [(), IN_BATCHES, (*WITH_OUTAGES, *IMPATIENT), (*IN_BATCHES, *WITH_OUTAGES, *IMPATIENT)],
    ids=["plain", "batches", "outages and retries", "all"],
)
def test_the_integral_of_the_number_is_the_sum_of_the_stays_exactly(load, changes):
    """Where all instants are multiples of 2^-10 s, nothing is rounded, and the law holds to the last bit."""
    scenario = queue(load, *changes, "horizon_s=120", "seed=5", servers=2, time=64 * STEP_S)
    lattice = run(scenario, OnALattice(scenario))
    for integral, stays in (in_queue(lattice), in_service(lattice)):
        assert integral == stays
        assert stays > 1.0
    ties = lattice.requests["arrived_at_s"].duplicated()
    assert ties.sum() > 5


def both_sides(run: Run) -> dict[str, float]:
    """Little's law and the law of utilisation, as ratios of what was seen to what they say."""
    settled, seconds = run.settled, run.settled_seconds
    rate_hz = len(settled) / len(seconds)
    wait_s = (settled["started_at_s"] - settled["reached_at_s"]).mean()
    return {
        "L = λW": float(seconds["waiting_mean"].mean() / (rate_hz * wait_s)),
        "busy = λE[S]": float(seconds["busy_replicas_mean"].mean() / (rate_hz * MEAN_S)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("cv", [0.5, 2.0])
def test_littles_law_and_utilisation(cv):
    """They hold over long times for any distribution; here only the edges of the window disturb them."""
    time = {"kind": "gamma", "mean_s": MEAN_S, "cv": cv}
    simulated = replicate(queue(0.7, "horizon_s=600", servers=3, time=time), range(7000, 7020), both_sides)
    comparisons = with_truth(simulated, {"L = λW": 1.0, "busy = λE[S]": 1.0})
    assert_agreement(comparisons, {"L = λW": 0.01, "busy = λE[S]": 0.05})


def seen_and_true(run: Run) -> dict[str, float]:
    """The share of arrivals that find the server busy, over the share of the time that it is busy."""
    settled = run.settled
    waits = (settled["started_at_s"] > settled["reached_at_s"]).mean()
    return {"PASTA": float(waits / run.settled_seconds["busy_replicas_mean"].mean())}


@pytest.mark.slow
def test_poisson_arrivals_see_time_averages():
    time = {"kind": "lognormal", "mean_s": MEAN_S, "cv": 1.0}
    simulated = replicate(queue(0.6, "horizon_s=600", time=time), range(8000, 8020), seen_and_true)
    assert_agreement(with_truth(simulated, {"PASTA": 1.0}), {"PASTA": 0.02})


@pytest.mark.parametrize("servers", [1, 3])
def test_what_leaves_a_markovian_queue_is_poisson_again(servers):
    """Burke (1956): departures of M/M/c are Poisson, so gaps are exponential and know nothing of each other.

    The Kolmogorov-Smirnov test on 50,000 gaps finds a distance of 0.01 with probability above 0.9; a load of
    0.8 with constant services in place of exponential ones has one of 0.2.
    """
    settled = run(queue(0.8, "horizon_s=6500", "seed=9000", servers=servers)).settled
    gaps = np.diff(np.sort(settled["finished_at_s"]))[:50_000]
    rate_hz = 0.8 * servers / MEAN_S
    assert stats.kstest(gaps * rate_hz, "expon").pvalue > 1e-3
    assert stats.spearmanr(gaps[:-1], gaps[1:]).pvalue > 1e-3
