"""Arrivals follow the law that was asked for: rates, gaps, spread of counts, states, under every shape.

Seeds are fixed. Means and variances may be off by 4 standard errors of their own over independent clients, a
false alarm in 6e-5; tests of a whole distribution raise one in 1e-4. With about 70 of them, a change of seed
that breaks one is a find in 99% of cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrival_kinds import EVERY, PROCESSES, SHAPES, drawn, group, scenario
from pydantic import TypeAdapter
from scipy import stats
from scipy.linalg import expm

from sim.registry.shapes import Shape
from sim.streams import Draws
from sim.world.arrivals.source import Arrivals, ScenarioArrivals
from sim.world.world import World

SIGMAS, FALSE_ALARM = 4.0, 1e-4
CLIENTS = 4000

DRAWN = [(process, shape) for process, shape in EVERY if process != "trace"]
drawn_kinds = pytest.mark.parametrize(("process", "shape"), DRAWN, ids=["-".join(pair) for pair in DRAWN])


def arrivals_of(process: Any, shape: Any = "constant", horizon_s: float = 150.0, seed: int = 3) -> Arrivals:
    written = scenario(group(process, shape, CLIENTS), seed=seed, horizon_s=horizon_s)
    return drawn(ScenarioArrivals(World(written)), horizon_s)


def shape_of(shape: str | dict[str, Any]) -> Shape:
    return TypeAdapter(Shape).validate_python(SHAPES[shape] if isinstance(shape, str) else shape)


def counts(arrivals: Arrivals, from_s: float, to_s: float) -> np.ndarray:
    """Requests of each client in [from, to)."""
    inside = (arrivals.at_s >= from_s) & (arrivals.at_s < to_s)
    return np.bincount(arrivals.client[inside], minlength=CLIENTS)


def assert_mean(values: np.ndarray, expected: float) -> None:
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected) <= SIGMAS * error + 1e-12


def assert_variance(values: np.ndarray, expected: float) -> None:
    squares = (values - np.mean(values)) ** 2
    assert_mean(squares, expected * (1 - 1 / len(values)))


@pytest.mark.slow
@drawn_kinds
def test_the_rate_is_the_one_asked_for_at_any_time(process, shape):
    """From t = 0 on: a process that began with a whole gap would be late, or early, at first."""
    written = scenario(group(process, shape))
    steady, bend = written.fleet[0].arrivals.process.steady_rate_hz(), shape_of(shape)
    found = arrivals_of(process, shape)
    for begin, end in ((0.0, 2.0), (2.0, 20.0), (20.0, 56.0), (56.0, 75.0), (75.0, 150.0), (0.0, 150.0)):
        expected = steady * (bend.operational_s(end) - bend.operational_s(begin))
        assert_mean(counts(found, begin, end), expected)


def numbered(arrivals: Arrivals, k: int, shape: Any) -> np.ndarray:
    """Operational time of each client's request k, of those who have one."""
    begins = np.searchsorted(arrivals.client, np.arange(CLIENTS))
    has = np.bincount(arrivals.client, minlength=CLIENTS) > k
    bend = shape_of(shape)
    return np.array([bend.operational_s(at) for at in arrivals.at_s[begins[has] + k]])


RENEWAL = [pair for pair in DRAWN if PROCESSES[pair[0]]["kind"] in ("poisson", "gamma") and pair[0] != "beat"]


@pytest.mark.slow
@pytest.mark.parametrize(("process", "shape"), RENEWAL, ids=["-".join(pair) for pair in RENEWAL])
def test_gaps_in_operational_time_have_the_law_of_the_process(process, shape):
    """Kolmogorov and Smirnov on the gap between two given requests of every client, and on the first one.

    The first: density (1 − F)/mean, so its distribution is G(x) + x·(1 − F(x))/mean with G length-biased.
    """
    cv, mean = PROCESSES[process].get("cv", 1.0), 1 / PROCESSES[process]["rate_hz"]
    a = 1 / cv**2
    gap, biased = stats.gamma(a, scale=mean / a), stats.gamma(a + 1, scale=mean / a)
    found = arrivals_of(process, shape, horizon_s=300.0)
    first, second, third = (numbered(found, k, shape) for k in range(3))
    assert len(third) == CLIENTS  # nobody is cut off by the horizon
    equilibrium = stats.kstest(first, lambda x: biased.cdf(x) + x * gap.sf(x) / mean)
    assert equilibrium.pvalue > FALSE_ALARM
    assert stats.kstest(second - first, gap.cdf).pvalue > FALSE_ALARM
    assert_mean(second - first, mean)
    assert_variance(second - first, (cv * mean) ** 2)
    for one, other in ((first, second - first), (second - first, third - second)):
        assert stats.spearmanr(one, other).pvalue > FALSE_ALARM


@pytest.mark.parametrize("shape", SHAPES)
def test_a_beat_is_strict_and_its_phase_uniform(shape):
    found = arrivals_of("beat", shape)
    first, second = numbered(found, 0, shape), numbered(found, 1, shape)
    beat = 1 / PROCESSES["beat"]["rate_hz"]
    assert np.allclose(second - first, beat, rtol=0, atol=1e-9)
    assert stats.kstest(first, stats.uniform(0, beat).cdf).pvalue > FALSE_ALARM


def renewal_variance(cv: float, rate_hz: float, t: float) -> float:
    """Of the count in t of an equilibrium renewal process (Cox 1962, §4.5): λt + 2λ∫M − (λt)².

    M, the renewal function, sums the distributions of 1, 2, … gaps; the integral by the midpoint rule.
    """
    a = 1 / cv**2
    u = (np.arange(4000) + 0.5) / 4000 * t
    most = int(rate_hz * t + 12 * (1 + cv) ** 2 * np.sqrt(rate_hz * t)) + 20
    renewals = sum(stats.gamma.cdf(u, n * a, scale=1 / (rate_hz * a)) for n in range(1, most))
    return rate_hz * t + 2 * rate_hz * t * float(np.mean(renewals)) - (rate_hz * t) ** 2


@pytest.mark.parametrize(("cv", "t"), [(0.4, 5.0), (0.4, 60.0), (1.0, 60.0), (2.5, 5.0), (2.5, 60.0)])
def test_the_dispersion_of_counts_is_that_of_a_renewal_process(cv, t):
    """Tends to cv² times the mean; also across the edge between two minutes."""
    expected = renewal_variance(cv, 0.7, t)
    if cv == 1.0:
        assert expected == pytest.approx(0.7 * t, rel=1e-3)
    found = arrivals_of({"kind": "gamma", "rate_hz": 0.7, "cv": cv})
    assert_variance(counts(found, 0.0, t), expected)
    assert_variance(counts(found, 58.0, 58.0 + t), expected)


def mmpp_covariance(rates: tuple[float, ...], mean_stay_s: float, apart: np.ndarray) -> np.ndarray:
    """Of the rate at two instants that far apart, from the generator of the cycle of states."""
    n = len(rates)
    generator = (np.roll(np.eye(n), 1, axis=1) - np.eye(n)) / mean_stay_s
    r = np.array(rates)
    return np.array([r @ expm(generator * s) @ r / n - r.mean() ** 2 for s in apart])


@pytest.mark.parametrize(
    ("rates", "mean_stay_s"), [((0.2, 3.0), 6.0), ((0.0, 1.0, 4.0), 10.0), ((2.0, 2.0), 5.0)]
)
def test_counts_of_an_mmpp_vary_and_hang_together_as_its_states_make_them(rates, mean_stay_s):
    """Var N(t) = λt + 2∫(t − s)R(s)ds; counts of neighbouring stretches covary by ∫∫R."""
    found = arrivals_of({"kind": "mmpp", "rates_hz": rates, "mean_stay_s": mean_stay_s})
    t, lag = 9.0, (np.arange(600) + 0.5) / 600
    near = mmpp_covariance(rates, mean_stay_s, lag * t)
    variance = np.mean(rates) * t + 2 * t * np.mean((t - lag * t) * near)
    far = mmpp_covariance(rates, mean_stay_s, t + lag * t)
    covariance = t * (np.mean(lag * t * near) + np.mean((t - lag * t) * far))
    for begin in (0.0, 55.0):
        one, other = counts(found, begin, begin + t), counts(found, begin + t, begin + 2 * t)
        assert_variance(one, variance)
        assert_mean((one - one.mean()) * (other - other.mean()), covariance)
    if rates == (0.2, 3.0):
        assert covariance > 0.1 * variance


def test_each_state_of_an_mmpp_has_its_rate():
    """With stays far longer than the run, everybody keeps the state that was drawn for t = 0."""
    rates = (0.0, 0.5, 3.0)
    found = arrivals_of({"kind": "mmpp", "rates_hz": rates, "mean_stay_s": 1e9}, "diurnal", 100.0, seed=3)
    state = (Draws(3, "first state").many(np.arange(CLIENTS)) * 3).astype(int)
    assert stats.chisquare(np.bincount(state)).pvalue > FALSE_ALARM
    count, mean = counts(found, 0.0, 100.0), shape_of("diurnal").operational_s(100.0)
    assert not count[state == 0].any()
    for number, rate_hz in enumerate(rates[1:], 1):
        assert_mean(count[state == number], rate_hz * mean)
        assert_variance(count[state == number], rate_hz * mean)


@pytest.mark.filterwarnings("error")
def test_a_state_of_hardly_any_rate_is_one_of_none():
    found = arrivals_of({"kind": "mmpp", "rates_hz": (5e-324, 0.5, 1e-300), "mean_stay_s": 8.0})
    still = arrivals_of({"kind": "mmpp", "rates_hz": (0.0, 0.5, 0.0), "mean_stay_s": 8.0})
    assert len(found.at_s) > 0
    assert np.array_equal(found.at_s, still.at_s)


def test_states_of_an_mmpp_follow_in_order_and_are_equally_likely():
    """Changes up to t are Poisson; where everybody is after them is uniform over the states."""
    process = {"kind": "mmpp", "rates_hz": (0.1, 0.0, 2.0), "mean_stay_s": 8.0}
    source = ScenarioArrivals(World(scenario(group(process, clients=CLIENTS), seed=3)))
    first = (Draws(3, "first state").many(np.arange(CLIENTS)) * 3).astype(int)
    for t in (8.0, 60.0, 180.0):
        source.draw(0, 0.0, t)
        stay = source.state()["0.stay"]
        assert_mean(stay, t / 8.0)
        assert_variance(stay, t / 8.0)
        assert stats.chisquare(np.bincount((first + stay) % 3, minlength=3)).pvalue > FALSE_ALARM


def test_clients_and_groups_are_independent():
    """The variance of a sum over 50 clients of two groups is the sum of their variances."""
    bursty, mmpp = PROCESSES["bursty"], PROCESSES["mmpp"]
    written = scenario(group(bursty, clients=2000), group(mmpp, clients=2000, name="other"))
    found = drawn(ScenarioArrivals(World(written)), 180.0)
    count = np.bincount(found.client, minlength=4000).astype(float)
    first, second = count[:2000], count[2000:]
    sums = (first - first.mean() + second - second.mean()).reshape(-1, 25).sum(axis=1)
    expected = 25 * (first.var(ddof=1) + second.var(ddof=1))
    assert_mean(sums**2, expected)
    assert stats.spearmanr(first, second).pvalue > FALSE_ALARM


def test_a_flash_crowd_comes_and_goes_at_its_instants():
    shape = {"kind": "flash_crowd", "factor": 50.0, "at_s": 61.5, "for_s": 2.0}
    for process in ("poisson", "regular", "mmpp"):
        at = arrivals_of(process, shape, 70.0).at_s
        rates = [
            np.sum((at >= a) & (at < b)) / (b - a) for a, b in ((59.5, 61.5), (61.5, 63.5), (63.5, 65.5))
        ]
        assert 40 < rates[1] / rates[0] < 60
        assert 40 < rates[1] / rates[2] < 60


def test_at_the_trough_of_full_amplitude_nobody_asks():
    shape = {"kind": "diurnal", "amplitude": 1.0, "period_s": 100.0}
    at = arrivals_of("poisson", shape, 100.0).at_s
    trough = 75.0
    bend = shape_of(shape)
    expected = 0.7 * CLIENTS * (bend.operational_s(trough + 2) - bend.operational_s(trough - 2))
    found = np.sum(np.abs(at - trough) < 2)
    assert expected < 40 < 0.7 * CLIENTS * 4
    assert stats.poisson(expected).cdf(found) > FALSE_ALARM
    assert stats.poisson(expected).sf(found - 1) > FALSE_ALARM
