"""Laws that hold in every world, whatever the two loops agree on: judged from the tables alone."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import is_dataclass
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import in_loop, several, worlds
from tried import tried
from worlds import MadeUpLearner, WrittenArrivals, differences, frame, made_up, product

from sim.engine.learning import Learning
from sim.engine.simpy_clock import SimPyClock
from sim.engine.state import State, at_start
from sim.engine.window import run_window
from sim.periods import period_of
from sim.registry.budgets import CountBudget, MoneyBudget, TokenBucket
from sim.results.columns import CAUSES, OUTCOMES
from sim.results.table import tabulator
from sim.scenario import Scenario
from sim.world.outages.links import Links
from sim.world.population import population
from sim.world.world import World


def sends_of(scenario: Scenario, arrivals: WrittenArrivals, chunk_s: float) -> pd.DataFrame:
    """Every attempt of every request, with its client, its outcome and its deadline."""
    requests, attempts = product(scenario, made_up(scenario), arrivals, chunk_s)
    several = attempts.merge(requests[["request_id", "client_id", "outcome"]], on="request_id")
    single = requests[requests["attempts"] == 1].assign(attempt=1)
    single["charged"] = single["cost"] > 0
    columns = [name for name in several.columns if name in single.columns]
    return pd.concat([single[columns], several[columns]], ignore_index=True)


@tried(60)
@given(worlds())
def test_every_request_has_one_outcome_and_its_times_are_in_order(world):
    scenario, arrivals, chunk_s = world
    requests, attempts = product(scenario, made_up(scenario), arrivals, chunk_s)
    came = Counter(client for at, client in arrivals.pairs if at < scenario.horizon_s)
    told = Counter(requests["client_id"].tolist())
    group = population(scenario).group
    assert {c: n for c, n in told.items() if not in_loop(scenario.fleet[group[c]])} == came
    assert requests["request_id"].is_unique
    assert set(requests["outcome"]) <= set(OUTCOMES)
    assert set(requests["server_cause"]) <= set(CAUSES)
    assert requests["attempts"].sum() == len(attempts) + (requests["attempts"] == 1).sum()
    asked = ["arrived_at_s", "decided_at_s", "sent_at_s", "reached_at_s", "started_at_s", "finished_at_s"]
    for table, names in (
        (requests, asked),
        (requests, ["arrived_at_s", "first_answer_at_s", "answered_at_s"]),
        (attempts, asked[2:]),
    ):
        for row in table[names].to_numpy():
            known = row[~np.isnan(row)]
            assert np.all(np.diff(known) >= 0)


@tried(60)
@given(worlds())
def test_nothing_starts_while_it_cannot_work_and_nothing_passes_a_link_that_is_cut(world):
    scenario, arrivals, chunk_s = world
    sends = sends_of(scenario, arrivals, chunk_s)
    links, found = Links(World(scenario).outage_times), World(scenario).capacities[0]
    for send in sends.itertuples():
        link = links.downtime(send.client_id)
        assert link.is_up(send.sent_at_s)
        if send.reached_at_s == send.reached_at_s:
            part_ends = getattr(send, "computed_at_s", np.nan)  # what its device does before it leaves
            assert link.is_up_through(np.fmax(send.sent_at_s, part_ends), send.reached_at_s)
        if scenario.server.autoscaling is None and send.started_at_s == send.started_at_s:
            assert send.replica < found.usable_at(send.started_at_s)


@tried(60)
@given(worlds())
def test_first_come_first_served_never_overtakes_and_is_never_idle_while_somebody_waits(world):
    """Of worlds without batching delay, expiry or returns, and with replicas known beforehand."""
    scenario, arrivals, chunk_s = world
    server = scenario.server.model_copy(
        update={
            "discipline": "fifo",
            "drop_expired": False,
            "batch_wait_s": 0.0,
            "autoscaling": None,
            "in_flight": "lose",
            "queue_survives": True,
        }
    )
    scenario = scenario.model_copy(update={"server": server})
    sends = sends_of(scenario, arrivals, chunk_s)
    started = sends[sends["started_at_s"].notna()]
    in_order = started.sort_values(["reached_at_s", "started_at_s"])
    assert in_order["started_at_s"].is_monotonic_increasing
    usable = World(scenario).capacities[0]
    batches = started.groupby(["started_at_s", "replica"], as_index=False).first()
    ends = [inf if np.isnan(batch.finished_at_s) else batch.finished_at_s for batch in batches.itertuples()]
    for send in started.itertuples():
        if send.started_at_s == send.reached_at_s:
            continue
        # Just before it starts, and just after it came, every usable replica was at work, or had just lost
        # its batch with the replica itself.
        for t in (send.reached_at_s, np.nextafter(send.started_at_s, 0)):
            if t < send.reached_at_s:
                continue
            working = {
                batch.replica
                for batch, end in zip(batches.itertuples(), ends, strict=True)
                if batch.started_at_s <= t < end
            }
            assert set(range(int(usable.usable_at(t)))) <= working | _ending(batches, ends, t)


def _ending(batches: pd.DataFrame, ends: list[float], t: float) -> set[int]:
    """Replicas whose batch ends at t, which may come after an arrival that takes no time."""
    return {batch.replica for batch, end in zip(batches.itertuples(), ends, strict=True) if end == t}


@tried(60)
@given(worlds())
def test_no_budget_is_ever_overspent(world):
    """Recounted from what was sent and charged, in fractions, without asking the loop's accounts."""
    scenario, arrivals, chunk_s = world
    sends = sends_of(scenario, arrivals, chunk_s)
    charged = sends[sends["charged"]]
    group_of = population(scenario).group
    by_account: dict[tuple[int, int], list[float]] = {}
    for send in charged.itertuples():
        g = int(group_of[send.client_id])
        budget = scenario.fleet[g].budget
        if budget is not None:
            owner = send.client_id if budget.shared_by == "client" else -1
            whose = next(n for n, one in enumerate(scenario.fleet) if one.budget == budget)
            by_account.setdefault((whose if budget.shared_by == "fleet" else g, owner), []).append(
                send.sent_at_s
            )
    for (g, _), times in by_account.items():
        assert_within(scenario.fleet[g].budget, sorted(times))


def assert_within(budget: Any, times: list[float]) -> None:
    if isinstance(budget, TokenBucket):
        for i, begin in enumerate(times):
            for n, end in enumerate(times[i:], start=1):
                assert n <= budget.burst + budget.rate_hz * (end - begin) + 1e-5
        return
    per_period = Counter(period_of(at, budget.per_s) for at in times)
    most = max(per_period.values(), default=0)
    if isinstance(budget, MoneyBudget):
        assert most * Fraction(str(budget.price)) <= Fraction(str(budget.limit))
    else:
        assert isinstance(budget, CountBudget)
        assert most <= budget.limit


@tried(60)
@given(worlds(), st.sets(st.integers(1, 99), max_size=6), st.booleans())
def test_a_state_that_is_written_and_read_at_any_chunk_end_changes_nothing(world, cuts, through_bytes):
    """Chunks of any lengths: the horizon's hundredths, multiplied by it."""
    scenario, arrivals, _ = world
    whole, _ = product(scenario, made_up(scenario), arrivals, scenario.horizon_s)
    ends = [*(cut / 100 * scenario.horizon_s for cut in sorted(cuts)), scenario.horizon_s]
    state, learned, begin, parts = started(scenario), made_up(scenario), 0.0, []
    learning = Learning(World(scenario), learned, MadeUpLearner(scenario, learned))
    for end in ends:
        laid_down = World(scenario).parameters  # made anew: nothing but the state is carried on
        drawn = arrivals.draw(0, begin, end)
        last = end == scenario.horizon_s
        ended, _, _ = run_window(laid_down, learning, state, drawn, begin, end, last, SimPyClock(laid_down))
        made = tabulator(World(scenario), learning)
        parts.append(frame(made.requests(made.columns(ended))))
        if through_bytes:
            state, learning = pickle.loads(pickle.dumps((state, learning)))
        assert_is_data(state)
        begin = end
    pieces = pd.concat(parts).sort_values("request_id", ignore_index=True)
    assert differences(pieces, whole) == []


def started(scenario: Scenario) -> State:
    return at_start(World(scenario))


def assert_is_data(value: Any) -> None:
    """Arrays, numbers, and lists and records of them: nothing that runs."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        for one in value.values():
            assert_is_data(one)
    elif isinstance(value, list | tuple):
        for one in value:
            assert_is_data(one)
    else:
        assert isinstance(value, np.ndarray | int | float), type(value)
        assert getattr(value, "dtype", None) != np.dtype(object)


@pytest.mark.slow
def test_the_sample_of_worlds_has_something_of_everything():
    """Or the laws above would say little: every outcome and every cause is met."""
    outcomes: Counter[str] = Counter()
    causes: Counter[str] = Counter()

    def look(world):
        requests, attempts = product(world[0], made_up(world[0]), *world[1:])
        outcomes.update(set(requests["outcome"]))
        causes.update({*requests["server_cause"], *attempts["server_cause"]})

    for kind in (worlds(), several()):
        many = tried(400)
        many(given(kind)(look))()
    assert set(outcomes) == set(OUTCOMES)
    assert set(causes) == set(CAUSES)
    assert min(outcomes.values()) > 5
