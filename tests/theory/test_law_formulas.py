"""The laws' formulas against others of the same numbers: textbook forms, recursions, counting."""

from __future__ import annotations

from math import inf

import formulas
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from tried import tried

from analysis.theory import queues
from analysis.theory.fluid import Source, flow
from analysis.theory.queues import (
    Service,
    arrivals_in,
    batch_queue,
    bounded_queue,
    endless_queue,
    erlang_b,
    erlang_c,
    max_min,
    service_of,
)
from analysis.theory.sharing import answered_in_time, shares
from analysis.theory.streams import amplification, attempts_in_time

loads = st.floats(0.05, 0.95)


@given(servers=st.integers(1, 30), load=loads)
def test_erlangs_formulas(servers, load):
    erlangs = servers * load
    assert erlang_b(servers, erlangs) == pytest.approx(formulas.erlang_b(servers, erlangs))
    assert erlang_c(servers, erlangs) == pytest.approx(formulas.erlang_c(servers, erlangs))
    assert bounded_queue(erlangs, servers, 1.0, 0).refused == pytest.approx(erlang_b(servers, erlangs))


@given(load=loads, cv=st.floats(0, 3))
def test_one_server_is_pollaczek_and_khinchine(load, cv):
    queue = endless_queue(load, 1, 1.0, cv)
    assert queue is not None
    assert queue.wait_s == pytest.approx(formulas.pollaczek_khinchine(load, cv))
    assert queue.error == 0


@given(servers=st.integers(1, 20), load=loads, places=st.integers(0, 40))
def test_a_bounded_queue_is_birth_and_death(servers, load, places):
    refused, wait = formulas.mmck(servers, places, load)
    queue = bounded_queue(load * servers, servers, 1.0, places)
    assert (queue.refused, queue.wait_s) == pytest.approx((refused, wait))


@pytest.mark.parametrize("servers", [1, 3, 40])
@pytest.mark.parametrize("load", [0.2, 0.9, 0.999, 1.0, 1.001, 1.5])
def test_very_many_places_are_summed_up_as_few_are(monkeypatch, servers, load):
    one_by_one = bounded_queue(load * servers, servers, 1.0, 3000)
    monkeypatch.setattr(queues, "MOST_PLACES", 0)
    assert bounded_queue(load * servers, servers, 1.0, 3000) == pytest.approx(one_by_one, rel=1e-6, abs=1e-12)


def test_as_many_places_as_can_be_written_take_no_memory():
    without_limit = endless_queue(0.9, 1, 1.0, 1.0, None)
    assert without_limit is not None
    queue = bounded_queue(0.9, 1, 1.0, 2**31 - 1)
    assert (queue.refused, queue.wait_s) == pytest.approx((0.0, without_limit.wait_s))
    assert bounded_queue(1.5, 1, 1.0, 2**31 - 1).refused == pytest.approx(1 / 3)


def test_batches_larger_than_what_ever_waits_cost_nothing():
    service = Service(1.0, 0.0, 0.0)
    assert batch_queue(0.5, service, 32_767) == batch_queue(0.5, service, 600)


@pytest.mark.parametrize("servers", [2, 4, 16])
@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_several_servers_with_constant_service_stay_within_the_stated_error(servers, load):
    draw = np.random.default_rng(servers)
    arrivals = np.cumsum(draw.exponential(1 / (load * servers), 200_000))
    starts, _ = formulas.kiefer_wolfowitz(arrivals, np.ones(arrivals.size), servers)
    waits = (starts - arrivals)[1000:]
    means = waits[: waits.size // 50 * 50].reshape(50, -1).mean(axis=1)
    error = 4 * means.std(ddof=1) / np.sqrt(50)
    queue = endless_queue(load * servers, servers, 1.0, 0.0)
    assert queue is not None
    assert queue.wait_s == pytest.approx(waits.mean(), abs=error + queue.error * queue.wait_s)


def test_a_server_that_is_asked_for_more_than_it_can_do_never_settles():
    assert endless_queue(2.0, 2, 1.0, 0.0) is None
    assert batch_queue(4.0, Service(1.0, 0.0, 0.0), 4) is None


@pytest.mark.parametrize(("rate", "largest"), [(0.8, 1), (1.6, 2), (3.2, 4), (0.5, 8)])
def test_batches_of_exponential_times_are_the_chain_of_the_number_waiting(rate, largest):
    queue = batch_queue(rate, Service(1.0, 0.0, 1.0), largest)
    assert queue is not None
    assert queue.wait_s == pytest.approx(formulas.mean_wait_in_batches(rate, largest), rel=1e-6)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 1.5])
def test_batches_of_one_are_pollaczek_and_khinchine(load, cv):
    queue = batch_queue(load, Service(0.4, 0.6, cv), 1)
    assert queue is not None
    assert queue.wait_s == pytest.approx(formulas.pollaczek_khinchine(load, cv), rel=1e-6)
    assert queue.busy == pytest.approx(load)


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
def test_arrivals_in_a_gamma_time_are_a_mixture_of_poisson_laws(cv):
    p = arrivals_in(3.0, 0.7, cv, 200)
    time = stats.gamma(1 / cv**2, scale=0.7 * cv**2)
    for n in (0, 1, 4):
        mixed, _ = integrate.quad(lambda t, n=n: stats.poisson.pmf(n, 3.0 * t) * time.pdf(t), 0, np.inf)
        assert p[n] == pytest.approx(mixed, rel=1e-5)
    assert p.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("time", "mean", "cv"),
    [
        (0.2, 0.2, 0.0),
        ({"kind": "exponential", "mean_s": 0.2}, 0.2, 1.0),
        ({"kind": "gamma", "mean_s": 0.2, "cv": 0.7}, 0.2, 0.7),
        ({"kind": "weibull", "mean_s": 0.2, "shape": 1.0}, 0.2, 1.0),
        (
            {"kind": "weibull", "mean_s": 0.2, "shape": 2.0},
            0.2,
            float(stats.weibull_min(2).std() / stats.weibull_min(2).mean()),
        ),
    ],
)
def test_moments_of_a_service(time, mean, cv):
    service = service_of({"kind": "per_batch", "time": time})
    assert service is not None
    assert (service.mean_s(3), service.cv) == pytest.approx((mean, cv))
    assert service_of({"kind": "per_batch", "time": {"kind": "empirical", "file": "x.csv"}}) is None


@pytest.mark.parametrize("cv", [5e-324, 1e-308, 1e-200, 1e-160])
def test_a_variation_that_is_lost_beside_one_is_none(cv):
    """Its square is 0, which nothing may be divided by."""
    of_batches = {"kind": "affine", "base_s": 0.2, "per_item_s": 0.1, "cv": cv}
    for written in (of_batches, {"kind": "per_batch", "time": {"kind": "gamma", "mean_s": 0.2, "cv": cv}}):
        service = service_of(written)
        assert service.cv == 0.0
        assert endless_queue(2.0, 1, 0.2, service.cv, service).wait_s == pytest.approx(0.4 * 0.2 / 0.6 / 2)
    assert service_of(of_batches | {"cv": 0.3}).cv == 0.3


@given(demands=st.lists(st.floats(0, 10), min_size=1, max_size=12), capacity=st.floats(0.1, 40))
def test_max_min_shares(demands, capacity):
    """Nobody gets more than wanted, nothing is left while somebody wants; who is cut is cut to one level."""
    wanted = np.array(demands)
    given_ = max_min(wanted, capacity)
    assert (given_ <= wanted + 1e-12).all()
    assert given_.sum() == pytest.approx(min(capacity, wanted.sum()))
    cut = given_ < wanted - 1e-9
    if cut.any():
        level = given_[cut].max()
        assert given_[cut] == pytest.approx(level)
        assert (given_ <= level + 1e-9).all()


def test_shares_of_two_groups():
    demands = np.repeat([20.0 / 60, 120.0 / 20], [60, 20])
    for discipline, quiet, busy in (("fifo", 10.0, 60.0), ("fair", 20.0, 50.0)):
        given_ = shares(discipline, demands, 70.0)
        assert (given_[:60].sum(), given_[60:].sum()) == pytest.approx((quiet, busy))
        assert shares(discipline, demands, 200.0) == pytest.approx(demands)
    two, one = np.array([2.0]), np.array([1.0])
    assert answered_in_time(two, one, 3.0, 60.0) == pytest.approx(0.05)  # waits grow by a second a second
    assert answered_in_time(one, one, 3.0, 60.0) == 1.0
    both = answered_in_time(np.array([2.0, 1.0]), np.array([1.0, 1.0]), 3.0, 60.0)
    assert both == pytest.approx((2 * 0.05 + 1) / 3)


def drain_s(
    backlog: float, capacity_hz: float, first_hz: float, amplification: float, spare_s: float
) -> float:
    """How long one group's backlog lasts: at speed μ − A·λ down to μ·spare_s, from there at μ − λ; inf if it
    never ends, which is the metastable state."""
    threshold = min(backlog, capacity_hz * spare_s)
    over, under = capacity_hz - amplification * first_hz, capacity_hz - first_hz
    above = backlog - threshold
    if (above > 0 and over <= 0) or (threshold > 0 and under <= 0):
        return inf
    return (above / over if above > 0 else 0.0) + (threshold / under if threshold > 0 else 0.0)


@tried(30)
@given(
    backlog=st.floats(10, 300),
    first=st.floats(5, 60),
    retried=st.floats(1, 3),
    spare_s=st.floats(0.05, 2.0),
)
def test_a_fluid_drains_as_its_closed_form_says(backlog, first, retried, spare_s):
    capacity, step, filling = 76.0, 0.01, 1000
    expected = drain_s(backlog, capacity, first, retried, spare_s)
    again = (min(retried - 1, 1.0), max(retried - 2, 0.0))
    fills, asks = np.zeros((2, filling + 6000))
    fills[:filling], asks[filling:] = capacity + backlog / (filling * step), first
    sources = [Source(fills, np.inf), Source(asks, spare_s, again, (0.0, 0.0), (0.0, 0.0))]
    waiting = flow(sources, np.full(fills.size, capacity), step).waiting[filling:]
    assert waiting[0] == pytest.approx(backlog)
    if abs(retried * first - capacity) < 3:
        return  # so near the threshold that a minute does not tell
    if expected > 55:
        assert waiting[5500] > 0
    else:
        assert np.argmax(waiting == 0) * step == pytest.approx(expected, abs=0.1 + 0.02 * expected)


RETRY = {"attempts": 4, "backoff_s": 0.1, "factor": 2.0, "cap_s": None, "jitter": "none", "allowance": None}


@pytest.mark.parametrize(
    ("deadline_s", "changes", "attempts", "sends"),
    [
        (None, {}, 4, 4.0),
        (10.0, {}, 4, 4.0),
        (1.0, {}, 2, 2.0),  # sends at 0, 0.6 and 1.3 s
        (1.29, {}, 2, 2.0),
        (1.31, {}, 3, 3.0),
        (None, {"allowance": 0.2}, 4, 1.2),
        (None, {"allowance": 3.0}, 4, 4.0),
        (1.2, {"jitter": "full"}, 3, 3.0),  # sends at 0, 0.55 and 1.15 s on average
    ],
)
def test_amplification(deadline_s, changes, attempts, sends):
    group = {
        "retry": RETRY | changes,
        "deadline_s": deadline_s,
        "timeout_s": 0.5,
        "device": {"inference_s": 0.0},
    }
    assert attempts_in_time(group) == attempts
    assert amplification(group) == pytest.approx(sends)
    assert amplification(group | {"retry": None}) == 1.0


def test_retries_come_as_long_after_as_they_wait():
    """A second without a server that tells nobody: who asked in it comes again 0.5 and then 0.6 s later."""
    capacity = np.full(400, 100.0)
    capacity[100:110] = 0.0
    source = Source(np.full(400, 10.0), 0.2, (1.0, 0.5), (0.5, 0.6), (0.1, 0.1))
    silent = flow([source], capacity, 0.1, when_down="silent")
    assert silent.waiting.max() == 0
    came = [*[10.0] * 5, *[20.0] * 6, *[25.0] * 4, 15.0, *[10.0] * 9]
    assert silent.sends_hz[100:125] == pytest.approx(came)
    reported = flow(
        [source], capacity, 0.1, when_down="refuse"
    )  # an error comes at once, and so does the retry
    assert reported.sends_hz[100:114] == pytest.approx([10.0, 20.0, *[25.0] * 9, *[10.0] * 3])
