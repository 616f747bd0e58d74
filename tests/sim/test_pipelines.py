"""Replicas that are pipelines, told request by request, as in `test_exact_timelines`.

Unless a story says otherwise a server of two stages takes two seconds, one in each.
"""

from __future__ import annotations

from typing import Any

import pytest
from stories import Story, devices, retries, server
from worlds import group_of, made_up, poisson, product, scenario_of

TWO_S = {"kind": "affine", "base_s": 2.0}


def pipeline(*down: tuple[float, float], **parts: Any) -> dict[str, Any]:
    return server(down, **({"service": TWO_S, "stages": 2} | parts))


def test_a_batch_enters_as_the_one_before_leaves_the_first_stage():
    """0.0 goes through from 0 to 2; 0.25 enters at 1, 0.5 at 2; 3.5 finds the first stage free."""
    story = Story((0.0, 0), (0.25, 0), (0.5, 0), (3.5, 0), server=pipeline())
    assert story["started_at_s"] == [0.0, 1.0, 2.0, 3.5]
    assert story["finished_at_s"] == [2.0, 3.0, 4.0, 5.5]
    assert story["replica"] == [0, 0, 0, 0]


def test_overhead_makes_every_stage_longer():
    """With an overhead of 1.5 a stage takes 1.5 s: a batch 3 s in all, the next enters after half of it."""
    story = Story((0.0, 0), (0.0, 0), server=pipeline(stage_overhead=1.5))
    assert story["started_at_s"] == [0.0, 1.5]
    assert story["finished_at_s"] == [3.0, 4.5]


def test_a_stage_keeps_a_batch_until_the_next_is_free():
    """The first request is three times as long: 3 s in each stage. The second, of 1 s each, enters at 3, is
    done with the first stage at 4 and waits there until 6; the third cannot enter before that."""
    fleet = [devices("long", service_factor=3.0), devices("short")]
    story = Story((0.0, 0), (0.25, 1), (0.5, 1), fleet=fleet, server=pipeline())
    assert story["started_at_s"] == [0.0, 3.0, 6.0]
    assert story["finished_at_s"] == [6.0, 7.0, 8.0]


def test_two_models_share_a_pipeline_and_two_replicas_are_two():
    """Four requests at once, two models: each of two pipelines takes one at 0 and one at 1."""
    names = ("a", "b")
    fleet = [devices(name, options=({"option": "it", "server": "both", "model": name},)) for name in names]
    servers = ({"server": "both", "service": TWO_S, "stages": 2, "replicas": 2},)
    models = {name: {"family": "linear"} for name in names}
    story = Story(*((0.0, n) for n in (0, 0, 1, 1)), fleet=fleet, servers=servers, models=models)
    assert story["started_at_s"] == [0.0, 0.0, 1.0, 1.0]
    assert story["replica"] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("in_flight", "finished"),
    [
        ("lose", [2.0, None, None, 7.0]),
        ("requeue", [2.0, 7.0, 8.0, 9.0]),
        ("finish", [2.0, 3.0, 4.0, 7.0]),
    ],
)
def test_an_outage_stops_all_that_is_in_it(in_flight, finished):
    """Down from 2.5 to 5, when two are in it. What is put back enters at 5 and at 6, in order."""
    story = Story((0.0, 0), (0.25, 0), (0.5, 0), (4.0, 0), server=pipeline((2.5, 5.0), in_flight=in_flight))
    assert story["finished_at_s"] == finished


def test_a_replica_that_comes_back_with_batches_in_it_takes_the_next_when_it_can():
    """Two enter at 0 and 1, an outage from 1.25 to 1.5 lets them finish; the third enters at 2, when the
    second has left the first stage. After one from 1.25 to 2.25 it enters at 2.25."""
    for until, enters in ((1.5, 2.0), (2.25, 2.25)):
        rules = pipeline((1.25, until), in_flight="finish")
        story = Story((0.0, 0), (0.0, 0), (0.0, 0), server=rules)
        assert story["started_at_s"] == [0.0, 1.0, enters]


def test_an_admission_by_deadlines_counts_stages():
    """With 3.75 s: one ahead in service and one that waits come to 2 · 1 + 2 s, which is too late."""
    fleet = devices(deadline_s=3.75)
    rules = pipeline(admission={"kind": "deadline_feasible"})
    story = Story((0.0, 0), (0.25, 0), (0.5, 0), (0.5, 0), fleet=fleet, server=rules)
    assert story["outcome"] == ["remote", "remote", "refused", "refused"]


def test_an_autoscaler_sees_how_full_the_stages_are():
    """A stage of two is busy from 0 to 8: that is half of the replica, and one is enough at a target of one
    half; two at a quarter."""
    for target, replicas in ((0.5, {0}), (0.25, {0, 1})):
        rules = pipeline(
            autoscaling={
                "target_utilisation": target,
                "interval_s": 8.0,
                "provisioning_s": 0.0,
                "min": 1,
                "max": 4,
            }
        )
        arrivals = [(2.0 * n, 0) for n in range(4)] + [(8.0, 0), (8.0, 0)]
        story = Story(*arrivals, server=rules)
        assert set(story["replica"][-2:]) == replicas


def test_retries_go_through_it_as_well():
    fleet = devices(timeout_s=1.5, retry=retries(2, 0.25))
    story = Story((0.0, 0), (0.25, 0), fleet=fleet, server=pipeline())
    assert story.sends("started_at_s") == [0.0, 2.0, 1.0, 3.0]


def test_a_replica_that_an_outage_took_takes_no_batch_as_its_first_stage_is_free():
    """The second replica is out from 0.5 on, and ends what it has."""
    rules = server(replicas_down=((0.5, 9.0),), service=TWO_S, stages=2, replicas=2, in_flight="finish")
    story = Story(*[(0.0, 0)] * 4, server=rules)
    assert story["started_at_s"] == [0.0, 0.0, 1.0, 2.0]
    assert story["replica"] == [0, 1, 0, 0]


def test_a_stage_that_an_outage_emptied_starts_nothing_as_it_would_have_been_free():
    """Two batches of two enter at 0.0 and 0.25, one that is not full waits from 0.25 until 1.25, when the
    second replica's first stage would be free had it not failed at 0.5. What comes at 1.25 fills it."""
    rules = server(
        replicas_down=((0.5, 9.0),),
        service=TWO_S,
        stages=2,
        replicas=2,
        max_batch=2,
        batch_wait_s=1.0,
        in_flight="lose",
    )
    fleet = [devices("near"), devices("far", latency=1.0)]
    arrivals = [(0.0, 0), (0.0, 0), (0.25, 0), (0.25, 0), (0.25, 0), (0.25, 1)]
    story = Story(*arrivals, fleet=fleet, server=rules)
    assert story["started_at_s"] == [0.0, 0.0, 0.25, 0.25, 1.25, 1.25]
    assert story["batch_size"] == [2] * 6


def test_a_pipeline_that_is_back_is_empty():
    """What entered at 0.0 is lost at 0.25. The next enters at 0.5, finds the second stage free at 1.5, and
    is followed then by the third: not at 1.0, when the first would have made room."""
    story = Story((0.0, 0), (0.5, 0), (0.5, 0), server=pipeline((0.25, 0.5), in_flight="lose"))
    assert story["started_at_s"] == [0.0, 0.5, 1.5]
    assert story["finished_at_s"] == [None, 2.5, 3.5]


def test_a_batch_that_leaves_a_pipeline_starts_nothing():
    """Two enter at 0.25, and leave at 2.25, when the one of 1.75 is due; who comes then fills its batch."""
    fleet = devices(latency=0.25)
    rules = pipeline(max_batch=2, batch_wait_s=0.5)
    story = Story((0.0, 0), (0.0, 0), (1.5, 0), (2.0, 0), fleet=fleet, server=rules)
    assert story["finished_at_s"] == [2.25, 2.25, 4.25, 4.25]


def test_a_replica_that_is_out_lets_another_start_what_is_due_as_its_first_stage_is_free():
    """The second is out from 0.5 on, and is done with the first stage of its batch at 2.25, when the one of
    1.75 is due on the other: who comes then is behind it."""
    fleet = [devices("short", latency=0.25), devices("long", latency=0.25, service_factor=2.0)]
    rules = server(
        replicas_down=((0.5, 9.0),),
        service=TWO_S,
        stages=2,
        replicas=2,
        max_batch=2,
        batch_wait_s=0.5,
        in_flight="finish",
    )
    arrivals = ((0.0, 0), (0.0, 0), (1.5, 0), (2.0, 0), (0.0, 1), (0.0, 1))
    story = Story(*arrivals, fleet=fleet, server=rules)
    assert story["started_at_s"] == [0.25, 0.25, 2.25, 3.25, 0.25, 0.25]


def mean_wait(**parts: Any) -> float:
    """Of Poisson requests for two models, each of which would fill .3 of a device."""
    process = {"kind": "poisson", "rate_hz": 0.03}
    fleet = tuple(group_of(name, clients=10, arrivals={"process": process}) for name in "ab")
    rules = {"service": {"kind": "affine", "base_s": 1.0}} | parts
    scenario = scenario_of(horizon_s=20_000.0, fleet=fleet, server=rules)
    requests, _ = product(scenario, made_up(scenario), poisson(scenario, 60.0), 1_000.0)
    return float((requests["started_at_s"] - requests["reached_at_s"]).mean())


def test_the_wait_of_a_pipeline_is_half_that_of_two_devices():
    """Apart λD²/(2(1 - λD)) = .2143 s, shared half of it; 12,000 requests, of which three in ten wait, tell a
    mean wait to 2 or 3%, so 8% is passed by chance in one run of a thousand."""
    assert mean_wait(stages=2) == pytest.approx(0.3 / (4 * 0.7), rel=0.08)
    assert mean_wait(stages=2, stage_overhead=1.2) == pytest.approx(0.3 * 1.44 / (4 * 0.64), rel=0.08)
