"""The comparisons themselves: how often they cry wolf, and that they cry when there is one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from agreement import FALSE_ALARM, POWER, Comparison, replicate, smallest_found, with_other, with_truth
from formulas import erlang_c, mmck
from queues import MEAN_S, Run, queue
from scipy import stats
from test_closed_forms import controlled, expected, refused_and_wait, waiting

SETS, N = 100_000, 30


def alarms(draws: np.ndarray, truth: float) -> int:
    return int((stats.ttest_1samp(draws, truth, axis=1).pvalue < FALSE_ALARM).sum())


@pytest.mark.parametrize("skewness", [0.0, 0.25, 0.5])
def test_false_alarms_are_as_rare_as_stated(skewness):
    """Means of long runs are near to normal; skewed as those of short ones are, they cry twice as often."""
    draw = np.random.default_rng(1)
    if skewness:
        shape = 4 / skewness**2  # of a Gamma distribution
        draws = draw.gamma(shape, 1 / shape, (SETS, N))
    else:
        draws = draw.normal(1.0, 0.1, (SETS, N))
    expected = FALSE_ALARM * SETS
    assert alarms(draws, 1.0) < (2 if skewness else 1) * expected + 4 * np.sqrt(expected)


@pytest.mark.parametrize("n", [12, 30])
def test_the_stated_error_is_found_as_often_as_stated(n):
    draws = np.random.default_rng(2).normal(1.0, 0.1, (20_000, n))
    truth = 1.0 + smallest_found(0.1 / np.sqrt(n), n - 1)
    assert alarms(draws, truth) / len(draws) == pytest.approx(POWER, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("chance", [0.0, 0.3])
def test_two_simulators_that_differ_by_the_stated_error_are_told_apart(chance):
    """What both owe to chance that is known does not blur the comparison."""
    draw, reported, n, m = np.random.default_rng(3), 0, 20, 10
    shift = smallest_found(0.1 * np.sqrt(1 / n + 1 / m), n + m - 3)
    for _ in range(1000):
        a, b = draw.normal(size=n), draw.normal(size=m)
        ours = pd.DataFrame({"x": draw.normal(1.0 + shift, 0.1, n) + chance * a, "draws": a})
        theirs = pd.DataFrame({"x": draw.normal(1.0, 0.1, m) + chance * b, "draws": b})
        reported += with_other(ours, theirs, ["draws"])[0].disagrees
    assert reported / 1000 == pytest.approx(POWER, abs=0.05)


@pytest.mark.parametrize("chance", [0.0, 0.3])
def test_known_chance_is_taken_out_of_a_mean(chance):
    draw, reported, n = np.random.default_rng(4), 0, 20
    shift = smallest_found(0.1 / np.sqrt(n), n - 2)
    for _ in range(1000):
        a = draw.normal(size=n)
        simulated = pd.DataFrame({"x": draw.normal(1.0 + shift, 0.1, n) + chance * a, "draws": a})
        reported += with_truth(simulated, {"x": 1.0}, {"draws": 0.0})[0].disagrees
    assert reported / 1000 == pytest.approx(POWER, abs=0.06)


def disagreeing(comparisons: list[Comparison]) -> set[str]:
    return {one.name for one in comparisons if one.disagrees}


# What a wrong simulator looks like: each of these is held against the formula for something slightly else.


@pytest.mark.slow
def test_chance_that_was_none_is_detected():
    """A service of the wrong mean must not be regressed away where service times are the controls."""
    slow = {"kind": "exponential", "mean_s": 1.02 * MEAN_S}
    simulated = replicate(queue(0.8, "horizon_s=1500", time=slow), range(12), controlled(waiting()))
    exact, controls = {"mean wait": 4.0, "P(wait)": 0.8}, expected(0.8, 1.0)
    assert "E[S]" in disagreeing(with_truth(simulated, exact, controls))


def waiting_and_rate(run: Run) -> dict[str, float]:
    return {**waiting()(run), "rate": run.chance()["rate"]}


@pytest.mark.slow
def test_a_service_that_is_two_percent_too_slow_is_found():
    slow = {"kind": "exponential", "mean_s": 1.02 * MEAN_S}
    simulated = replicate(queue(0.8, "horizon_s=1500", time=slow), range(12), waiting_and_rate)
    exact = {"mean wait": 4.0, "P(wait)": 0.8}
    assert "P(wait)" in disagreeing(with_truth(simulated, exact, {"rate": 0.8}))


def test_one_server_too_many_is_found():
    simulated = replicate(queue(0.75 * 4 / 5, "horizon_s=200", servers=5), range(10), waiting())
    exact = {"mean wait": erlang_c(4, 3.0), "P(wait)": erlang_c(4, 3.0)}
    assert disagreeing(with_truth(simulated, exact)) == {"mean wait", "P(wait)"}


def test_one_place_too_many_is_found():
    simulated = replicate(
        queue(0.8, "server.queue_limit=4", "horizon_s=200", servers=2), range(10), refused_and_wait
    )
    loss, wait = mmck(2, 3, 0.8)
    assert disagreeing(with_truth(simulated, {"refused": loss, "mean wait": wait})) == {
        "refused",
        "mean wait",
    }


@pytest.mark.slow
def test_a_service_of_the_right_mean_and_the_wrong_variation_is_found():
    wrong = {"kind": "gamma", "mean_s": MEAN_S, "cv": 0.9}
    simulated = replicate(queue(0.6, "horizon_s=1500", time=wrong), range(20), waiting_and_rate)
    exact = {"mean wait": 1.5, "P(wait)": 0.6}
    assert disagreeing(with_truth(simulated, exact, {"rate": 0.6})) == {"mean wait"}
