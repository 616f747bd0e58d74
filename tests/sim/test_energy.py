"""Energy: exact stories of batteries, each held against the reference loop, too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from stories import LOCAL, Story, devices
from strategies import several, worlds
from tried import tried
from worlds import WrittenArrivals, differences, made_up, product, scenario_of

from sim.errors import BadInput
from sim.scenario import Scenario, read
from sim.scenario.schema.fleet import Battery, Device


def on_battery(inference_j: float = 0.0, idle_w: float = 0.0, **battery: Any) -> dict[str, Any]:
    device = {"inference_j": inference_j, "idle_w": idle_w, "battery": {"capacity_j": 1.0} | battery}
    return devices(clients=1) | {"device": device}


def empty(story: Story) -> list[bool]:
    return [outcome == "no_power" for outcome in story["outcome"]]


def test_whoever_takes_all_that_is_left_runs_empty() -> None:
    told = Story((1.0, 0), (5.0, 0), (9.0, 0), (13.0, 0), fleet=on_battery(0.4))
    assert empty(told) == [False, False, True, True]
    assert told["energy_j"] == pytest.approx([0.4, 0.4, 0.2, 0.0])
    assert told.energy[["left_j", "empty_at_s", "times_empty"]].to_numpy().tolist() == [[0.0, 9.0, 1.0]]


def test_idling_empties_a_battery() -> None:
    told = Story((5.0, 0), (11.0, 0), fleet=on_battery(idle_w=0.1))
    assert empty(told) == [False, True]


def test_a_device_works_again_once_it_has_what_it_needs() -> None:
    fleet = on_battery(0.4, start_j=0.3, restart_j=0.5, harvest_w=0.1)
    told = Story((0.0, 0), (4.9, 0), (5.1, 0), fleet=fleet)
    assert empty(told) == [True, True, False]
    assert told["energy_j"] == pytest.approx([0.3, 0.0, 0.4])


def test_a_device_works_from_the_very_instant_at_which_it_has_that() -> None:
    """Empty at 1.0, half a joule at 1.5."""
    fleet = on_battery(0.4, restart_j=0.5, harvest_w=1.0)
    told = Story(*[(1.0, 0)] * 3, (1.5, 0), fleet=fleet)
    assert empty(told) == [True, True, True, False]


def test_what_was_under_way_as_a_device_ran_empty_is_lost_though_it_works_again() -> None:
    """Three come at 1.0, and the last takes all that is left. It works again at 1.5; the answers of 2.0 and
    3.0 are of requests that it has forgotten."""
    fleet = on_battery(0.4, restart_j=0.5, harvest_w=1.0)
    told = Story((1.0, 0), (1.0, 0), (1.0, 0), (4.0, 0), fleet=fleet)
    assert empty(told) == [True, True, True, False]


def test_a_device_that_ran_empty_has_nothing_left_to_do_when_it_works_again() -> None:
    """Two seconds each; the third of 1.0 takes all that is left, so that none of them is done. That of 4.0 is
    the first in line."""
    fleet = on_battery(0.4, restart_j=0.5, harvest_w=1.0)
    fleet["device"]["inference_s"] = 2.0
    told = Story((1.0, 0), (1.0, 0), (1.0, 0), (4.0, 0), fleet=fleet)
    assert empty(told) == [True, True, True, False]
    assert told["decided_at_s"][3] == 6.0


def test_a_battery_may_hold_a_single_nanojoule() -> None:
    fleet = on_battery(1e-9)
    fleet["device"]["battery"]["capacity_j"] = 1e-9
    assert empty(Story((0.0, 0), fleet=fleet)) == [True]


def test_a_nanowatt_is_a_harvest() -> None:
    """Half of one, even: empty at 0.0, it has one nanojoule at 2.9, and two as many seconds later as that
    takes."""
    fleet = on_battery(1e-9, start_j=1e-9, restart_j=2e-9, harvest_w=5e-10)
    assert empty(Story((0.0, 0), (2.75, 0), (2.9, 0), (5.0, 0), fleet=fleet)) == [True] * 3 + [False]


def test_a_device_waits_for_its_last_nanojoule_as_long_as_nothing_comes() -> None:
    """One by 1.0, and the second by 3.0."""
    harvest = {"kind": "profile", "watts": (1e-9, 0.0), "each_s": 1.0}
    fleet = on_battery(1e-9, start_j=1e-9, restart_j=2e-9, harvest=harvest)
    assert empty(Story((0.0, 0), (1.5, 0), (1.75, 0), (3.5, 0), fleet=fleet)) == [True] * 3 + [False]


def test_a_device_whose_last_nanojoule_is_gone_by_rounding_hears_nothing() -> None:
    """Of one 0.56 are gone as the answer comes."""
    fleet = on_battery(idle_w=8e-10, start_j=1e-9)
    told = Story((0.0, 0), fleet=fleet, server={"service": {"kind": "affine", "base_s": 0.7}})
    assert empty(told) == [True]


def test_what_was_never_sent_gives_nothing_back() -> None:
    """Empty at 1.5, while it looks at its request. The other device finds two tokens at 60.0, and no more."""
    budget = {"kind": "token_bucket", "rate_hz": 0.0625, "burst": 2.0, "shared_by": "fleet"}
    device = {"inference_s": 1.0, "idle_w": 1.0, "battery": {"capacity_j": 1.5}}
    fleet = [devices("mortal", device=device, budget=budget), devices("other", budget=budget)]
    arrivals = ((1.0, 0), (60.0, 1), (60.0, 1), (60.0, 1))
    told = Story(*arrivals, fleet=fleet, costs={"charge_on": "accept"}, horizon_s=70.0)
    assert told["outcome"] == ["no_power", "remote", "remote", "over_budget"]


def test_a_device_runs_empty_as_it_should_though_rounding_leaves_something() -> None:
    """Of 3 nanojoules 0.5 go each second. At 1.1 two are left, by what was rounded, until 5.1; what came by
    then, 1.53, is two, and what went, 4.08, is four, of which one had gone."""
    fleet = on_battery(idle_w=8e-10, capacity_j=9e-9, start_j=3e-9, harvest_w=3e-10) | {"policy": LOCAL}
    story = Story((1.1, 0), (6.0, 0), fleet=fleet)
    assert empty(story) == [False, True]
    assert story.energy["empty_at_s"].tolist() == pytest.approx([5.1])


def test_what_the_only_attempt_of_an_empty_device_has_reserved_is_given_back() -> None:
    """Empty at 2.5, before the answer of 3.0. The other device finds both tokens at 60.0."""
    budget = {"kind": "token_bucket", "rate_hz": 0.0625, "burst": 2.0, "shared_by": "fleet"}
    device = {"idle_w": 1.0, "battery": {"capacity_j": 2.5}}
    fleet = [
        devices("mortal", device=device, budget=budget, latency=1.0),
        devices("other", budget=budget, latency=1.0),
    ]
    arrivals = ((0.0, 0), (60.0, 1), (60.0, 1), (60.0, 1))
    told = Story(*arrivals, fleet=fleet, costs={"charge_on": "accept"}, horizon_s=70.0)
    assert told["outcome"] == ["no_power", "remote", "remote", "over_budget"]


def test_a_device_works_again_by_what_rounding_adds_as_its_harvest_ends() -> None:
    """1.6 nanojoules until 1.0 are two, and none come after that."""
    harvest = {"kind": "profile", "watts": (1.6e-9, 0.0), "each_s": 1.0}
    fleet = on_battery(1e-9, start_j=1e-9, restart_j=2e-9, harvest=harvest)
    told = Story((0.0, 0), (0.75, 0), (1.5, 0), fleet=fleet)
    assert empty(told) == [True, True, False]


def test_what_a_device_has_done_at_the_horizon_or_a_windows_end_is_decided_after_it() -> None:
    """Half a second each: of 1.5 until the end of a window, of 19.5 until the horizon."""
    fleet = on_battery()
    fleet["device"]["inference_s"] = 0.5
    told = Story((1.5, 0), (19.5, 0), fleet=fleet)
    assert told["sent_at_s"] == [2.0, None]
    scenario, arrivals = scenario_of(fleet=(fleet,)), WrittenArrivals(((1.5, 0), (19.5, 0)))
    in_windows, _ = product(scenario, made_up(scenario), arrivals, 2.0)
    assert differences(in_windows, told.requests) == []


@pytest.mark.parametrize("refuses", [False, True])
def test_what_attempts_of_an_empty_device_have_reserved_is_given_back_once(refuses: bool) -> None:
    """A device hedges at 0.5, and is empty at 2.5, before either answer has come; the edge's error of 2.0 it
    has heard. Another shares its budget, of two tokens: all of it is there at 60.0, and no more."""
    budget = {"kind": "token_bucket", "rate_hz": 0.0625, "burst": 2.0, "shared_by": "fleet"}
    options = tuple({"option": name, "server": name} for name in ("edge", "cloud"))
    policy = {"score": "random", "price": {"kind": "always_remote"}}
    parts = {"budget": budget, "options": options, "latency": 1.0, "policy": policy, "choose": "order"}
    device = {"idle_w": 1.0, "battery": {"capacity_j": 2.5}}
    outage = {"when": {"kind": "intervals", "at": ((0.0, 1.5),)}}
    service = {"kind": "affine", "base_s": 1.0}
    servers = (
        {"server": "edge", "service": service, "when_down": "refuse", "outages": (outage,) * refuses},
        {"server": "cloud", "service": service},
    )
    told = Story(
        *((0.0, 0), (60.0, 1), (60.0, 1), (60.0, 1)),
        fleet=[
            devices("mortal", device=device, hedge={"after_s": 0.5}, **parts),
            devices("other", **parts),
        ],
        servers=servers,
        costs={"charge_on": "accept"},
        horizon_s=70.0,
    )
    assert told["outcome"] == ["no_power", "remote", "remote", "over_budget"]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("training.online", "every_s: 60, steps: 1, step_s: 0.1, rejector_steps: 1, rejector_step_s: 0.1"),
        ("federation", "every_s: 60, steps: 1, step_s: 0.1, wait_s: 30"),
    ],
)
def test_batteries_do_not_go_with_learning_during_the_run(name: str, keys: str) -> None:
    with pytest.raises(BadInput, match=f"not yet with {name}"):
        read("battery", [f"{name}={{{keys}}}", "fleet.*.rejector.per=client"])


@tried(60)
@given(worlds() | several())
def test_a_battery_that_never_runs_empty_changes_nothing(world) -> None:
    scenario, arrivals, chunk_s = world
    assume(scenario.training.online is None)  # which batteries do not go with
    assume(all(group.policy.price.kind != "energy_aware" for group in scenario.fleet))
    learned = made_up(scenario)
    plain, full = (
        product(with_devices(scenario, **energy), learned, arrivals, chunk_s)[0]
        for energy in ({}, {"inference_j": 0.1, "idle_w": 0.2, "battery": Battery(capacity_j=1e6)})
    )
    assert differences(full, plain.drop(columns="energy_j", errors="ignore")) == []
    assert (full["energy_j"] > 0).any() or full.empty


def with_devices(scenario: Scenario, **energy: Any) -> Scenario:
    fleet = tuple(
        group.model_copy(update={"device": Device(inference_s=group.device.inference_s, **energy)})
        for group in scenario.fleet
    )
    return scenario.model_copy(update={"fleet": fleet})
