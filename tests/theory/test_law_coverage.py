"""The laws of waits hold as stated: formulas within their margins, and "agrees" at its rate, on grids of
load, servers, law and variation, against the recursion of Kiefer and Wolfowitz.

Each cell is told to disagree in one of twenty; of 60 runs a right one fails eight or fewer with probability
0.99, so a cell fails by chance once in a hundred sets of seeds, and these seeds are fixed.
"""

from __future__ import annotations

from math import gamma, inf

import numba
import numpy as np
import pytest

from analysis.theory.prediction import mean_over_time, widened
from analysis.theory.queues import bounded_queue, endless_queue, forgets_in_s, sampling_error_of_wait
from analysis.theory.service_laws import Service, service_of
from analysis.theory.waiting import LEAST_SPANS, MOST_ERROR


@numba.njit
def waits(gaps, services, servers):  # type: ignore[no-untyped-def]
    """The wait of each request; gaps before it and services (n,). State: ascending work of each server."""
    left, found = np.zeros(servers), np.empty(len(gaps))
    for n in range(len(gaps)):
        left = np.maximum(left - gaps[n], 0.0)
        found[n] = left[0]
        ends, place = left[0] + services[n], 1
        while place < servers and left[place] < ends:
            left[place - 1] = left[place]
            place += 1
        left[place - 1] = ends
    return found


@numba.njit
def refused(gaps, services, servers, places):  # type: ignore[no-untyped-def]
    """Whether each request is refused, where that many may wait."""
    ends, found = np.zeros(servers), np.zeros(len(gaps))
    starts, now = [0.0], 0.0
    for n in range(len(gaps)):
        now += gaps[n]
        starts = [at for at in starts if at > now]
        if len(starts) >= places and ends.min() > now:
            found[n] = 1.0
            continue
        server = ends.argmin()
        begins = max(now, ends[server])
        if begins > now:
            starts.append(begins)
        ends[server] = begins + services[n]
    return found


def drawn(law: Service, count: int, seed: list[int]) -> np.ndarray:
    """Services of mean 1."""
    draw = np.random.default_rng(seed)
    if law.cv == 0:
        return np.ones(count)
    if law.law == "lognormal":
        sigma = np.sqrt(np.log1p(law.cv**2))
        return np.exp(draw.normal(-(sigma**2) / 2, sigma, count))
    if law.law == "weibull":
        return draw.weibull(law.shape, count) / gamma(1 + 1 / law.shape)
    return draw.gamma(1 / law.cv**2, law.cv**2, count)


def of(kind: str, **parts: float) -> Service:
    law = service_of({"kind": "per_batch", "time": {"kind": kind, "mean_s": 1.0} | parts})
    assert law is not None
    return law


CONSTANT, EXPONENTIAL = of("gamma", cv=0.0), of("exponential")
LAWS = {
    "constant": CONSTANT,
    "gamma 0.5": of("gamma", cv=0.5),
    "exponential": EXPONENTIAL,
    "gamma 2": of("gamma", cv=2.0),
    "gamma 4": of("gamma", cv=4.0),
    "lognormal 0.5": of("lognormal", cv=0.5),
    "lognormal 1": of("lognormal", cv=1.0),
    "lognormal 2": of("lognormal", cv=2.0),
    "weibull 1.5": of("weibull", shape=0.685),
}


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.6, 0.9])
@pytest.mark.parametrize("servers", [2, 4])
@pytest.mark.parametrize("name", LAWS)
def test_a_formula_is_within_its_margin(name: str, servers: int, load: float) -> None:
    law, count = LAWS[name], 1_000_000
    queue = endless_queue(load * servers, servers, 1.0, law.cv, law)
    assert queue is not None
    means = []
    for seed in range(3):
        gaps = np.random.default_rng([seed, 1]).exponential(1 / (load * servers), count)
        means.append(waits(gaps, drawn(law, count, [seed, 2]), servers)[count // 20 :].mean())
    error = np.std(means, ddof=1) / np.sqrt(3)
    assert abs(queue.wait_s / np.mean(means) - 1) < max(queue.error, 0.01) + 3 * error / np.mean(means)


@pytest.mark.parametrize(
    ("law", "servers"),
    [
        (of("lognormal", cv=4.0), 4),
        (of("lognormal", cv=2.0), 8),
        (of("gamma", cv=5.0), 2),
        (Service(1.0, 0.0, 0.8, "empirical"), 2),
    ],
)
def test_where_no_formula_is_good_there_is_none(law: Service, servers: int) -> None:
    queue = endless_queue(0.6 * servers, servers, 1.0, law.cv, law)
    assert queue is not None
    assert queue.error == inf
    assert queue.busy == 0.6


def test_a_variation_of_one_is_exact_for_exponential_times_alone() -> None:
    for law, error in ((EXPONENTIAL, 0.0), (of("weibull", shape=1.0), 0.0), (of("lognormal", cv=1.0), 0.1)):
        queue = endless_queue(1.8, 3, 1.0, law.cv, law)
        assert queue is not None
        assert queue.error == error


@pytest.mark.parametrize("count", [1_000, 10_000])
@pytest.mark.parametrize("load", [0.3, 0.6, 0.8, 0.9])
@pytest.mark.parametrize("servers", [1, 4])
@pytest.mark.parametrize("name", [*LAWS, "lognormal 5", "lognormal 10"])
def test_agreement_holds_at_its_rate_or_is_not_stated(
    name: str, servers: int, load: float, count: int
) -> None:
    law = LAWS.get(name) or of("lognormal", cv=float(name.split()[1]))
    rate = load * servers
    span = count / rate
    settles = 10 * max(1.0, (1 + law.cv**2) / 2) / (1 - load**0.5) ** 2
    queue = endless_queue(rate, servers, 1.0, law.cv, law)
    assert queue is not None
    error = sampling_error_of_wait(rate, servers, 1.0, law, span - settles) if span > settles + 60 else inf
    if error > MOST_ERROR or queue.error == inf:
        return  # the run says nothing
    agreed = 0
    for seed in range(60):
        gaps = np.random.default_rng([seed, 1]).exponential(1 / rate, count + 500)
        at = np.cumsum(gaps)
        found = waits(gaps, drawn(law, count + 500, [seed, 2]), servers)
        seen = widened(mean_over_time(found, at, settles, span), error * queue.wait_s)
        off = queue.error * queue.wait_s
        agreed += seen.low - off <= queue.wait_s <= seen.high + off
    assert agreed >= 52


def test_heavy_tails_say_nothing_for_long() -> None:
    """A variation of 10 takes a hundred million requests; one of 1 a few thousand."""
    heavy, light = of("lognormal", cv=10.0), of("lognormal", cv=1.0)
    assert sampling_error_of_wait(0.5, 1, 1.0, heavy, 1e7) > MOST_ERROR
    assert sampling_error_of_wait(0.5, 1, 1.0, heavy, 1e9) < MOST_ERROR
    assert sampling_error_of_wait(0.5, 1, 1.0, light, 1e4) < 0.1


@pytest.mark.parametrize(("load", "places"), [(0.6, 2), (0.9, 5), (0.9, 20), (1.2, 10)])
@pytest.mark.parametrize("servers", [1, 4])
def test_refusals_agree_at_their_rate(load: float, places: int, servers: int) -> None:
    """They come in bursts: an interval of independent trials would miss a third to a half of the time."""
    rate, agreed = load * servers, 0
    count = int(200 * rate + LEAST_SPANS * forgets_in_s(load, servers, 1.0, places) * rate)
    queue = bounded_queue(rate, servers, 1.0, places)
    for seed in range(60):
        gaps = np.random.default_rng([seed, 1]).exponential(1 / rate, count)
        found = refused(gaps, drawn(EXPONENTIAL, count, [seed, 2]), servers, places)
        at = np.cumsum(gaps)
        trials = np.sqrt(queue.refused * (1 - queue.refused) / count)
        seen = widened(mean_over_time(found, at, 200.0, float(at[-1])), trials)
        agreed += seen.low <= queue.refused <= seen.high
    assert agreed >= 52
