"""Clients that think, ask and wait: exact instants, the laws of a closed loop, and its closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import WrittenArrivals, differences, group_of, made_up, product, reference, scenario_of

from sim.engine.arrays import requests_ahead
from sim.engine.arrays.requests_ahead import KeptAhead
from sim.engine.learning import Learning
from sim.engine.state import at_start
from sim.scenario import Scenario
from sim.world.arrivals.think_times import ThinkTimes
from sim.world.population import CLIENT_SHIFT
from sim.world.world import World

NOBODY = WrittenArrivals(())


def thinking(think: Any, **changes: Any) -> dict[str, object]:
    return group_of(arrivals={"process": {"kind": "closed_loop", "think": think}}, **changes)


def run(scenario: Scenario, chunk_s: float = 60.0) -> pd.DataFrame:
    requests, _ = product(scenario, made_up(scenario), NOBODY, chunk_s)
    return requests


def first_of(scenario: Scenario) -> float:
    think = scenario.fleet[0].arrivals.process.think
    return float(ThinkTimes(scenario.seed, think).first(np.array([0]))[0])


def test_a_client_asks_again_when_it_has_thought_about_the_answer():
    """Thinks for 2 s; the way there and back takes 0.5 s each, the service 1 s: a request every 4 s."""
    scenario = scenario_of(fleet=(thinking(2.0, link={"latency": 0.5}),))
    first = first_of(scenario)
    requests = run(scenario)
    assert 0 <= first <= 2.0
    np.testing.assert_allclose(requests["arrived_at_s"], first + 4.0 * np.arange(len(requests)), rtol=1e-12)
    heard = requests[requests["arrived_at_s"] + 2.0 < 20.0]
    np.testing.assert_allclose(heard["answered_at_s"], heard["arrived_at_s"] + 2.0)
    assert len(requests) == int((20.0 - first) // 4.0) + 1


def test_the_way_of_a_single_client_takes_longer_while_its_link_is_slow():
    """There and back half a second each, and twice as long from 6 s on, as each of them begins."""
    slow = {
        "when": {"kind": "intervals", "at": ((6.0, 20.0),)},
        "target": {"kind": "links", "groups": ("devices",)},
        "effect": {"kind": "slowdown", "factor": 2.0},
    }
    group = thinking(2.0, link={"latency": 0.5})
    server = {"service": {"kind": "affine", "base_s": 1.0}, "outages": (slow,)}
    requests = run(scenario_of(fleet=(group,), server=server)).dropna(subset="answered_at_s")
    up = requests["reached_at_s"] - requests["sent_at_s"]
    down = requests["answered_at_s"] - requests["finished_at_s"]
    np.testing.assert_allclose(up, np.where(requests["sent_at_s"] < 6.0, 0.5, 1.0))
    np.testing.assert_allclose(down, np.where(requests["finished_at_s"] < 6.0, 0.5, 1.0))
    assert set(up.round(1)) == {0.5, 1.0}


def test_a_client_that_gives_up_asks_again_while_its_work_goes_on():
    """The service takes 5 s, the client waits for 1 s and thinks for 1 s: the server stays a step behind."""
    server = {"replicas": 9, "service": {"kind": "affine", "base_s": 5.0}}
    scenario = scenario_of(fleet=(thinking(1.0, timeout_s=1.0),), server=server)
    requests = run(scenario)
    np.testing.assert_allclose(np.diff(requests["arrived_at_s"]), 2.0)
    assert set(requests["outcome"][:-1]) == {"timed_out"}
    assert requests["finished_at_s"].notna().sum() >= 6


def test_a_client_that_keeps_everything_thinks_after_each_decision():
    local = {"score": "l2h", "price": {"kind": "always_local"}}
    requests = run(scenario_of(fleet=(thinking(1.5, policy=local, device={"inference_s": 0.5}),)))
    np.testing.assert_allclose(np.diff(requests["arrived_at_s"]), 2.0)
    assert requests["decided_at_s"].notna().sum() >= 9


def busy(**changes: Any) -> Scenario:
    think = {"kind": "exponential", "mean_s": 1.0}
    group = thinking(think, clients=6, timeout_s=3.0, device={"inference_s": 0.125}, **changes)
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.25}}
    return scenario_of(horizon_s=60.0, fleet=(group,), server={"service": service})


@pytest.mark.parametrize("chunk_s", [1.0, 7.25])
def test_the_length_of_a_chunk_changes_no_row(chunk_s):
    """Think times, requests and decisions that cross the ends of chunks."""
    assert differences(run(busy(), chunk_s), run(busy())) == []


def test_nobody_runs_out_of_what_was_drawn_ahead(monkeypatch):
    """Four requests at a time, of clients that ask some thirty times each."""
    told = run(busy())
    monkeypatch.setattr(requests_ahead, "FEWEST", 4)
    monkeypatch.setattr(requests_ahead, "MOST", 4)
    assert differences(run(busy()), told) == []


def test_a_long_loop_equals_its_definition():
    scenario = busy(policy={"score": "l2h", "price": {"kind": "threshold", "at": -0.5}})
    learned = made_up(scenario)
    assert differences(*(loop(scenario, learned, NOBODY, 5.0)[0] for loop in (product, reference))) == []


def test_a_client_has_one_request_open_and_thinks_as_drawn():
    scenario = busy()
    requests = run(scenario)
    assert len(requests) > 150
    think = ThinkTimes(scenario.seed, scenario.fleet[0].arrivals.process.think)
    for client, own in requests.groupby("client_id"):
        assert own["request_id"].tolist() == [client << CLIENT_SHIFT | k for k in range(len(own))]
        thought = own["arrived_at_s"].to_numpy()[1:] - own["answered_at_s"].to_numpy()[:-1]
        drawn = [think.before(request_id) for request_id in own["request_id"].tolist()[1:]]
        np.testing.assert_allclose(thought, drawn, rtol=0, atol=1e-9)


def test_a_drift_counts_from_its_instant_on():
    """It begins as a request is asked, and brings another class than that was of."""
    learned = made_up(scenario_of(fleet=(thinking(2.0),)))
    before = run(scenario_of(fleet=(thinking(2.0),)))
    classes = dict(zip(learned.samples.sample_id.tolist(), learned.samples.label.tolist(), strict=True))
    at_s, was = float(before["arrived_at_s"][2]), classes[before["sample_id"][2]]
    other = next(label for label in learned.samples.label.tolist() if label != was)
    drift = ({"at_s": at_s, "classes": tuple(1.0 * (n == other) for n in range(10))},)
    scenario = scenario_of(fleet=(thinking(2.0, traffic={"mix": "all", "drift": drift}),))
    requests = run(scenario)
    assert requests["arrived_at_s"][2] == at_s
    assert [classes[one] for one in requests["sample_id"][2:]] == [other] * (len(requests) - 2)
    assert differences(requests, reference(scenario, made_up(scenario), NOBODY, 60.0)[0]) == []


def test_two_policies_share_think_times_and_samples():
    """Not arrivals: whoever waits longer asks later."""
    sent = run(busy())
    kept = run(busy(policy={"score": "l2h", "price": {"kind": "always_local"}}))
    both = sent.merge(kept, on="request_id")
    assert len(both) > 150
    assert (both["sample_id_x"] == both["sample_id_y"]).all()
    assert (both["arrived_at_s_x"] > both["arrived_at_s_y"]).mean() > 0.9


def test_what_is_drawn_ahead_is_the_same_whenever_it_was_drawn():
    """For a stretch later on, and for one before it again, as after a state is put back."""
    scenario = scenario_of(fleet=(thinking({"kind": "exponential", "mean_s": 1.0}, clients=3),))
    world = World(scenario)
    learning, state, kept = Learning(world, made_up(scenario)), at_start(world), KeptAhead()
    for k in (0, 10, 500, 490, 7):
        state.next_k[:] = k, k + 1, 2 * k
        mine = kept.of(world.parameters, learning, state, 0.0, 20.0)
        anew = KeptAhead().of(world.parameters, learning, state, 0.0, 20.0)
        for client, next_k in enumerate(state.next_k.tolist()):
            there, other = (one.requests.base[client] for one in (mine, anew))
            each = mine.count // 3
            assert there <= next_k < there + each - 2
            assert (
                mine.requests.think_s[client * each + next_k - there] == anew.requests.think_s[client * each]
            )
            assert other == next_k
