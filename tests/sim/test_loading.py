"""Models that take turns in a server's memory, told request by request, as in `test_exact_timelines`.

Unless a story says otherwise a model takes all of the memory, comes in within half a second and serves for
one; groups of one client each ask for a model of their own.
"""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from stories import Story, devices, server
from test_loop import assert_loops_agree
from worlds import MadeUpLearner, differences, frame, group_of, made_up, poisson, product, scenario_of

from sim.engine.handlers import loading
from sim.engine.linking import handler
from sim.engine.run import Run
from sim.errors import RunFailed
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.scenario.rules.estimates import estimate, in_words
from sim.world.windows import EvenWindows
from sim.world.world import World


def asks(*models: str, **parts: Any) -> list[dict[str, Any]]:
    """A group for each model, which asks for it."""
    return [
        devices(name, options=({"option": "it", "server": "all", "model": name},), **parts) for name in models
    ]


class InOrder(Story):
    """Its requests as they came."""

    def __init__(self, *arrivals: tuple[float, int], **parts: Any) -> None:
        super().__init__(*arrivals, **parts)
        self.requests = self.requests.sort_values("arrived_at_s", kind="stable")


def told(*arrivals: tuple[float, int], models: str = "ab", room: float = 1.0, **parts: Any) -> Story:
    """Requests of (instant, place of the model) at one server that has room for so many models."""
    down = parts.pop("down", ())
    rules = server(down, **({"memory_bytes": room, "load_s": 0.5} | parts)) | {"server": "all"}
    return InOrder(
        *arrivals,
        fleet=asks(*models),
        servers=(rules,),
        models={name: {"family": "linear", "memory_bytes": 1.0} for name in models},
    )


def test_every_change_of_model_takes_its_time():
    """The first model is there at the start; what alternates pays each time, what repeats does not."""
    story = told((0.0, 0), (0.0, 1), (0.25, 1), (4.0, 0))
    assert story["started_at_s"] == [0.0, 1.0, 2.5, 4.0]
    assert story["finished_at_s"] == [1.0, 2.5, 3.5, 5.5]
    assert story["loads"] == [0, 1, 0, 1]


def test_what_was_not_used_for_longest_goes_out():
    """Room for two of three: a and b are there. a, then c throws out b, a is still there, b throws out c."""
    story = told((0.0, 0), (1.0, 2), (3.0, 0), (4.0, 1), (6.0, 0), (7.0, 2), models="abc", room=2.0)
    assert story["loads"] == [0, 1, 0, 1, 0, 1]
    assert story["finished_at_s"] == [1.0, 2.5, 4.0, 5.5, 7.0, 8.5]


def test_of_two_that_are_there_that_which_was_used_before_the_other_goes_out():
    """c throws out a; b is used after it, so that a throws out c."""
    story = told((0.0, 2), (2.0, 1), (4.0, 0), (6.0, 1), models="abc", room=2.0)
    assert story["loads"] == [1, 0, 1, 0]


def test_of_what_is_there_at_the_start_the_first_goes_out_first():
    story = told((0.0, 2), (2.0, 1), (4.0, 0), models="abc", room=2.0)
    assert story["loads"] == [1, 0, 1]


def test_a_large_model_throws_out_several_and_a_small_one_fits_beside():
    """a 1, b 1, c 2, room 2: c throws out both, then a throws out c, and b fits beside a."""
    sizes = {"a": 1.0, "b": 1.0, "c": 2.0}
    story = InOrder(
        *((0.0, 2), (2.0, 0), (4.0, 1), (6.0, 0)),
        fleet=asks(*sizes),
        servers=(server(memory_bytes=2.0, load_s=0.5) | {"server": "all"},),
        models={name: {"family": "linear", "memory_bytes": size} for name, size in sizes.items()},
    )
    assert story["loads"] == [1, 1, 1, 0]


def test_each_model_takes_its_own_room():
    """a 1, b 1, c 2, room 2: a throws out c, which has to come in again."""
    sizes = {"a": 1.0, "b": 1.0, "c": 2.0}
    story = InOrder(
        *((0.0, 2), (2.0, 0), (4.0, 2)),
        fleet=asks(*sizes),
        servers=(server(memory_bytes=2.0, load_s=0.5) | {"server": "all"},),
        models={name: {"family": "linear", "memory_bytes": size} for name, size in sizes.items()},
    )
    assert story["loads"] == [1, 1, 1]


def test_a_request_goes_to_the_replica_that_has_its_model():
    """Both begin with a. At 0.0 a takes the lowest, and b the other, where the next b finds it at 3.0, though
    the lowest is idle. At 6.0 two ask for a: the second one throws b out."""
    story = told((0.0, 0), (0.0, 1), (3.0, 1), (6.0, 0), (6.0, 0), replicas=2)
    assert story["replica"] == [0, 1, 1, 0, 1]
    assert story["loads"] == [0, 1, 0, 0, 1]


def test_each_server_has_a_memory_of_its_own():
    """Two replicas of the second take a and b; the first has a from the start."""
    rules = server(memory_bytes=1.0, load_s=0.5)
    asked = (("first", "a"), ("second", "a"), ("second", "b"))
    story = InOrder(
        *((0.0, 1), (0.25, 2), (3.0, 0), (5.0, 2)),
        fleet=[
            devices(f"{where}_{what}", options=({"option": "it", "server": where, "model": what},))
            for where, what in asked
        ],
        servers=(rules | {"server": "first"}, rules | {"server": "second", "replicas": 2}),
        models={name: {"family": "linear", "memory_bytes": 1.0} for name in "ab"},
    )
    assert story["loads"] == [0, 1, 0, 0]


def test_a_replica_that_has_everything_never_loads():
    assert told((0.0, 0), (0.0, 1), (4.0, 0), room=2.0)["loads"] == [0, 0, 0]


@pytest.mark.parametrize(
    ("in_flight", "finished", "loads"),
    [
        ("lose", [None, 7.5], [1, 1]),
        ("requeue", [4.5, 7.0], [2, 0]),
        ("finish", [1.5, 7.5], [1, 1]),
        ("resume", [4.25, 7.0], [1, 0]),
        ("restart", [4.5, 7.0], [2, 0]),
    ],
)
@pytest.mark.parametrize("stop_s", [0.25, 1.0])
def test_an_outage_empties_the_memory(in_flight, finished, loads, stop_s):
    """b comes in from 0.0 to 0.5; an outage until 3.0 begins meanwhile, or while b is served. It has to come
    in again, but where its batch stays on the replica."""
    if in_flight == "resume":
        finished = [3.0 + 1.5 - stop_s, 7.0]
    story = told((0.0, 1), (6.0, 1), down=((stop_s, 3.0),), in_flight=in_flight)
    assert story["finished_at_s"] == finished
    assert story["loads"] == loads


def test_a_batch_that_outlasts_an_outage_keeps_its_model_there():
    """It ends at 1.5, the outage at 1.25; the model that was beside it is gone."""
    story = told(
        (0.0, 2), (3.0, 2), (4.0, 1), models="abc", room=2.0, down=((1.0, 1.25),), in_flight="finish"
    )
    assert story["loads"] == [1, 0, 1]


def test_an_idle_replica_loses_what_it_had():
    assert told((0.0, 0), (3.0, 0), (5.0, 0), down=((1.5, 2.0),))["loads"] == [0, 1, 0]


def test_a_replica_that_is_ordered_comes_with_nothing():
    """At 2.0 two wait: another replica is there at once, and begins by loading what the first one has."""
    scaling = {"target_queue": 1.0, "interval_s": 2.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    story = told((0.0, 0), (0.0, 0), (0.0, 0), (0.0, 0), autoscaling=scaling)
    assert story["replica"] == [0, 0, 1, 0]
    assert story["finished_at_s"] == [1.0, 2.0, 3.5, 3.0]
    assert story["loads"] == [0, 0, 1, 0]


def test_a_server_that_switches_loads_what_it_switches_to():
    """Two wait behind the first of the second batch, so the small one takes over, and comes in for that."""
    switch = {"kind": "backlog", "above": 2, "below": 0}
    rules = server(memory_bytes=1.0, load_s=0.5, switch=switch) | {"server": "all"}
    works = {"small": 0.5, "large": 1.0}
    story = Story(
        *((0.0, 0), (0.25, 0), (0.5, 0), (0.75, 0)),
        fleet=devices("any", options=({"option": "it", "server": "all"},)),
        servers=(rules,),
        models={
            name: {"family": "linear", "memory_bytes": 1.0, "work": work} for name, work in works.items()
        },
    )
    assert story["model"] == ["large", "small", "small", "large"]
    assert story["loads"] == [1, 1, 0, 1]
    assert story["started_at_s"] == [0.0, 1.5, 2.5, 3.0]


def busy(**parts: Any) -> Scenario:
    """Three models of different sizes on replicas that come and go, in runs of minutes."""
    each = {
        "when": {"kind": "renewal", "up": 9.0, "down": 2.5},
        "target": {"kind": "replicas", "count": 3, "each": True},
    }
    rules = {
        "server": "all",
        "replicas": 3,
        "memory_bytes": 3.0,
        "load_s": 0.375,
        "service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.5}},
        "outages": (each, {"when": {"kind": "intervals", "at": ((20.0, 22.0),)}}),
    }
    fleet = tuple(
        group_of(
            name,
            clients=4,
            arrivals={"process": {"kind": "poisson", "rate_hz": 0.3}},
            timeout_s=4.0,
            retry={"attempts": 2, "backoff_s": 0.25},
            options=({"option": "it", "server": "all", "model": name},),
        )
        for name in "abc"
    )
    return scenario_of(
        horizon_s=60.0,
        fleet=fleet,
        server=None,
        servers=(rules | parts,),
        models={
            name: {"family": "linear", "memory_bytes": size}
            for name, size in zip("abc", (1, 2, 2), strict=True)
        },
    )


SCALING = {"target_utilisation": 0.5, "interval_s": 2.0, "provisioning_s": 1.0, "min": 1, "max": 4}


@pytest.mark.parametrize("in_flight", ["lose", "requeue", "finish", "resume", "restart"])
@pytest.mark.parametrize("autoscaling", [None, SCALING], ids=["fixed", "scaled"])
def test_replicas_that_come_and_go_equal_the_reference(in_flight, autoscaling):
    scenario = busy(in_flight=in_flight, autoscaling=autoscaling)
    assert_loops_agree(scenario, poisson(scenario, 60.0), 60.0)
    requests, _ = product(scenario, made_up(scenario), poisson(scenario, 60.0), 7.0)
    assert 20 < requests["loads"].sum() < len(requests)


def test_what_check_prints_says_that_loads_are_not_counted():
    told = [in_words(estimate(busy(load_s=load_s, memory_bytes=5.0))) for load_s in (0.375, None)]
    assert ["without models that come in" in words for words in told] == [True, False]


# The recount of `sim.results.load_audit`.


sound_load = loading.load_model


@handler
def the_last_used(w: Any, s: Any, memory: Any, needed: Any) -> Any:
    """What goes out is what was used last."""
    for _ in range(s.widths):
        taken, last = 0.0, 0
        for width in range(s.widths):
            if w.used_at[memory + width] > -inf:
                taken += w.widths.memory_bytes[s.first_width + width]
            if w.used_at[memory + width] > w.used_at[memory + last]:
                last = width
        if taken + needed > s.memory_bytes:
            w.used_at[memory + last] = -inf


@handler
def nothing(*_: Any) -> Any:
    return 0.0


@handler
def at_once(w: Any, s: Any, now: Any, replica: Any) -> Any:
    """Loads that take no time."""
    sound_load(w, s, now, replica)
    return 0.0


@pytest.mark.parametrize(
    ("place", "mutant", "said"),
    [
        ("server.load_model", at_once, "finished before its model can be in memory"),
        ("loading.make_room", the_last_used, "model (came into memory and was|was not in memory)"),
        ("loading.make_room", nothing, "was not in memory and did not come there"),
        ("capacity.come_back", nothing, "was not in memory and did not come there"),
        ("server.load_model", nothing, "was not in memory and did not come there"),
        ("loading.lose_memory", nothing, "was not in memory and did not come there"),
    ],
)
def test_a_memory_that_is_not_as_it_should_be_is_seen(monkeypatch, place, mutant, said):
    scenario = busy()
    monkeypatch.setattr(f"sim.engine.handlers.{place}", mutant)
    with pytest.raises(RunFailed, match=said):
        product(scenario, made_up(scenario), poisson(scenario, 60.0), 60.0)


def test_what_is_in_memory_outlives_a_checkpoint():
    """A run that is kept and restored after every second chunk gives the same tables, and is recounted."""
    scenario = busy(in_flight="requeue", autoscaling=SCALING)
    learned, arrivals = made_up(scenario), poisson(scenario, 60.0)

    def fresh() -> Run:
        learner = MadeUpLearner(scenario, learned)
        return Run(World(scenario), learned, arrivals, learner, windows=EvenWindows(4.0))

    whole, broken = fresh(), fresh()
    while not whole.is_over:
        ours, theirs = (frame(run.advance().requests) for run in (broken, whole))
        assert differences(ours, theirs) == []
        if whole.chunks % 2:
            content = pack(broken.kept())
            broken = fresh()
            broken.restore(unpack(content))
    broken.finish()
