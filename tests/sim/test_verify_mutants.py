"""A run that breaks a law fails: one part of the loop is put wrong at a time, and `verify` must see it.

Each world runs soundly first, so that it is the mutant that is found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from worlds import MadeUpLearner, WrittenArrivals, group_of, made_up, scenario_of

import sim.engine.chunk
import sim.world.world
from sim.engine.decisions import first_sends
from sim.engine.run import chunks
from sim.errors import RunFailed
from sim.results.budget_audit import charge, nothing_charged
from sim.scenario import Scenario
from sim.world.budgets import Bucket, Periods
from sim.world.parameters import rules
from sim.world.world import World

Patch = pytest.MonkeyPatch
OFTEN = WrittenArrivals(tuple((at + n / 8, n % 2) for at in (0.0, 12.0) for n in range(48)))


def run(scenario: Scenario) -> None:
    learned = made_up(scenario)
    for _ in chunks(World(scenario), learned, OFTEN, 5.0, MadeUpLearner(scenario, learned)):
        pass


def world(server: dict[str, Any] | None = None, charge_on: str = "send", **group: Any) -> Scenario:
    service = {"kind": "affine", "base_s": 0.25}
    return scenario_of(
        fleet=(group_of(clients=2, **group),),
        server={"service": service} | (server or {}),
        costs={"charge_on": charge_on},
    )


def always(*_: Any) -> bool:
    return True


# Budgets.

PER_PERIOD = {"kind": "count", "per_s": 2.0, "limit": 3, "shared_by": "group"}
MONEY = {"kind": "money", "per_s": 2.0, "limit": 0.3, "price": 0.1, "shared_by": "group"}
BUCKET = {"kind": "token_bucket", "rate_hz": 0.7, "burst": 2.0, "shared_by": "group"}


sound_take, sound_settle, sound_earned = Periods.take, Periods.settle, Bucket.earned


def one_more(self: Periods, columns: Any, account: int, now: float, is_held: bool = False) -> bool:
    """A limit that is one too many."""
    return sound_take(replace(self, limit=self.limit + 1), columns, account, now, is_held)


def again(self: Periods, columns: Any, account: int, sent: float, now: float, _is_spent: bool) -> None:
    """What is spent may be spent again."""
    sound_settle(self, columns, account, sent, now, False)


def without_brim(self: Bucket, columns: Any, account: int, now: float) -> None:
    """A bucket that never overflows."""
    left, mark, _ = columns
    left[account] += self.earned(now) - mark[account]
    mark[account] = self.earned(now)


def twice_as_fast(self: Bucket, at: float) -> int:
    return sound_earned(self, 2 * at)


@pytest.mark.parametrize(
    ("budget", "charge_on", "place", "mutant"),
    [
        (PER_PERIOD, "send", (Periods, "take"), always),
        (PER_PERIOD, "send", (Periods, "take"), one_more),
        (MONEY, "send", (Periods, "take"), one_more),
        (PER_PERIOD, "accept", (Periods, "settle"), again),
        (BUCKET, "send", (Bucket, "take"), always),
        (BUCKET, "send", (Bucket, "earned"), twice_as_fast),
        (BUCKET, "send", (Bucket, "_fill"), without_brim),
    ],
    ids=["anybody", "one more", "one more for money", "again", "any token", "twice as fast", "no brim"],
)
def test_a_budget_that_is_overspent(monkeypatch: Patch, budget, charge_on, place, mutant):
    """The recount does not ask the accounts that gave leave, so an error of theirs is no error of its own."""
    scenario = world(charge_on=charge_on, budget=budget, timeout_s=0.125)
    run(scenario)
    monkeypatch.setattr(*place, mutant)
    with pytest.raises(RunFailed, match="more was spent than the budget held"):
        run(scenario)


@pytest.mark.parametrize(
    ("instants", "is_within"),
    [
        ([0.0, 0.0], True),  # full at the start
        ([0.0, 0.0, 0.0], False),
        ([0.0, 0.0, 2.5], True),  # 2.5 s earn one at 0.4/s
        ([0.0, 0.0, 2.4], False),
        ([9.0, 9.0, 9.0], False),  # what is earned beyond the burst is lost
        ([0.0, 9.0, 9.0, 11.5, 11.5], False),
        ([0.0, 9.0, 9.0, 11.5, 14.0], True),
    ],
)
def test_a_bucket_recounted(instants, is_within):
    bucket = Bucket(rate_hz=0.4, burst=2.0)
    ledger = nothing_charged([bucket])
    found = [charge(ledger, 0, bucket, at) for at in instants]
    assert all(found) == is_within


# The server and the links.


def test_more_wait_than_there_are_places(monkeypatch: Patch):
    scenario = world({"queue_limit": 2})
    run(scenario)
    monkeypatch.setattr(sim.world.world, "rules", lambda one: replace(rules(one), queue_limit=np.inf))
    with pytest.raises(RunFailed, match=r"requests waited in a queue of 2 places"):
        run(scenario)


def test_what_an_outage_puts_back_may_wait_beside_a_full_queue():
    outage = {"when": {"kind": "intervals", "at": ((4.0, 6.0),)}}
    batches = {"max_batch": 2, "service": {"kind": "affine", "base_s": 1.0}}
    run(world({"queue_limit": 2, "in_flight": "requeue", "outages": (outage,)} | batches))


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_message_passes_a_link_that_is_cut(monkeypatch: Patch, way):
    target = {"kind": "links", "groups": ("devices",)}
    outage = {"when": {"kind": "intervals", "at": ((4.0, 6.0),)}, "target": target}
    link = {"latency": 0.75}
    scenario = world({"replicas": 4, "outages": (outage,)}, link=link, timeout_s=9.0)
    run(scenario)
    place = {"up": "sim.engine.at_clients.uplink", "down": "sim.engine.loop.downlink"}[way]
    monkeypatch.setattr(place, lambda _: always)
    with pytest.raises(RunFailed, match=r"a message of client \d passed a link that was cut"):
        run(scenario)


@pytest.mark.parametrize("patience", [{"timeout_s": 1.0}, {"deadline_s": 1.0}], ids=str)
def test_an_answer_counts_that_came_too_late(monkeypatch: Patch, patience):
    scenario = world(**patience)
    run(scenario)

    def patient(*given: Any) -> dict[str, Any]:
        sends = first_sends(*given)
        return sends | {"timer": sends["timer"] + 1.0}

    monkeypatch.setattr(sim.engine.chunk, "first_sends", patient)
    with pytest.raises(RunFailed, match=r"counts an answer of .* s, when its client had given up"):
        run(scenario)
