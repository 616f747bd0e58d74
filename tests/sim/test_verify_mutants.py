"""A run that breaks a law fails: one part of the loop is put wrong at a time, and `verify` must see it.

Each world runs soundly first, so that it is the mutant that is found.
"""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
import pytest
from worlds import MadeUpLearner, WrittenArrivals, group_of, made_up, scenario_of

import sim.engine.window
from sim.engine.decisions import first_sends
from sim.engine.handlers import links, lookups, pipelines
from sim.engine.handlers.primitives import whole_number
from sim.engine.learning import Learning
from sim.engine.linking import handler
from sim.engine.run import chunks
from sim.errors import RunFailed
from sim.registry.allotments import TOKEN, Bucket
from sim.results.budget_audit import charge, nothing_charged
from sim.results.stage_audit import audit_stages
from sim.scenario import Scenario
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


@handler
def always(*_: Any) -> bool:
    return True


# Budgets.

PER_PERIOD = {"kind": "count", "per_s": 2.0, "limit": 3, "shared_by": "group"}
MONEY = {"kind": "money", "per_s": 2.0, "limit": 0.3, "price": 0.1, "shared_by": "group"}
BUCKET = {"kind": "token_bucket", "rate_hz": 0.7, "burst": 2.0, "shared_by": "group"}


sound_take, sound_settle = lookups.take, lookups.settle


@handler
def one_more(accounts: Any, account: Any, now: Any, is_held: Any) -> Any:
    """A limit that is one too many."""
    if whole_number(now / accounts.per_s[account]) != accounts.mark[account] or now == accounts.mark[account]:
        sound_take(accounts, account, now, is_held)
        accounts.left[account] += 1
        return True
    return sound_take(accounts, account, now, is_held)


@handler
def again(accounts: Any, account: Any, sent: Any, now: Any, _is_spent: Any) -> Any:
    """What is spent may be spent again."""
    sound_settle(accounts, account, sent, now, False)


@handler
def without_brim(accounts: Any, account: Any, now: Any) -> Any:
    """A bucket that never overflows."""
    earned = whole_number(floor(accounts.rate_hz[account] * now * TOKEN))
    accounts.left[account] += earned - accounts.mark[account]
    accounts.mark[account] = earned


@handler
def twice_as_fast(accounts: Any, account: Any, now: Any) -> Any:
    earned = whole_number(floor(2 * accounts.rate_hz[account] * now * TOKEN))
    level = accounts.left[account] + earned - accounts.mark[account]
    accounts.left[account] = min(accounts.full[account] - accounts.held[account] * TOKEN, level)
    accounts.mark[account] = earned


@pytest.mark.parametrize(
    ("budget", "charge_on", "place", "mutant"),
    [
        (PER_PERIOD, "send", "obstacles.take", always),
        (PER_PERIOD, "send", "obstacles.take", one_more),
        (MONEY, "send", "obstacles.take", one_more),
        (PER_PERIOD, "accept", "clients.settle", again),
        (BUCKET, "send", "obstacles.take", always),
        (BUCKET, "send", "lookups.fill", twice_as_fast),
        (BUCKET, "send", "lookups.fill", without_brim),
    ],
    ids=["anybody", "one more", "one more for money", "again", "any token", "twice as fast", "no brim"],
)
def test_a_budget_that_is_overspent(monkeypatch: Patch, budget, charge_on, place, mutant):
    """The recount does not ask the accounts that gave leave, so an error of theirs is no error of its own."""
    scenario = world(charge_on=charge_on, budget=budget, timeout_s=0.125)
    run(scenario)
    monkeypatch.setattr(f"sim.engine.handlers.{place}", mutant)
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


sound_enter = pipelines.enter


@handler
def in_no_time(w: Any, r: Any, s: Any, now: Any, replica: Any, takes: Any) -> Any:
    """A batch is done when it would be if it never waited for a stage."""
    sound_enter(w, r, s, now, replica, takes)
    return now + takes * s.stage_overhead


def test_a_batch_overtakes_another_in_a_pipeline(monkeypatch: Patch):
    unlike = {"service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.25}}}
    scenario = world(unlike | {"stages": 3})
    run(scenario)
    monkeypatch.setattr("sim.engine.handlers.server.enter", in_no_time)
    with pytest.raises(RunFailed, match="overtook another in pipeline server"):
        run(scenario)


def test_more_batches_are_in_a_pipeline_than_stages():
    scenario = world({"stages": 2})
    sends = {
        "server": np.zeros(4, dtype=np.int64),
        "replica": np.array([0, 0, 0, 1]),
        "started": np.array([0.0, 0.5, 1.0, 0.2]),
        "finished": np.array([1.0, 1.5, 2.0, 9.0]),
    }
    parameters = World(scenario).parameters
    audit_stages(parameters, sends)
    with pytest.raises(RunFailed, match=r"more than 2 batches were in pipeline server at 0\.9 s"):
        audit_stages(parameters, sends | {"started": np.array([0.0, 0.5, 0.9, 0.2])})


def test_more_wait_than_there_are_places(monkeypatch: Patch):
    scenario = world({"queue_limit": 2})
    run(scenario)

    @handler
    def endless(s: Any) -> Any:
        s.limit = np.inf

    monkeypatch.setattr("sim.engine.handlers.capacity.set_limit", endless)
    monkeypatch.setattr("sim.engine.handlers.walk.set_limit", endless)
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
    place = {"up": "clients.is_up_through", "down": "server.goes_down"}[way]
    monkeypatch.setattr(f"sim.engine.handlers.{place}", always)
    with pytest.raises(RunFailed, match=r"a message of client \d passed a link that was cut"):
        run(scenario)


@pytest.mark.parametrize("patience", [{"timeout_s": 1.0}, {"deadline_s": 1.0}], ids=str)
def test_an_answer_counts_that_came_too_late(monkeypatch: Patch, patience):
    scenario = world(**patience)
    run(scenario)

    def patient(*given: Any) -> dict[str, Any]:
        sends = first_sends(*given)
        return sends | {"timeout_at": sends["timeout_at"] + 1.0}

    monkeypatch.setattr(sim.engine.window, "first_sends", patient)
    with pytest.raises(RunFailed, match=r"counts an answer of .* s, when its client had given up"):
        run(scenario)


# What devices compute.


def in_parts(**keys: Any) -> Scenario:
    option = {"option": "rest", "server": "server", "device_s": 0.5} | keys
    return world(options=(option,))


@handler
def never(*_: Any) -> bool:
    return False


@handler
def at_once(w: Any, send: Any) -> Any:
    """A device that takes a part on as if it took no time."""
    w.options.device_s[0] = 1e-6
    return w.rows.computed[w.sends.row[send]] == 0


@pytest.mark.parametrize("mutant", [never, at_once], ids=["never", "in no time"])
def test_a_request_that_leaves_before_its_device_is_done(monkeypatch: Patch, mutant):
    run(in_parts())
    monkeypatch.setattr("sim.engine.handlers.device.computes_first", mutant)
    with pytest.raises(RunFailed, match="left before its device had done its part"):
        run(in_parts())


def test_a_part_that_takes_no_energy(monkeypatch: Patch):
    run(in_parts(device_j=0.5))

    @handler
    def nothing(_w: Any, _now: Any, _client: Any, _row: Any, _amount: Any) -> Any:
        return whole_number(0)

    monkeypatch.setattr("sim.engine.handlers.device.take_charge", nothing)
    with pytest.raises(RunFailed, match="requests asked for"):
        run(in_parts(device_j=0.5))


# Shared links.


def a_cell(discipline: str) -> Scenario:
    link = {"payload_bytes": 100, "over": ("cell",)}
    cell = {"link": "cell", "bandwidth_bps": 8000.0, "discipline": discipline}
    return scenario_of(
        fleet=(group_of(clients=2, link=link),),
        server={"replicas": 9, "service": {"kind": "affine", "base_s": 0.25}},
        network=(cell,),
    )


sound_passed_at = links.passed_at


@handler
def a_little_late(lines: Any, link: Any, bits: Any) -> Any:
    return sound_passed_at(lines, link, bits) + 0.05


@handler
def too_early(lines: Any, link: Any, bits: Any) -> Any:
    return sound_passed_at(lines, link, 0.5 * bits)


@pytest.mark.parametrize("discipline", ["fifo", "ps"])
@pytest.mark.parametrize(
    ("place", "mutant", "said"),
    [
        ("passed_at", a_little_late, "link cell let .* bits pass"),
        ("passed_at", too_early, "faster than it can"),
    ],
    ids=["late", "early"],
)
def test_a_shared_link_that_lets_too_much_or_too_little_pass(
    monkeypatch: Patch, discipline, place, mutant, said
):
    scenario = a_cell(discipline)
    run(scenario)
    monkeypatch.setattr(f"sim.engine.handlers.links.{place}", mutant)
    with pytest.raises(RunFailed, match=said):
        run(scenario)


def test_a_queue_that_lets_the_last_pass_first(monkeypatch: Patch):
    """Bits that a link is said to have let pass twice as fast put whoever comes later before others."""
    scenario = a_cell("fifo")
    run(scenario)

    @handler
    def by_turns(lines: Any, link: Any, bits: Any) -> Any:
        return sound_passed_at(lines, link, bits) + 3.0 * (bits % 4000.0 < 1000.0)

    monkeypatch.setattr("sim.engine.handlers.links.passed_at", by_turns)
    with pytest.raises(RunFailed, match="before one that had come earlier"):
        run(scenario)


# Calls of serverless servers.


@handler
def the_coldest(w: Any, s: Any, _now: Any) -> Any:
    found = s.lowest
    for replica in range(s.lowest, s.first_replica + s.replicas):
        if w.replicas.is_idle[replica] and w.replicas.warm_until[replica] < w.replicas.warm_until[found]:
            found = replica
    return found


@pytest.mark.parametrize(
    ("place", "mutant", "told"),
    [("server.is_warm", always, "was warm"), ("server.warmest", the_coldest, "was cold, and instance . was")],
    ids=["always warm", "the coldest"],
)
def test_a_call_that_was_warm_or_cold_and_need_not_be(monkeypatch: Patch, place, mutant, told):
    calls = {"keep_alive_s": 2.0, "cold_start_s": 1.0}
    scenario = world({"replicas": 20, "serverless": calls})
    run(scenario)
    monkeypatch.setattr(f"sim.engine.handlers.{place}", mutant)
    with pytest.raises(RunFailed, match=told):
        run(scenario)


# Prototypes.


def of_the_last_merge(self: Learning, _client: Any, sample: Any, at_s: Any) -> Any:
    """As if it had been there all along."""
    return {"label": np.zeros(len(sample), np.int16), "age": at_s - self.schedule.copied_at_s[-1]}


@pytest.mark.parametrize(
    ("place", "mutant"),
    [("sim.engine.learning.Learning.nearest", of_the_last_merge), ("sim.results.answerers.LOCAL", -7)],
    ids=["too early", "what was kept"],
)
def test_a_prototype_that_answers_too_early_or_what_was_kept(monkeypatch: Patch, place, mutant):
    times = {"every_s": 4.0, "steps": 1, "step_s": 0.1, "wait_s": 2.0, "learns": "prototypes"}
    down = {"when": {"kind": "intervals", "at": ((13.0, 17.0),)}, "target": {"kind": "server"}}
    policy = {"score": "confidence", "price": {"kind": "threshold", "at": 0.0}}
    server = {"outages": (down,), "when_down": "refuse"}
    plain = world(server, fallback="prototype", policy=policy).model_dump()
    scenario = Scenario.model_validate(plain | {"federation": times, "horizon_s": 20.0})
    run(scenario)
    monkeypatch.setattr(place, mutant)
    with pytest.raises(RunFailed, match="by a prototype that its client had not"):
        run(scenario)


def older_and_older(_learning, _client, _sample, at_s, server):
    """Heads that grow younger: those of the last merge answer first."""
    return {"label": server, "version": (1000 - 10 * at_s).astype(np.int32)}


def as_another_says(_learning, _client, _sample, _at_s, server):
    """Before any head has learned, something else than the server's own layer."""
    return {"label": (server + 1).astype(np.int16), "version": np.zeros(len(server), dtype=np.int32)}


@pytest.mark.parametrize("mutant", [older_and_older, as_another_says])
def test_a_head_that_its_client_had_not(monkeypatch: Patch, mutant):
    times = {"every_s": 4.0, "steps": 1, "step_s": 0.1, "wait_s": 2.0, "learns": "heads"}
    policy = {"score": "confidence", "price": {"kind": "always_remote"}}
    plain = world({}, reply="features", policy=policy).model_dump()
    scenario = Scenario.model_validate(plain | {"federation": times, "horizon_s": 20.0})
    run(scenario)
    monkeypatch.setattr("sim.engine.learning.Learning.said_by_heads", mutant)
    with pytest.raises(RunFailed, match="by a head that its client had not"):
        run(scenario)
