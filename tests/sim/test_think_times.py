"""Think times: keyed by the request, of the law that was asked for, and the first in equilibrium."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from sim.registry.durations import PositiveDuration
from sim.world.arrivals.think_times import ThinkTimes
from sim.world.population import CLIENT_SHIFT

read = TypeAdapter(PositiveDuration).validate_python
CLIENTS = np.arange(3000)
FALSE_ALARM = 1e-4
GAMMA = read({"kind": "gamma", "mean_s": 4.0, "cv": 0.5})


def test_thoughts_have_their_law_and_a_first_one_is_under_way():
    think = ThinkTimes(5, GAMMA)
    law, biased = stats.gamma(4, scale=1.0), stats.gamma(5, scale=1.0)
    later = [think.before(client << CLIENT_SHIFT | k) for client in range(60) for k in range(1, 51)]
    assert stats.kstest(later, law.cdf).pvalue > FALSE_ALARM
    under_way = stats.kstest(think.first(CLIENTS), lambda x: biased.cdf(x) + x * law.sf(x) / 4.0)
    assert under_way.pvalue > FALSE_ALARM


def test_clients_with_a_constant_thought_are_not_in_step():
    think = ThinkTimes(5, 10.0)
    assert stats.kstest(think.first(CLIENTS), stats.uniform(0, 10).cdf).pvalue > FALSE_ALARM
    assert think.before(7 << CLIENT_SHIFT | 1) == 10.0


def test_a_thought_depends_on_its_request_and_the_seed_alone():
    think, again, other = ThinkTimes(5, GAMMA), ThinkTimes(5, GAMMA), ThinkTimes(6, GAMMA)
    ids = [client << CLIENT_SHIFT | k for client in range(5) for k in range(1, 5)]
    thoughts = [think.before(request) for request in ids]
    assert [again.before(request) for request in reversed(ids)] == thoughts[::-1]
    assert len({*thoughts, *(other.before(request) for request in ids)}) == 2 * len(ids)
    first = think.first(CLIENTS)
    assert [think.first(CLIENTS[n : n + 1])[0] for n in (0, 9, 2999)] == first[[0, 9, 2999]].tolist()
    assert think.before(0) not in first


def test_measured_thoughts_under_way_are_long_ones(tmp_path):
    """Of 1 s and 9 s, met with odds 1 to 9: what is left has mean (1 + 81)/(2·10)."""
    (tmp_path / "a.csv").write_text("1\n9\n")
    first = ThinkTimes(1, read({"kind": "empirical", "file": str(tmp_path / "a.csv")})).first(CLIENTS)
    error = np.std(first, ddof=1) / np.sqrt(len(first))
    assert abs(first.mean() - 4.1) < 4 * error
    assert pytest.approx(0.9 * 8 / 9, abs=4 * np.sqrt(0.16 / len(first))) == np.mean(first > 1)
