"""The times of one send: over the link, in service, before a retry. Each keyed by what it is for."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.engine.simpy_clock import uniform
from sim.scenario.schema.fleet import Link, Retry
from sim.scenario.schema.server import Server
from sim.world.delays import Backoff, LinkDelays, ServiceTimes

IDS = np.arange(2000) + (7 << 32)
FALSE_ALARM = 1e-3  # of each test of a law, once for all: the seed is fixed


def link(**parts: object) -> LinkDelays:
    return LinkDelays(3, Link.model_validate(parts))


def service(max_batch: int = 8, **parts: object) -> ServiceTimes:
    return ServiceTimes(3, Server.model_validate({"service": parts}).service, max_batch)


def backoff(**parts: object) -> Backoff:
    return Backoff(3, Retry.model_validate({"jitter": "none"} | parts))


# The link.


def test_the_uplink_takes_its_latency_and_the_payload_over_the_bandwidth():
    """0.05 s + 8 · 3072 / 2,000,000 = 0.062288 s up; down there is no payload."""
    found = link(latency=0.05, payload_bytes=3072, bandwidth_bps=2e6)
    assert found.up_many(IDS[:2]).tolist() == [0.05 + 24576 / 2e6] * 2
    assert found.down.many(IDS[:2]).tolist() == [0.05] * 2


def test_without_a_limit_of_bandwidth_a_payload_takes_no_time():
    assert link(latency=0.05, payload_bytes=10**6, bandwidth_bps=None).up_many(IDS[:1]).tolist() == [0.05]


def test_a_link_costs_nothing_unless_it_is_told_to():
    assert link().up_many(IDS[:1]).tolist() == link().down.many(IDS[:1]).tolist() == [0.0]


JITTERY = {"latency": {"kind": "exponential", "mean_s": 0.1}, "payload_bytes": 1000, "bandwidth_bps": 1e6}


def test_many_first_sends_equal_one_at_a_time():
    found = link(**JITTERY)
    for many in (found.up_many, found.down.many):
        assert many(IDS).tolist() == [many(IDS[n : n + 1])[0] for n in range(len(IDS))]


def test_up_down_and_every_retry_are_drawn_afresh():
    """No two of the directions and attempts of a request agree, and no two are correlated."""
    found = link(**JITTERY)
    columns = [found.latency_up.many(IDS, attempt) for attempt in (1, 2, 3)]
    columns += [found.down.many(IDS, attempt) for attempt in (1, 2)]
    for n, one in enumerate(columns):
        for other in columns[n + 1 :]:
            assert not np.any(one == other)
            assert stats.spearmanr(one, other).pvalue > FALSE_ALARM / 10


# Service.


def test_a_batch_takes_a_base_and_a_share_for_every_item():
    found = service(base_s=0.05, per_item_s=0.02, kind="affine")
    assert found.scale == pytest.approx([0.05 + 0.02 * n for n in range(9)])
    assert found.factor_one(5, 1) == 1.0
    assert found.factor_many(IDS[:3]).tolist() == [1.0] * 3


def test_the_factor_of_a_batch_varies_about_one():
    factors = service(base_s=0.05, cv=0.5, kind="affine").factor_many(IDS)
    assert stats.kstest(factors, stats.gamma(4, scale=0.25).cdf).pvalue > FALSE_ALARM


def test_a_time_per_batch_does_not_grow_with_the_batch():
    found = service(kind="per_batch", time={"kind": "exponential", "mean_s": 0.4})
    assert found.scale == [1.0] * 9
    assert stats.kstest(found.factor_many(IDS), stats.expon(scale=0.4).cdf).pvalue > FALSE_ALARM
    assert service(kind="per_batch", time=0.4).factor_one(1, 1) == 0.4


@pytest.mark.parametrize(
    "parts",
    [
        {"kind": "affine", "base_s": 0.05, "cv": 0.5},
        {"kind": "per_batch", "time": {"kind": "gamma", "mean_s": 0.4, "cv": 0.7}},
        {"kind": "per_batch", "time": {"kind": "lognormal", "mean_s": 0.4, "cv": 0.7}},
    ],
)
def test_many_batches_equal_one_at_a_time_and_a_retry_or_another_try_is_drawn_afresh(parts):
    found = service(**parts)
    first = found.factor_many(IDS)
    assert first.tolist() == [found.factor_one(request, 1) for request in IDS.tolist()]
    again = [found.factor_one(request, 2) for request in IDS.tolist()]
    once_more = [found.factor_one(request, 1, 1) for request in IDS.tolist()]
    assert not set(first.tolist()) & (set(again) | set(once_more))


# Backoff.


def test_backoff_grows_by_its_factor_up_to_the_cap():
    found = backoff(attempts=6, backoff_s=0.1, factor=2.0, cap_s=1.0)
    assert found.steps == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_without_a_cap_it_grows_on_and_never_becomes_anything_but_a_number():
    """1e300 to the power of 99 is beyond any float: such a retry lies beyond any deadline."""
    found = backoff(attempts=100, backoff_s=0.1, factor=1e300)
    assert found.steps == [0.1, 0.1 * 1e300] + [inf] * 98


def test_a_cap_holds_even_where_the_power_overflows():
    assert backoff(attempts=100, backoff_s=0.1, factor=1e300, cap_s=5.0).steps[98] == 5.0


def test_no_backoff_is_no_time_whatever_the_factor():
    found = backoff(attempts=100, backoff_s=0.0, factor=1e300)
    assert found.steps == [0.0] * 100


def test_a_cap_of_zero_means_at_once():
    assert backoff(attempts=3, backoff_s=0.1, cap_s=0.0).steps == [0.0] * 3


@given(st.integers(1, 100), st.floats(0, 10), st.floats(1, 5), st.none() | st.floats(0, 9))
def test_no_step_is_longer_than_the_cap(n, base, factor, cap):
    cap_s = inf if cap is None else cap
    step = backoff(attempts=100, backoff_s=base, factor=factor, cap_s=cap).steps[n - 1]
    assert 0.0 <= step <= cap_s
    assert step == pytest.approx(min(base * factor ** (n - 1), cap_s))


def test_full_jitter_is_uniform_up_to_the_step_and_drawn_afresh_for_every_failure():
    """The clocks multiply the step by this number."""
    found = backoff(attempts=4, backoff_s=0.1, factor=2.0, jitter="full")
    assert found.is_jittered
    columns = [[uniform(found.draws.root, request, n) for request in IDS.tolist()] for n in (1, 2, 3)]
    assert len(set().union(*columns)) == 3 * len(IDS)
    for shares in columns:
        assert stats.kstest(shares, "uniform").pvalue > FALSE_ALARM
