"""Accounts of budgets: exact in whole numbers, asked at any instants, shared by whom the scenario says."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import group_of, scenario_of

from sim.engine.arrays.laying_out import accounts as laid_out
from sim.engine.handlers.lookups import settle, take
from sim.periods import period_of
from sim.registry.allotments import TOKEN, Bucket, Periods
from sim.registry.budgets import MoneyBudget
from sim.world.budgets import accounts
from sim.world.population import population

INSTANTS = st.lists(st.floats(0, 1e6), min_size=1, max_size=60).map(sorted)
RATES = st.sampled_from([0.1, 0.3, 1 / 3, 7.0, 1000.0])


def earned(rate_hz: float, at: float) -> int:
    """Millionths of a token earned in [0, at], rounded down; a product of decimals may fall short of that."""
    return floor(rate_hz * at * TOKEN + 1e-3)


@given(INSTANTS, RATES, st.sampled_from([1.0, 1.5, 4.0]))
def test_a_bucket_never_gives_more_than_its_burst_and_what_it_has_earned(instants, rate_hz, burst):
    bucket = Bucket(rate_hz, burst)
    account = laid_out([bucket])
    taken = [at for at in instants if take(account, 0, at, False)]
    for i, begin in enumerate(taken):
        for n, end in enumerate(taken[i:], start=1):
            assert n * TOKEN <= bucket.full + earned(rate_hz, end) - earned(rate_hz, begin)
    assert taken[:1] == instants[:1]


@given(INSTANTS, RATES)
def test_asking_a_bucket_in_vain_costs_nothing(instants, rate_hz):
    """Asked twice at each instant: the second time takes what one later, less the first, would have."""
    often, seldom = Bucket(rate_hz, 1.0), Bucket(rate_hz, 1.0)
    accounts_of_both = laid_out([often]), laid_out([seldom])
    taken: list[list[float]] = [[], []]
    for at in instants:
        for _ in range(3):
            if take(accounts_of_both[0], 0, at, False):
                taken[0].append(at)
        if take(accounts_of_both[1], 0, at, False):
            taken[1].append(at)
    assert taken[0] == taken[1]


@given(INSTANTS, st.sampled_from([0.1, 0.3, 60.0]), st.integers(0, 3))
def test_a_period_gives_its_limit_and_no_more(instants, per_s, limit):
    budget = Periods(per_s, limit)
    account = laid_out([budget])
    taken = [period_of(at, per_s) for at in instants if take(account, 0, at, False)]
    asked = np.unique([period_of(at, per_s) for at in instants], return_counts=True)
    for period, n in zip(*asked, strict=True):
        assert taken.count(period) == min(n, limit)


def test_a_release_counts_for_the_period_of_the_send():
    budget = Periods(10.0, 1)
    account = laid_out([budget])
    assert [take(account, 0, at, True) for at in (1.0, 2.0)] == [True, False]
    settle(account, 0, 1.0, 9.0, False)
    assert take(account, 0, 9.5, True)
    assert take(account, 0, 11.0, True)
    settle(account, 0, 9.5, 12.0, False)  # of the period before: nothing to be had from it now
    assert not take(account, 0, 12.0, True)


@pytest.mark.parametrize(
    ("limit", "price", "sends"), [(0.3, 0.1, 3), (1.0, 0.3, 3), (0.0, 0.1, 0), (1e9, 1e-9, 10**18)]
)
def test_money_is_counted_in_the_sends_that_it_buys(limit, price, sends):
    budget = MoneyBudget(kind="money", per_s=1.0, limit=limit, price=price).allotment()
    assert isinstance(budget, Periods)
    assert budget.limit == sends


def test_accounts_belong_to_clients_to_groups_or_to_the_fleet():
    def group(name: str, shared_by: str | None) -> dict[str, object]:
        budget = {"kind": "count", "per_s": 10.0, "limit": 1, "shared_by": shared_by}
        return group_of(name, clients=2, budget=budget if shared_by else None)

    fleet = [group(n, by) for n, by in zip("abcde", ("fleet", "client", "group", None, "fleet"), strict=True)]
    scenario = scenario_of(fleet=tuple(fleet))
    found = accounts(scenario, population(scenario))
    assert found.of_client.tolist() == [0, 0, 1, 2, 3, 3, -1, -1, 0, 0]
    drawn_on = laid_out(found.allotments)
    assert [take(drawn_on, account, 1.0, False) for account in found.of_client.tolist()] == [
        *(True, False),
        *(True, True),
        *(True, False),
        *(True, True),
        *(False, False),
    ]
