"""What `check` expects of a run, and what it advises: true to files, and to what is worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worlds import group_of, scenario_of

from sim.scenario import Scenario
from sim.scenario.asking import ways_of
from sim.scenario.rules.advice import advice
from sim.scenario.rules.estimates import estimate, in_words
from sim.scenario.rules.memory import memory

ALWAYS = {"score": "random", "price": {"kind": "always_remote"}}
QUICK = {"service": {"kind": "affine", "base_s": 0.01}}


def replayed(folder: Path, scale: float, shape: Any = None) -> Scenario:
    """A request a second for 100 seconds, in a file whose seconds are `scale` of a real one."""
    file = folder / "trace.csv"
    file.write_text("\n".join(["time", *(f"{round(at / scale)}" for at in range(100))]) + "\n")
    process = {"kind": "trace", "file": str(file), "time_scale": scale}
    arrivals = {"process": process} | ({"shape": shape} if shape else {})
    return scenario_of(horizon_s=100.0, fleet=(group_of(clients=3, arrivals=arrivals),), server=QUICK)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-9])
@pytest.mark.parametrize(
    "shape", [None, {"kind": "flash_crowd", "factor": 1000.0, "at_s": 0.0, "for_s": 9.0}]
)
def test_a_trace_needs_no_more_than_it_holds_whatever_its_unit(tmp_path, scale, shape):
    scenario = replayed(tmp_path, scale, shape)
    group = scenario.fleet[0]
    assert group.arrivals.process.busiest_rate_hz(scenario, 0) * group.clients * 60 <= 100
    assert estimate(scenario).requests == pytest.approx(100)
    assert list(memory(scenario)) == []


def test_requests_load_and_files_by_hand():
    """Ten clients at 0.5 a second for 600 s; batches of four take 0.4 s, so a request takes 0.1 s of two."""
    group = group_of(clients=10, arrivals={"process": {"kind": "poisson", "rate_hz": 0.5}}, policy=ALWAYS)
    server = {"replicas": 2, "max_batch": 4, "service": {"kind": "affine", "base_s": 0.2, "per_item_s": 0.05}}
    found = estimate(scenario_of(horizon_s=600.0, fleet=(group,), server=server))
    assert (found.requests, found.offered, found.busiest) == pytest.approx((3000, 0.25, 0.25))
    assert in_words(found).startswith("expected: 3,000 requests; an offered load of at most 0.25; ")


def test_the_load_of_a_scaled_server_says_of_how_many_replicas_it_is():
    """Thirty requests a second of 0.1 s are three times too many for one replica, and 0.3 of ten."""
    group = group_of(clients=10, arrivals={"process": {"kind": "poisson", "rate_hz": 3.0}}, policy=ALWAYS)
    scaling = {"target_utilisation": 0.6, "interval_s": 5.0, "provisioning_s": 2.0, "min": 1, "max": 10}
    server = {"service": {"kind": "per_batch", "time": 0.1}, "autoscaling": scaling}
    found = in_words(estimate(scenario_of(fleet=(group,), server=server)))
    assert "an offered load of at most 0.3, scaled out in full; " in found


def test_rounds_that_take_capacity_take_it_from_the_load():
    """Half of the time, one in five seconds of ten, batches take twice as long: 1.5 times on average."""
    group = group_of(clients=10, arrivals={"process": {"kind": "poisson", "rate_hz": 0.5}}, policy=ALWAYS)
    online = {"every_s": 10.0, "steps": 50, "step_s": 0.1, "rejector_steps": 1, "rejector_step_s": 0.1}
    scenario = scenario_of(
        horizon_s=600.0, fleet=(group,), server={"service": {"kind": "per_batch", "time": 0.1}}
    )
    document = scenario.model_dump() | {"training": {"online": online | {"capacity_share": 0.5}}}
    found = estimate(Scenario.model_validate(document))
    assert (found.offered, found.busiest) == pytest.approx((0.75, 1.0))
    assert estimate(scenario).offered == pytest.approx(0.5)


def test_a_closed_loop_says_that_its_load_is_one_of_answers_at_once():
    group = group_of(clients=3, arrivals={"process": {"kind": "closed_loop", "think": 0.1}}, policy=ALWAYS)
    server = {"service": {"kind": "per_batch", "time": 0.1}}
    found = in_words(estimate(scenario_of(fleet=(group,), server=server)))
    assert "at most 3, were closed loops answered at once; " in found


def reading(**changes: Any) -> dict[str, object]:
    """Ten clients with sessions of six items and two drafts: a draft takes .1 s, each way 1 s."""
    of = {"arrivals": {"process": {"kind": "closed_loop", "think": 3.0}}, "session": {"items": 6, "draft": 2}}
    of |= {"device": {"inference_s": 0.1}, "link": {"latency": 1.0}, "policy": ALWAYS, "clients": 10}
    return group_of(**of | changes)


def test_sessions_are_expected_to_make_as_many_blocks_as_they_may():
    """Six blocks of an item, with 2 + 2 + 2 + 2 + 2 + 1 drafts: 3 + 1.1 + 6 · 2 s; kept ones, three of two
    drafts: 3 + .6 s. Batches of four take .2 + 12 · .05 s of blocks."""
    server = {"replicas": 2, "max_batch": 4, "service": {"kind": "affine", "base_s": 0.2, "per_item_s": 0.05}}
    found = estimate(scenario_of(horizon_s=161.0, fleet=(reading(),), server=server))
    assert (found.requests, found.offered) == pytest.approx((600, 600 / 161 * 0.2 / 2))
    assert "closed loops" not in in_words(found)
    local = reading(policy={"score": "random", "price": {"kind": "always_local"}})
    kept = estimate(scenario_of(horizon_s=36.0, fleet=(local,), server=server))
    assert (kept.requests, kept.offered) == pytest.approx((300, 0.0))


def of(key: str, scenario: Scenario) -> list[str]:
    return [finding.sentence for finding in advice(scenario) if finding.path[-1] == key]


@pytest.mark.parametrize(
    ("parts", "service"),
    [
        ({"deadline_s": 1.0}, {"kind": "affine", "base_s": 50.0}),
        ({"deadline_s": 5.0, "link": {"latency": 30.0}}, {"kind": "affine", "base_s": 0.01}),
        ({"deadline_s": 5.0, "link": {"bandwidth_bps": 5.0, "payload_bytes": 3072}}, QUICK["service"]),
    ],
)
def test_a_deadline_that_no_answer_can_keep_is_told(parts, service):
    (sentence,) = of("deadline_s", scenario_of(fleet=(group_of(**parts),), server={"service": service}))
    assert sentence.endswith("few or none will be in time")
    assert of("deadline_s", scenario_of(fleet=(group_of(deadline_s=5.0),), server=QUICK)) == []


@pytest.mark.parametrize(
    ("batch", "told"),
    [({"size": 5}, 1), ({"size": 2}, 0), ({"size": 5, "wait_s": 1.0}, 0), ({"size": 3, "of": "sends"}, 0)],
)
def test_a_batch_that_fills_too_late_is_told(batch, told):
    """One request in two seconds: five are there after eight, four in the middle; three are left."""
    arrivals = {"process": {"kind": "poisson", "rate_hz": 0.5}}
    parts = {"deadline_s": 3.01, "arrivals": arrivals, "policy": ALWAYS, "device": {"batch": batch}}
    found = of("batch", scenario_of(fleet=(group_of(**parts),), server=QUICK))
    assert len(found) == told
    assert all("a batch of 5 takes 8 s to fill on average" in one for one in found)


def test_what_never_comes_and_what_is_too_much_is_told():
    shape = {"kind": "flash_crowd", "factor": 4.0, "at_s": 600.0, "for_s": 60.0}
    arrivals = {"process": {"kind": "poisson", "rate_hz": 2.0}, "shape": shape}
    scenario = scenario_of(fleet=(group_of(arrivals=arrivals),))
    assert of("at_s", scenario) == ["600 is not before horizon_s, 20: the crowd never comes"]
    (told,) = of("service", scenario)
    assert told == "the offered load is 2: more is sent than full batches can serve"


def test_a_target_that_is_never_exceeded_is_told():
    scaling = {"interval_s": 5.0, "provisioning_s": 2.0, "min": 1, "max": 10}
    for target, count in ((1.0, 1), (0.9, 0)):
        server = QUICK | {"autoscaling": scaling | {"target_utilisation": target}}
        assert len(of("target_utilisation", scenario_of(server=server))) == count


LINK = {"latency": 0.2, "bandwidth_bps": 800.0, "payload_bytes": 10, "reply_bytes": 20}


@pytest.mark.parametrize(("more", "count"), [({}, 0), ({"session": None}, 0), ({"link": LINK}, 1)])
def test_an_answer_in_time_is_one_with_its_reply_and_all_its_items(more, count):
    """Of a block: .2 s for two drafts, .4 s there and back, .3 and .2 s of bytes, .1 + 3 · .05 s of service:
    1.35 s."""
    parts = {"link": {"latency": 0.2}, "deadline_s": 1.34} | more
    server = {"service": {"kind": "affine", "base_s": 0.1, "per_item_s": 0.05}}
    scenario = scenario_of(fleet=(reading(**parts),), server=server)
    assert len(of("deadline_s", scenario)) == count
    (way,) = ways_of(scenario, scenario.fleet[0])
    assert way.answer_s == pytest.approx({(): 0.85, ("session",): 0.65, ("link",): 1.35}[tuple(more)])
    late = reading(**parts | {"deadline_s": 1.36})
    assert of("deadline_s", scenario_of(fleet=(late,), server=server)) == []


@pytest.mark.parametrize(
    ("again_s", "is_cut", "count"), [(0.001, True, 1), (0.001, False, 0), (1.2, True, 0)]
)
def test_who_is_cut_off_and_asks_all_the_time_is_told(again_s, is_cut, count):
    """An answer takes 2.21 s."""
    cut = {
        "when": {"kind": "intervals", "at": ((5.0, 9.0),)},
        "target": {"kind": "links", "groups": ("devices",)},
    }
    group = reading(session={"items": 6, "draft": 2, "again_s": again_s})
    told = of("again_s", scenario_of(fleet=(group,), server=QUICK | {"outages": (cut,) * is_cut}))
    assert len(told) == count
    assert all("asks 2.21e+03 times as often as who is answered" in one for one in told)
