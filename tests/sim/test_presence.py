"""Clients that join and leave: when they are there, what they ask, and how many of them there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from worlds import group_of, made_up, poisson, product, scenario_of

from sim.scenario import Scenario
from sim.scenario.rules import checks
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.presence import Presence
from sim.world.world import World


def fleet_of(presence: Any, clients: int = 20, horizon_s: float = 200.0, **parts: Any) -> Scenario:
    """Two groups, of which the second comes and goes."""
    group = group_of("guests", clients=clients, presence=presence, **parts)
    return scenario_of(horizon_s=horizon_s, fleet=(group_of("staff", clients=3), group))


COMING = {"join_hz": 0.2, "stay": {"kind": "exponential", "mean_s": 30.0}}


def number_there(scenario: Scenario, at_s: np.ndarray) -> np.ndarray:
    there = World(scenario).presence
    return np.array([((there.from_s <= at) & (at < there.until_s)).sum() for at in at_s])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 9)), max_size=12))
def test_who_is_there_is_who_has_come_and_not_left(drawn):
    """Half-open, like all periods; clients 1 and 3 are always there. One's visits never overlap."""
    last, visits = {}, []
    for client, gap, stay in drawn:
        begin = last.get(client, -1) + 1 + gap
        visits.append((client, float(begin), float(begin + stay)))
        last[client] = begin + stay
    visits.sort()
    who, begin, end = np.array(visits).reshape(-1, 3).T
    there = Presence(who.astype(np.int32), begin, end, np.array([True, False, True, False]))
    at_s, client = np.meshgrid(np.arange(0.0, 40.0, 0.5), np.arange(4, dtype=np.int32))
    found = there.is_there(at_s.ravel(), client.ravel())
    should = [
        one in (1, 3) or any(c == one and a <= at < b for c, a, b in visits)
        for at, one in zip(at_s.ravel(), client.ravel(), strict=True)
    ]
    assert found.tolist() == should


def test_what_is_asked_while_a_client_is_there_is_what_it_would_ask_anyway():
    coming, staying = (ScenarioArrivals(World(fleet_of(one))).draw(0, 0.0, 200.0) for one in (COMING, None))
    kept = World(fleet_of(COMING)).presence.is_there(staying.at_s, staying.client)
    assert coming.at_s.tobytes() == staying.at_s[kept].tobytes()
    assert coming.client.tobytes() == staying.client[kept].tobytes()
    assert 0.1 < kept[staying.client >= 3].mean() < 0.6
    assert kept[staying.client < 3].all()


def test_windows_of_any_length_have_the_same_arrivals():
    whole = ScenarioArrivals(World(fleet_of(COMING))).draw(0, 0.0, 200.0)
    source = ScenarioArrivals(World(fleet_of(COMING)))
    parts = [source.draw(n, begin, begin + 12.5) for n, begin in enumerate(np.arange(0.0, 200.0, 12.5))]
    at_s, client = (np.concatenate([getattr(one, name) for one in parts]) for name in ("at_s", "client"))
    order = np.lexsort((at_s, client))
    assert at_s[order].tobytes() == whole.at_s.tobytes()


def test_a_longer_run_only_adds_visits():
    short, long = (World(fleet_of(COMING, horizon_s=horizon)).presence for horizon in (100.0, 300.0))
    kept = long.from_s < 100.0
    for name in ("client", "from_s", "until_s"):
        assert getattr(short, name).tobytes() == getattr(long, name)[kept].tobytes()


def test_who_joins_has_been_away_longest():
    """One at a time is there, so all take turns."""
    plan = fleet_of({"join_hz": 0.01, "stay": 1.0}, clients=4, horizon_s=4_000.0)
    there = World(plan).presence
    order = there.client[np.argsort(there.from_s)]
    assert len(order) > 20
    assert (order == 3 + np.arange(len(order)) % 4).all()


def test_what_is_under_way_as_a_client_leaves_goes_on():
    """Nothing is asked outside visits, and what was asked just before the end of one is answered after it."""
    service = {"kind": "affine", "base_s": 3.0}
    plan = fleet_of({"at": ((10.0, 20.0), (40.0, 55.0))}, clients=4)
    plan = plan.model_copy(update={"server": scenario_of(server={"service": service, "replicas": 40}).server})
    requests, _ = product(plan, made_up(plan), poisson(plan, 60.0), 60.0)
    guests = requests[requests["client_id"] >= 3]
    at_s = guests["arrived_at_s"]
    assert (((at_s >= 10) & (at_s < 20)) | ((at_s >= 40) & (at_s < 55))).all()
    late = guests[(at_s > 17.0) & (at_s < 20.0)]
    assert len(late) > 2
    assert (late["outcome"] == "remote").all()
    assert (late["answered_at_s"] > 20.0).all()


# How many are there.

STAYS = [
    {"kind": "exponential", "mean_s": 20.0},
    {"kind": "lognormal", "mean_s": 20.0, "cv": 1.5},
    20.0,
]


@pytest.mark.slow
@pytest.mark.parametrize("stay", STAYS, ids=["exponential", "lognormal", "constant"])
def test_the_number_there_is_poisson_from_the_start(stay):
    """Mean ν·E[stay] = 6 whatever the stays' law; instants 150 s apart, which share next to nobody."""
    plan = fleet_of({"join_hz": 0.3, "stay": stay}, clients=60, horizon_s=150_000.0)
    there = number_there(plan, np.arange(0.0, 150_000.0, 150.0))
    seen = np.bincount(np.minimum(there, 12), minlength=13)
    law = np.append(stats.poisson.pmf(range(12), 6.0), stats.poisson.sf(11, 6.0))
    assert stats.chisquare(seen, law * len(there)).pvalue > 1e-3
    starts = [
        number_there(plan.model_copy(update={"seed": seed, "horizon_s": 1.0}), np.zeros(1))[0]
        for seed in range(400)
    ]
    assert np.mean(starts) == pytest.approx(6.0, abs=4 * (6.0 / 400) ** 0.5)


def test_of_few_clients_no_more_than_all_are_there():
    """M/G/N/N: all five are there for B(5, 4) = 0.199 of the time."""
    plan = fleet_of({"join_hz": 0.2, "stay": STAYS[0]}, clients=5, horizon_s=150_000.0)
    there = number_there(plan, np.arange(300.0, 150_000.0, 150.0))
    assert there.max() == 5
    assert (there == 5).mean() == pytest.approx(0.199, abs=4 * (0.199 * 0.801 / 998) ** 0.5)


# Learning together, and what is refused.


def test_who_is_away_takes_no_part_in_a_round():
    plan = scenario_of(
        horizon_s=100.0,
        fleet=(
            group_of("staff", clients=2),
            group_of("guests", clients=2, presence={"at": ((25.0, 45.0),)}),
        ),
        federation={"every_s": 20.0, "steps": 1, "step_s": 0.1, "wait_s": 5.0, "merge": "average"},
        training={"exploration": 0.1},
    )
    rounds = World(plan).federated.rounds
    assert [held.trains.tolist() for held in rounds] == [[0, 1], [0, 1, 2, 3], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("presence", "path"),
    [
        (COMING, None),
        ({"at": ((1.0, 5.0), (6.0, 7.0))}, None),
        ({}, "presence"),
        ({"join_hz": 1.0}, "presence"),
        (COMING | {"at": ((1.0, 5.0),)}, "presence"),
        ({"at": ((5.0, 5.0),)}, "presence.at.0"),
        ({"at": ((5.0, 500.0),)}, "presence.at.0"),
        ({"at": ((5.0, 9.0), (9.0, 10.0))}, "presence.at.1"),
        (COMING | {"join_hz": 1.0}, "presence.join_hz"),
    ],
)
def test_what_is_no_presence_is_refused(presence, path):
    found = [".".join(map(str, finding.path)) for finding in checks.findings(fleet_of(presence))]
    assert found == ([f"fleet.1.{path}"] if path else [])


def test_closed_loops_and_online_training_know_nobody_who_leaves():
    loop = {"process": {"kind": "closed_loop", "think": 1.0}}
    (finding,) = checks.findings(fleet_of(COMING, arrivals=loop))
    assert "closed_loop" in finding.sentence
    online = {"every_s": 50.0, "steps": 1, "step_s": 0.1, "rejector_steps": 1, "rejector_step_s": 0.1}
    plan = fleet_of(COMING)
    training = scenario_of(training={"online": online}).training
    (finding,) = checks.findings(plan.model_copy(update={"training": training}))
    assert "training.online" in finding.sentence
