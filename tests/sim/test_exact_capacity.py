"""Exact time lines of queues, admission, outages of every kind and scaling: one story for each rule.

Spans are multiples of a quarter of a second, so sums are exact and asserted as such.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stories import Story, devices, server
from worlds import WrittenArrivals, differences, made_up, product, reference, scenario_of

from sim.engine.arrays import context
from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.results.events import events
from sim.simulation import outages
from sim.world.windows import EvenWindows
from sim.world.world import World


def outage(target: dict[str, Any], *at: tuple[float, float], **effect: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"when": {"kind": "intervals", "at": at}, "target": target}
    return found | ({"effect": {"kind": "slowdown", **effect}} if effect else {})


# In the queue.


def waiters(discipline: str, **parts: Any) -> Story:
    """Client 3 is served from 1.0 on; two of client 0 wait (1.25, 1.75), one of client 1 and one of 2 (1.5).

    The clients have 9, 8, 4 and 9 seconds.
    """
    fleet = [
        devices(name, deadline_s=deadline_s)
        for name, deadline_s in (("a", 9.0), ("b", 8.0), ("c", 4.0), ("d", 9.0))
    ]
    arrivals = [(1.25, 0), (1.75, 0), (1.5, 1), (1.5, 2), (1.0, 3)]
    return Story(*arrivals, fleet=fleet, server=server(discipline=discipline, **parts))


@pytest.mark.parametrize(
    ("discipline", "started"),
    [
        ("fifo", [2.0, 5.0, 3.0, 4.0]),
        ("lifo", [5.0, 2.0, 4.0, 3.0]),
        ("edf", [4.0, 5.0, 3.0, 2.0]),
        ("fair", [2.0, 5.0, 3.0, 4.0]),
    ],
)
def test_a_discipline_says_who_is_next(discipline, started):
    """The deadlines are 10.25 and 10.75, 9.5, 5.5. Fair: nobody has been started, then client 0 was."""
    story = waiters(discipline)
    assert story["started_at_s"] == [*started, 1.0]


def test_a_fair_queue_serves_the_client_that_was_served_least_recently():
    """Client 0 starts at 1.0 and sends three more; client 1's, which came last, goes before two of them."""
    story = Story(*[(1.0, 0)] * 4, (1.75, 1), fleet=devices(clients=2), server=server(discipline="fair"))
    assert story["started_at_s"] == [1.0, 3.0, 4.0, 5.0, 2.0]


def test_a_batch_is_due_when_its_oldest_has_waited_whatever_the_discipline():
    """Last come, first served, but the one of 1.0 makes them start together at 2.0."""
    story = Story((1.0, 0), (1.5, 0), server=server(discipline="lifo", max_batch=4, batch_wait_s=1.0))
    assert story["started_at_s"] == [2.0, 2.0]
    assert story["batch_size"] == [2, 2]


def test_who_is_past_the_deadline_is_thrown_out_when_a_batch_forms():
    """Three wait from 1.25 on and have half a second, a second and two: at 2.25 two of them are too late."""
    fleet = [devices(f"g{n}", deadline_s=s) for n, s in enumerate((0.5, 1.0, 2.0, 9.0))]
    story = Story(
        *[(1.25, client) for client in range(3)],
        (1.0, 3),
        fleet=fleet,
        server=server(service={"kind": "affine", "base_s": 1.25}, drop_expired=True),
    )
    assert story["server_cause"] == ["expired", "expired", "none", "none"]
    assert story["started_at_s"] == [None, None, 2.25, 1.0]
    assert story["outcome"] == ["timed_out", "timed_out", "timed_out", "remote"]
    assert story["finished_at_s"][2] == 3.5


def test_who_is_thrown_out_frees_the_place_of_nobody_before_that():
    """The queue holds one. That of 1.25 is past its deadline at 1.5, and in its place until 2.0."""
    fleet = [devices("hasty", deadline_s=0.25), devices("calm")]
    story = Story(
        (1.25, 0), (1.0, 1), (1.75, 1), fleet=fleet, server=server(drop_expired=True, queue_limit=1)
    )
    assert story["server_cause"] == ["expired", "none", "queue_full"]


# At the door.


def test_a_request_that_cannot_be_done_in_time_is_refused():
    """A second each, and all have 2.5. At 1.0 one starts, done at 2.0; another waits, done at 3.0; a third
    would be done at 4.0 and is refused. At 2.75 one is in service: 2.75 + 1 + 1 is well before 5.25.
    """
    story = Story(
        *[(1.0, 0)] * 3,
        (2.75, 0),
        fleet=devices(deadline_s=2.5),
        server=server(admission={"kind": "deadline_feasible"}),
    )
    assert story["server_cause"] == ["none", "none", "admission", "none"]
    assert story["outcome"] == ["remote", "remote", "refused", "remote"]
    assert story["finished_at_s"] == [2.0, 3.0, None, 4.0]


def test_a_token_bucket_admits_a_burst_and_then_at_its_rate():
    """Two at once; a token every two seconds: at 2.75 there are 0.875, at 3.0 one."""
    bucket = {"kind": "token_bucket", "rate_hz": 0.5, "burst": 2.0}
    story = Story(*[(1.0, 0)] * 3, (2.75, 0), (3.0, 0), server=server(admission=bucket, replicas=3))
    assert story["server_cause"] == ["none", "none", "admission", "admission", "none"]


def test_a_full_queue_takes_no_token_of_the_admission():
    bucket = {"kind": "token_bucket", "rate_hz": 0.25, "burst": 2.0}
    story = Story((1.0, 0), (1.5, 0), (2.0, 0), server=server(admission=bucket, queue_limit=0))
    assert story["server_cause"] == ["none", "queue_full", "none"]


# Outages: what becomes of the batches.


def test_what_an_outage_stops_may_go_back_to_the_head_of_the_queue():
    """Started at 1.0 and 1.25 on two replicas, stopped at 1.5: at 3.0 they start first, in that order."""
    story = Story(
        (1.0, 0), (1.25, 0), (1.25, 0), (2.0, 0), server=server(((1.5, 3),), replicas=2, in_flight="requeue")
    )
    assert story["started_at_s"] == [3.0, 3.0, 4.0, 4.0]
    assert story["replica"] == [0, 1, 0, 1]
    assert set(story["outcome"]) == {"remote"}
    assert set(story["server_cause"]) == {"none"}


def test_a_batch_that_starts_again_takes_a_fresh_time():
    """The same replica, the same request: only the draw can differ."""
    exponential = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 2.0}}
    whole = Story((1.0, 0), server=server(service=exponential))
    again = Story(
        (1.0, 0), server=server(((1.0625, 1.125),), service=exponential, in_flight="requeue"), horizon_s=60.0
    )
    assert again["started_at_s"] == [1.125]
    assert again["finished_at_s"][0] - 1.125 != pytest.approx(whole["finished_at_s"][0] - 1.0)


def test_what_goes_back_is_never_refused_for_want_of_a_place():
    story = Story((1.0, 0), (1.25, 0), server=server(((1.5, 3),), in_flight="requeue", queue_limit=1))
    assert story["started_at_s"] == [3.0, 4.0]


def test_an_outage_may_let_batches_end():
    """Down from 1.5: the batch of 1.0 ends at 2.0; the next waits for the end of the outage."""
    story = Story((1.0, 0), (1.25, 0), server=server(((1.5, 3),), in_flight="finish"))
    assert story["finished_at_s"] == [2.0, 4.0]


def test_a_replica_that_is_back_before_its_batch_has_ended_takes_no_other_until_then():
    slow = {"kind": "affine", "base_s": 4.0}
    story = Story((1.0, 0), (2.5, 0), server=server(((1.5, 2),), service=slow, in_flight="finish"))
    assert story["started_at_s"] == [1.0, 5.0]


def test_a_slowdown_stretches_the_batches_that_start_in_it():
    """Twice as long in [2, 4): not the one of 1.5, the one of 2.5 until 4.5; that of 4.5 is as ever."""
    story = Story(
        (1.5, 0), (2.0, 0), (2.0, 0), server=server(outages=(outage({"kind": "server"}, (2, 4), factor=2.0),))
    )
    assert story["started_at_s"] == [1.5, 2.5, 4.5]
    assert story["finished_at_s"] == [2.5, 4.5, 5.5]


def test_slowdowns_multiply_and_may_hit_only_the_highest_replicas():
    """All are three times, replica 1 moreover twice as slow."""
    outages = (
        outage({"kind": "server"}, (0, 9), factor=3.0),
        outage({"kind": "replicas", "count": 1}, (0, 9), factor=2.0),
    )
    story = Story((1.0, 0), (1.0, 0), server=server(replicas=2, outages=outages))
    assert story["finished_at_s"] == [4.0, 7.0]


def test_training_that_takes_a_share_of_the_server_slows_it_down():
    """Training takes 3/4 of the server in [2, 3): what starts then takes four times as long."""
    online = {"every_s": 2.0, "steps": 1, "step_s": 1.0, "rejector_steps": 1, "rejector_step_s": 0.0}
    story = Story((1.0, 0), (2.5, 0), training={"online": online | {"capacity_share": 0.75}})
    assert story["finished_at_s"] == [2.0, 6.5]


def test_a_round_takes_its_share_from_its_first_instant_until_before_its_last():
    """Rounds in [2, 3) and [4, 5): capacity comes before models, yet what starts with it at 2.0 is slow."""
    online = {"every_s": 2.0, "steps": 1, "step_s": 1.0, "rejector_steps": 1, "rejector_step_s": 0.0}
    for up, finished in ((1.75, 2.75), (2.0, 6.0), (3.0, 4.0)):
        story = Story(
            (1.0, 0),
            server=server(((0.5, up),)),
            training={"online": online | {"capacity_share": 0.75}},
        )
        assert story["finished_at_s"] == [finished]


def test_an_outage_that_ends_a_round_ends_what_it_takes():
    """The round of 2.0 would take its 3/4 until 3.0, but all is down in [2.25, 2.5): what starts then is as
    ever, and no version comes of it.
    """
    online = {"every_s": 2.0, "steps": 1, "step_s": 1.0, "rejector_steps": 1, "rejector_step_s": 0.0}
    story = Story(
        (2.5, 0),
        server=server(((2.25, 2.5),)),
        training={"online": online | {"capacity_share": 0.75}},
        horizon_s=4.0,
    )
    assert story["finished_at_s"] == [3.5]
    assert story["server_version"] == [0]


def test_a_slowdown_by_nothing_is_no_outage():
    """A factor of 1 is the first step of a sweep; a server that is slow by it is not down."""
    when = {"kind": "intervals", "at": ((1.0, 2.0),)}
    scenario = scenario_of(
        server=server(outages=({"when": when, "effect": {"kind": "slowdown", "factor": 1}},))
    )
    periods = World(scenario).intervals
    assert outages(periods)["effect"] == ["slowdown"]
    assert "outage_start" not in events(World(scenario), [[(0.0, 1)]], World(scenario).schedule)["kind"]


# Autoscaling.


def scaled(*arrivals: tuple[float, int], **rule: Any) -> Story:
    """Batches of two seconds; a tick every second; a replica is there a second after it was ordered."""
    scaling = {"target_utilisation": 0.5, "interval_s": 1.0, "provisioning_s": 1.0, "min": 1, "max": 3} | rule
    return Story(*arrivals, server=server(service={"kind": "affine", "base_s": 2.0}, autoscaling=scaling))


def test_a_busy_server_grows_after_its_provisioning_delay():
    """Busy from 1.0 on: at the tick of 2.0 one was busy, so two are wanted, and the second comes at 3.0.

    At 3.0 one was busy still. At 4.0 both were, so three are wanted, and the third comes at 5.0: capacity
    that comes, comes before a batch that ends.
    """
    story = scaled(*[(1.0, 0)] * 4)
    assert story["started_at_s"] == [1.0, 3.0, 3.0, 5.0]
    assert story["replica"] == [0, 1, 0, 2]


def test_who_comes_while_a_replica_is_on_order_changes_nothing_about_that():
    """As above: that of 2.5 comes to one replica, beside which one is due at 3.0."""
    story = scaled(*[(1.0, 0)] * 3, (2.5, 0))
    assert story["started_at_s"][:3] == [1.0, 3.0, 3.0]
    assert story["replica"][:3] == [0, 1, 0]


def test_no_more_than_the_most_and_no_fewer_than_the_least():
    assert set(scaled(*[(1.0, 0)] * 9, max=1)["replica"]) == {0}
    assert max(scaled(*[(1.0, 0)] * 9, max=2)["replica"]) == 1


def test_a_server_that_shrinks_ends_its_batches():
    """Two to begin with. Replica 1 is busy until 2.0; at the tick of 1.0 the half second of each since 0.5
    was one busy second of two: one is wanted with a target of 1, and replica 1 ends what it does.
    """
    scaling = {"target_utilisation": 1.0, "interval_s": 1.0, "provisioning_s": 1.0, "min": 1, "max": 2}
    story = Story(
        (0.5, 0),
        (0.5, 0),
        (1.25, 0),
        server=server(service={"kind": "affine", "base_s": 1.5}, replicas=2, autoscaling=scaling),
    )
    assert story["replica"] == [0, 1, 0]
    assert story["finished_at_s"] == [2.0, 2.0, 3.5]


def test_an_autoscaler_says_nothing_about_a_time_in_which_nothing_could_work():
    """Down from 0 to 3 with two replicas: idle they would be taken for too many, and are not."""
    scaling = {"target_utilisation": 0.5, "interval_s": 1.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    story = Story(
        (1.0, 0), (1.0, 0), server=server(((0, 3),), replicas=2, when_down="queue", autoscaling=scaling)
    )
    assert story["started_at_s"] == [3.0, 3.0]


def test_a_replica_that_only_ends_its_batch_is_no_load():
    """Two replicas work [0.25, 2.25) and [1.75, 3.75): two busy seconds of four at the tick of 2.0, so one
    replica is wanted. Until 4.0 that one works for 1.75 s of 2; counted together with the batch that the
    other ends, a second would come then, and the last request would start at once.
    """
    scaling = {"target_utilisation": 1.0, "interval_s": 2.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    story = Story(
        *[(at, 0) for at in (0.25, 1.75, 2.5, 2.75)],
        server=server(service={"kind": "affine", "base_s": 2.0}, replicas=2, autoscaling=scaling),
    )
    assert story["started_at_s"] == [0.25, 1.75, 2.5, 4.5]
    assert story["replica"] == [0, 1, 0, 0]


def test_a_batch_that_outlives_the_outage_of_its_replica_is_no_load():
    """Replica 1 is out from 1.0 on and ends its batch of 0.75. At 2.0 the usable ones were busy for 2 of
    3 s, so 2 · 2/3 / 0.75 = 1.8 are wanted: the two there are. Counted in, it would be 3 of 3 s, and a
    third would take the last request when the batch of replica 1 is over. At 4.0 three are wanted.
    """
    scaling = {"target_utilisation": 0.75, "interval_s": 2.0, "provisioning_s": 0.0, "min": 1, "max": 3}
    story = Story(
        *[(at, 0) for at in (0.25, 0.75, 1.5, 1.5)],
        server=server(
            replicas_down=((1, 9),),
            service={"kind": "affine", "base_s": 2.0},
            replicas=2,
            in_flight="finish",
            autoscaling=scaling,
        ),
    )
    assert story["started_at_s"] == [0.25, 0.75, 2.25, 4.0]
    assert story["replica"] == [0, 1, 0, 1]


@pytest.mark.parametrize("down", [{"down": ((3, 4),)}, {"replicas_down": ((3, 4),)}], ids=["all", "one"])
@pytest.mark.parametrize(
    ("in_flight", "finished", "cause"),
    [("lose", None, "lost"), ("requeue", 6.0, "none"), ("finish", 3.75, "none")],
)
def test_a_total_outage_stops_replicas_that_only_end_their_batches(in_flight, finished, cause, down):
    """As above, replica 1 is retired at 2.0 with a batch that ends at 3.75; everything is down in [3, 4),
    which is the one replica that there is."""
    scaling = {"target_utilisation": 1.0, "interval_s": 2.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    story = Story(
        *[(at, 0) for at in (0.25, 1.75)],
        server=server(
            **down,
            service={"kind": "affine", "base_s": 2.0},
            replicas=2,
            in_flight=in_flight,
            autoscaling=scaling,
        ),
    )
    assert story["finished_at_s"] == [2.25, finished]
    assert story["server_cause"] == ["none", cause]


def test_an_outage_of_one_replica_spares_one_that_was_retired():
    """Retired at 2.0, replica 1 ends its batch; from 3.0 on the highest of those there are is replica 0."""
    scaling = {"target_utilisation": 1.0, "interval_s": 2.0, "provisioning_s": 0.0, "min": 2, "max": 3}
    story = Story(
        *[(at, 0) for at in (0.25, 0.5, 1.75)],
        server=server(
            replicas_down=((3, 9),),
            service={"kind": "affine", "base_s": 2.0},
            replicas=3,
            autoscaling=scaling,
        ),
    )
    assert story["replica"] == [0, 1, 2]
    assert story["finished_at_s"] == [2.25, 2.5, 3.75]


def test_what_is_swallowed_in_silence_is_lost():
    down = server(((0, 5),), when_down="silent")
    story = Story((1.0, 0), fleet=devices(timeout_s=2.0, fallback="client"), server=down)
    assert (story["outcome"], story["server_cause"]) == (["timed_out"], ["lost"])
    assert (story["reached_at_s"], story["started_at_s"]) == ([1.0], [None])


def test_a_batch_that_is_due_starts_at_the_first_occasion_of_its_instant():
    """Two are due at 3.0, when the one replica is free again: the batch that ends starts them. Who arrives at
    that very instant comes too late for them, and is due at 4.0.
    """
    full = server(max_batch=4, batch_wait_s=1.0)
    story = Story((1.0, 0), (2.0, 0), (2.0, 0), (3.0, 0), server=full)
    assert story["started_at_s"] == [2.0, 3.0, 3.0, 4.0]
    assert story["batch_size"] == [1, 2, 2, 1]


def test_without_a_batch_that_ends_an_arrival_starts_what_is_due():
    """The second reaches the server at the instant at which the first is due, and so goes with it."""
    story = Story(
        (1.0, 0), (2.0, 0), fleet=devices(latency=1.0), server=server(max_batch=4, batch_wait_s=1.0)
    )
    assert story["started_at_s"] == [3.0, 3.0]
    assert story["batch_size"] == [2, 2]


def test_a_replica_that_comes_as_an_outage_begins_comes_first():
    """Ordered at 2.0, there at 3.0, when one replica goes down: the second comes, takes who waits, and is
    stopped at that instant. It is the highest, so the first goes on.
    """
    scaling = {"target_utilisation": 0.5, "interval_s": 2.0, "provisioning_s": 1.0, "min": 1, "max": 2}
    rules = server(
        replicas_down=((3.0, 9.0),), service={"kind": "affine", "base_s": 4.0}, autoscaling=scaling
    )
    story = Story((0.0, 0), (0.0, 0), server=rules)
    assert story["started_at_s"] == [0.0, 3.0]
    assert story["finished_at_s"] == [4.0, None]
    assert (story["replica"], story["server_cause"]) == ([0, 1], ["none", "lost"])


def test_a_server_that_scales_in_to_what_an_outage_took_loses_its_queue():
    """Of two replicas one is down from 1.0 on. Nothing worked until 2.0, so one is wanted: as many as the
    outage takes. Nothing is usable then, and who waits for its batch to fill is lost.
    """
    scaling = {"target_utilisation": 1.0, "interval_s": 2.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    rules = server(
        replicas_down=((1.0, 9.0),),
        replicas=2,
        queue_survives=False,
        max_batch=4,
        batch_wait_s=5.0,
        autoscaling=scaling,
    )
    story = Story((1.5, 0), server=rules)
    assert (story["started_at_s"], story["server_cause"]) == ([None], ["lost"])


# Batches that stand still with their replica.


def test_a_batch_that_was_stopped_goes_on_where_it_was():
    """Started at 1.0, stopped at 1.5 with half a second left: up again at 3.0, it ends at 3.5."""
    story = Story((1.0, 0), (1.25, 0), server=server(((1.5, 3),), in_flight="resume"))
    assert (story["started_at_s"], story["finished_at_s"]) == ([1.0, 3.5], [3.5, 4.5])
    assert story["replica"] == [0, 0]


def test_a_batch_that_was_stopped_starts_over_on_its_replica():
    """The same draw again: a second from 3.0 on, and from 5.0 on, since it is stopped once more at 3.75."""
    story = Story((1.0, 0), (1.25, 0), server=server(((1.5, 3), (3.75, 5)), in_flight="restart"))
    assert (story["started_at_s"], story["finished_at_s"]) == ([1.0, 6.0], [6.0, 7.0])


@pytest.mark.parametrize(("in_flight", "finished"), [("resume", [2.0, 4.5]), ("restart", [2.0, 5.0])])
def test_a_batch_stands_still_with_its_own_replica_while_others_work(in_flight, finished):
    """Two replicas; the higher is down in [1.5, 4). Its batch of 1.0 waits for it, though the other is
    idle."""
    story = Story(
        (1.0, 0), (1.0, 0), server=server(replicas_down=((1.5, 4),), replicas=2, in_flight=in_flight)
    )
    assert story["finished_at_s"] == finished


def test_what_stands_still_keeps_its_replica_and_no_place_in_the_queue():
    story = Story(
        *[(t, 0) for t in (1.0, 1.25, 2.0)], server=server(((1.5, 3),), in_flight="resume", queue_limit=1)
    )
    assert story["server_cause"] == ["none", "none", "queue_full"]
    assert story["started_at_s"] == [1.0, 3.5, None]


def test_a_batch_that_ends_as_the_outage_begins_ends_with_the_outage():
    """Capacity comes before completions: at 2.0 nothing of it is left but its end, which waits until 3.0."""
    story = Story((1.0, 0), server=server(((2.0, 3),), in_flight="resume"))
    assert story["finished_at_s"] == [3.0]


def test_a_batch_that_starts_over_takes_as_long_as_a_batch_that_starts_then():
    """Twice as long in [3, 4): stopped at 1.5, it starts over at 3.0 and ends at 5.0."""
    slow = outage({"kind": "server"}, (3, 4), factor=2.0)
    stop = outage({"kind": "server"}, (1.5, 3))
    over, on = (
        Story((1.0, 0), server=server(outages=(stop, slow), in_flight=in_flight))
        for in_flight in ("restart", "resume")
    )
    assert (over["finished_at_s"], on["finished_at_s"]) == ([5.0], [3.5])


def test_a_replica_that_was_scaled_in_goes_on_once_anything_is_usable():
    """Of two replicas with batches of eight seconds the tick of 4.0 keeps one; the total outage of [5, 6)
    stops both, and both go on at 6.0, also that which is no longer one of the usable."""
    scaling = {"target_utilisation": 1.0, "interval_s": 4.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    story = Story(
        (3.0, 0),
        (3.0, 0),
        server=server(
            ((5, 6),),
            replicas=2,
            autoscaling=scaling,
            service={"kind": "affine", "base_s": 8.0},
            in_flight="resume",
        ),
    )
    assert story["finished_at_s"] == [12.0, 12.0]


# Priorities.


def classes(*arrivals: tuple[float, int], **parts: Any) -> Story:
    """Clients 0, 1 and 2 have the priorities 0, 1 and 2: the smaller goes first."""
    fleet = [devices(f"g{n}", priority=n) for n in range(3)]
    return Story(*arrivals, fleet=fleet, server=server(discipline="priority", **parts))


def test_the_smaller_priority_goes_first_and_nobody_is_stopped_for_it():
    """One of priority 2 is served from 1.0 on; four wait, and those of a priority in their order."""
    story = classes((1.75, 0), (1.5, 1), (1.0, 2), (1.25, 2), (1.5, 2))
    assert story["started_at_s"] == [2.0, 3.0, 1.0, 4.0, 5.0]


def test_a_full_queue_pushes_out_who_came_last_of_the_largest_priority():
    """Two places, taken at 1.25 and 1.5 by priority 2. That of 1.75 takes the place of the later, and that of
    1.875 of the earlier; nobody waits any more who is worse than that of 1.9375."""
    story = classes((1.875, 0), (1.75, 1), (1.9375, 1), (1.0, 2), (1.25, 2), (1.5, 2), queue_limit=2)
    assert story["server_cause"] == ["none", "none", "queue_full", "none", "queue_full", "queue_full"]
    assert story["started_at_s"] == [2.0, 3.0, None, 1.0, None, None]
    assert story["answered_at_s"][4:] == [1.875, 1.75]  # refused when they are pushed out


def test_the_only_one_who_waits_may_be_pushed_out():
    fleet = [devices("first"), devices("second", priority=1)]
    rule = server(discipline="priority", queue_limit=1)
    story = Story((1.0, 0), (1.5, 0), (1.25, 1), fleet=fleet, server=rule)
    assert story["server_cause"] == ["none", "none", "queue_full"]


def test_whoever_ranks_worst_is_pushed_out_though_others_came_later():
    """Three wait: of priority 2, 0 and 1. The first of them goes."""
    fleet = [devices(f"p{priority}", priority=priority) for priority in (0, 1, 2)]
    rule = server(discipline="priority", queue_limit=3)
    story = Story((1.0, 0), (1.5, 0), (1.875, 0), (1.75, 1), (1.25, 2), fleet=fleet, server=rule)
    assert story["server_cause"] == ["none", "none", "none", "none", "queue_full"]


def test_of_those_that_rank_alike_the_last_to_come_is_pushed_out_wherever_it_stands():
    """Six of the larger priority; one of them is served from 1.0, the next from 2.0. Of the two of the
    smaller the second finds the queue full, and the last of the six goes."""
    fleet = [devices("first"), devices("second", priority=1)]
    rule = server(discipline="priority", queue_limit=5)
    story = Story((2.25, 0), (2.5, 0), (1.0, 1), *[(1.25, 1)] * 5, fleet=fleet, server=rule)
    assert story["server_cause"] == ["none"] * 7 + ["queue_full"]
    assert story["started_at_s"][:2] == [3.0, 4.0]


def test_nobody_is_pushed_out_by_equals_nor_by_whom_the_admission_refuses():
    bucket = {"kind": "token_bucket", "rate_hz": 0.0625, "burst": 2.0}
    story = classes((1.75, 0), (1.0, 2), (1.25, 2), (1.5, 2), queue_limit=1, admission=bucket)
    assert story["server_cause"] == ["admission", "none", "none", "queue_full"]


def test_what_an_outage_put_back_is_not_pushed_out():
    story = Story(
        (1.75, 0),
        (1.0, 1),
        fleet=[devices("first"), devices("second", priority=1)],
        server=server(((1.5, 3),), discipline="priority", queue_limit=1, in_flight="requeue"),
    )
    assert story["server_cause"] == ["queue_full", "none"]
    assert story["started_at_s"] == [None, 3.0]


# What keeps an autoscaler calm, and its queue target.


def calm(*arrivals: tuple[float, int], replicas: int = 1, base_s: float = 1.0, **scaling: Any) -> Story:
    rule = {"interval_s": 4.0, "provisioning_s": 0.0, "min": 1, "max": 4} | scaling
    service = {"kind": "affine", "base_s": base_s}
    return Story(
        *arrivals, server=server(replicas=replicas, service=service, autoscaling=rule), horizon_s=60.0
    )


def test_as_many_replicas_as_the_requests_that_are_there_ask_for():
    """Five are there at the tick of 4.0, two for each replica: three, so that two more start at once."""
    story = calm(*[(3.5, 0)] * 5, base_s=8.0, target_queue=2.0)
    assert story["started_at_s"] == [3.5, 4.0, 4.0, 11.5, 12.0]


@pytest.mark.parametrize(("tolerance", "started"), [(0.0, [3.0, 4.0]), (0.5, [3.0, 11.0])])
def test_what_is_nearly_enough_is_left_alone(tolerance, started):
    """One replica for one and a half: half too few."""
    story = calm((3.0, 0), (3.0, 0), base_s=8.0, target_queue=4 / 3, tolerance=tolerance)
    assert story["started_at_s"] == started


@pytest.mark.parametrize(("stabilise_s", "second"), [(0.0, 22.0), (16.0, 21.0)])
def test_replicas_stay_as_long_as_they_were_wanted_lately(stabilise_s, second):
    """Two are wanted at 4.0, when two requests are there; at 21.0 two more come. Within 16 seconds of 4.0 no
    tick scales in, so that of 20.0 is the last that keeps both."""
    arrivals = ((3.5, 0), (3.5, 0), (21.0, 0), (21.0, 0))
    story = calm(*arrivals, target_queue=1.0, stabilise_s=stabilise_s)
    assert story["started_at_s"][3] == second


def test_what_is_on_order_stays_as_long_as_it_was_wanted_lately():
    """Three are wanted at 4.0, of which two come at 10.0; one is enough at 8.0, but three were wanted within
    16 seconds."""
    story = calm(
        *[(3.5, 0)] * 3,
        *[(11.0, 0)] * 2,
        base_s=0.5,
        target_queue=1.0,
        stabilise_s=16.0,
        provisioning_s=6.0,
    )
    assert story["started_at_s"][3:] == [11.0, 11.0]


@pytest.mark.parametrize(("cool_down_s", "then"), [(5.0, 12.0), (4.0, 8.0)])
def test_after_a_change_nothing_is_decided_for_a_while(cool_down_s, then):
    """Two at 4.0 for two that are there; at 8.0 four are, but only at 12.0 a cool-down of five seconds is
    over; one of four is at 8.0."""
    story = calm(*[(3.5, 0)] * 2, *[(7.5, 0)] * 2, base_s=20.0, target_queue=1.0, cool_down_s=cool_down_s)
    assert story["started_at_s"] == [3.5, 4.0, then, then]


def test_a_server_without_replicas_orders_one_for_who_comes():
    """Idle from the start, it has none from the tick of 4.0 on. That of 9.0 has one ordered, there at
    10.5."""
    story = calm((9.0, 0), (9.25, 0), target_utilisation=0.5, min=0, provisioning_s=1.5)
    assert story["started_at_s"] == [10.5, 11.5]


def test_whoever_is_refused_by_a_server_without_replicas_wakes_it():
    rule = {"interval_s": 4.0, "provisioning_s": 0.0, "min": 0, "max": 2, "target_utilisation": 0.5}
    story = Story(
        (9.0, 0), (9.25, 0), server=server(autoscaling=rule | {"provisioning_s": 0.25}, when_down="refuse")
    )
    assert story["server_cause"] == ["down", "none"]


def test_there_is_never_no_replica_while_somebody_is_there():
    """A request waits for its batch to fill from 3.5 to 6.5, over the tick of 4.0, which saw nobody busy."""
    rule = {"interval_s": 4.0, "provisioning_s": 0.0, "min": 0, "max": 2, "target_utilisation": 0.5}
    story = Story((3.5, 0), server=server(autoscaling=rule, max_batch=2, batch_wait_s=3.0))
    assert story["started_at_s"] == [6.5]


def test_who_would_be_done_just_in_time_is_let_in():
    """The second is done at 2.0, which is its deadline."""
    rule = server(admission={"kind": "deadline_feasible"})
    story = Story((0.0, 0), (0.0, 0), fleet=devices(deadline_s=2.0), server=rule)
    assert story["outcome"] == ["remote", "remote"]


def test_a_fair_queue_knows_the_very_first_of_all_attempts():
    """All wait until 2.0: two of client 0 and one of client 1, whose turn it is then."""
    rule = server(((0, 2),), discipline="fair", when_down="queue")
    story = Story((0.5, 0), (1.0, 0), (1.25, 1), fleet=devices(clients=2), server=rule)
    assert story["started_at_s"] == [2.0, 4.0, 3.0]


def test_what_was_put_back_is_due_as_it_ever_was():
    """Alone in a batch from 2.0 on, stopped at 2.5: at 3.0 it has waited long enough, and takes along whoever
    came at 2.25."""
    rule = server(((2.5, 3),), max_batch=3, batch_wait_s=2.0, in_flight="requeue")
    story = Story((0.0, 0), (2.25, 0), server=rule)
    assert story["started_at_s"] == [3.0, 3.0]


def test_the_oldest_of_a_queue_may_wait_behind_what_was_put_back():
    """Last come, first served, by threes, after four seconds at most. The first attempt takes five seconds to
    come, and is left over as the second replica starts at 7.0. All stop at 8.0. At 9.5 one replica takes the
    batch of 4.25 and two of those of 7.0; beside the third of these the one of 5.0 waits, which was due at
    9.0."""
    rule = server(
        ((8, 9.5),),
        ((3, 7),),
        replicas=2,
        max_batch=3,
        batch_wait_s=4.0,
        discipline="lifo",
        in_flight="requeue",
        service={"kind": "affine", "base_s": 5.0},
    )
    fleet = [devices("slow", latency=5.0), devices("fast")]
    story = Story((0.0, 0), (0.25, 1), (6.0, 1), (6.0, 1), (6.0, 1), fleet=fleet, server=rule)
    assert story["reached_at_s"] == [5.0, 0.25, 6.0, 6.0, 6.0]
    assert story["started_at_s"] == [9.5] * 5


def test_an_outage_stops_as_many_batches_as_there_are():
    """Forty at once, more than a clock has room for to begin with."""
    rule = server(((1.5, 3),), replicas=40, in_flight="requeue")
    story = Story(*[(1.0, 0)] * 40, server=rule)
    assert story["started_at_s"] == [3.0] * 40


def test_who_scales_in_cancels_what_was_ordered_and_gives_back_what_is_there():
    """Eight wait at 4.0: four replicas are wanted, of which two come at 10.0. At 8.0 nobody does, and one is
    enough: at 10.0 none comes."""
    story = calm(
        *[(3.5, 0)] * 8,
        *[(9.0, 0)] * 2,
        *[(11.0, 0)] * 2,
        replicas=2,
        base_s=0.5,
        target_queue=1.5,
        provisioning_s=6.0,
    )
    assert story["started_at_s"][-4:] == [9.0, 9.5, 11.0, 11.5]


@pytest.mark.parametrize("most", [2, 3])
@pytest.mark.parametrize("window_s", [60.0, 3.5])
def test_what_was_ordered_at_two_ticks_comes_at_two_instants(most, window_s):
    """None is left at 1.0. One is ordered for who comes at 1.5, and is there at 4.0; at 3.0 two are there, so
    that another is ordered, for 5.5."""
    scaling = {"target_queue": 1.0, "interval_s": 1.0, "provisioning_s": 2.5, "min": 0, "max": most}
    service = {"kind": "affine", "base_s": 8.0}
    scenario = scenario_of(
        fleet=(devices(),), server=server(service=service, autoscaling=scaling, when_down="queue")
    )
    arrivals = WrittenArrivals(((1.5, 0), (2.25, 0)))
    requests, _ = product(scenario, made_up(scenario), arrivals, window_s)
    assert requests["started_at_s"].tolist() == [4.0, 5.5]
    theirs, _ = reference(scenario, made_up(scenario), arrivals, 60.0)
    assert differences(requests, theirs) == []


def test_what_is_on_order_comes_in_its_order():
    """As above: ordered at 1.5, at 3.0 and at 4.0, and there three and a half seconds later."""
    scaling = {"target_queue": 1.0, "interval_s": 1.0, "provisioning_s": 3.5, "min": 0, "max": 3}
    rule = server(service={"kind": "affine", "base_s": 8.0}, autoscaling=scaling, when_down="queue")
    story = Story((1.5, 0), (2.25, 0), (3.25, 0), server=rule)
    assert story["started_at_s"] == [5.0, 6.5, 7.5]


def test_a_batch_that_outlives_a_total_outage_is_no_load():
    """Served from 0.5 to 2.5, and nothing usable in [1, 3): half a second of two was busy, so that one
    replica is enough at 4.0."""
    scaling = {"target_utilisation": 0.5, "interval_s": 4.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    rule = server(
        ((1, 3),), service={"kind": "affine", "base_s": 2.0}, in_flight="finish", autoscaling=scaling
    )
    story = Story((0.5, 0), (4.25, 0), (4.25, 0), server=rule)
    assert story["started_at_s"] == [0.5, 4.25, 6.25]


@pytest.mark.parametrize(("target_queue", "started"), [(0.9999999, 8.0), (0.999999, 5.0)])
def test_what_is_wanted_is_rounded_to_millionths_first(target_queue, started):
    """At 4.0, for one that is there, 1.0000001 replicas are one, 1.000001 are two; at 8.0 two are there."""
    assert calm((3.5, 0), (5.0, 0), base_s=8.0, target_queue=target_queue)["started_at_s"] == [3.5, started]


def test_all_that_there_may_be_are_ordered_at_once():
    story = calm(*[(3.5, 0)] * 4, base_s=8.0, target_queue=1.0, provisioning_s=1.0)
    assert story["started_at_s"] == [3.5, 5.0, 5.0, 5.0]


def test_what_is_still_on_order_is_no_change():
    """Two at 1.0, when two are there: the second comes at 6.0. Nothing is decided until 2.5; at 3.0 two are
    wanted still, and at 4.0 a third for that of 3.5, which comes at 9.0."""
    story = calm(
        *[(0.5, 0)] * 2,
        (3.5, 0),
        base_s=20.0,
        target_queue=1.0,
        interval_s=1.0,
        cool_down_s=1.5,
        provisioning_s=5.0,
    )
    assert story["started_at_s"] == [0.5, 6.0, 9.0]


def test_who_steers_from_outside_is_obeyed_at_once_even_when_nothing_is_asked_for():
    """At 4.0 a request is there still. By what was busy until 8.0 a replica is wanted, as it was 4 s before;
    but none is asked for."""
    scaling = {"target_utilisation": 0.5, "interval_s": 4.0, "provisioning_s": 0.0, "min": 0, "max": 2}
    calmly = {"stabilise_s": 16.0, "cool_down_s": 16.0}
    scenario = scenario_of(fleet=(devices(),), server=server(autoscaling=scaling | calmly))
    arrivals = WrittenArrivals(tuple((at, 0) for at in (3.0, 5.0)))
    run = Run(World(scenario), made_up(scenario), arrivals, windows=EvenWindows(4.0))
    told = [run.advance()]
    run.steer(replicas=0)
    told += [run.advance(), run.advance()]
    assert [usable for _, usable in told[1].steps[0]] == [1]
    assert [usable for _, usable in told[2].steps[0]] == [1, 0]


@pytest.mark.parametrize(("down", "started", "cause"), [((), 3.0, "none"), (((2, 9),), None, "lost")])
def test_a_queue_that_does_not_survive_is_lost_with_the_last_replica(down, started, cause):
    """Of two replicas one fails at 1.5, and at 2.0 the other, or not. The third request waits from 1.25."""
    rule = server(
        down,
        replicas_down=((1.5, 9),),
        replicas=2,
        in_flight="finish",
        queue_survives=False,
        when_down="queue",
        service={"kind": "affine", "base_s": 2.0},
    )
    story = Story((1.0, 0), (1.0, 0), (1.25, 0), server=rule)
    assert story["started_at_s"] == [1.0, 1.0, started]
    assert story["server_cause"] == ["none", "none", cause]


def test_a_batch_is_answered_though_its_clock_has_little_room(monkeypatch):
    """Forty answers, and as many timers."""
    monkeypatch.setattr(context, "EVENTS", 0)
    fleet = devices(clients=40, timeout_s=5.0, latency=0.25, breaker={"failures": 1, "cooldown_s": 1.0})
    scenario = scenario_of(fleet=(fleet,), server=server(max_batch=40))
    arrivals = WrittenArrivals(tuple((1.0, client) for client in range(40)))
    requests, _ = product(scenario, made_up(scenario), arrivals, 60.0, path=EnginePath("compiled", ""))
    assert requests["answered_at_s"].tolist() == [2.5] + [3.5] * 39


# At the door, and beside it.


def test_an_estimate_counts_full_batches_of_those_before():
    """Two seconds alone, three for two, four for three. One is served from 1.0 to 3.0; those of 1.25 would be
    done four seconds later and then two, or three, by the estimate: at 7.25 and 8.25."""
    service = {"kind": "affine", "base_s": 1.0, "per_item_s": 1.0}
    rule = server(service=service, max_batch=3, admission={"kind": "deadline_feasible"})
    for deadline_s, causes in ((5.75, [1, 0, 0]), (6.5, [1, 1, 0]), (7.0, [1, 1, 1])):
        story = Story((1.0, 0), (1.25, 0), (1.25, 0), fleet=devices(deadline_s=deadline_s), server=rule)
        assert story["server_cause"] == [("admission", "none")[cause] for cause in causes]


def test_an_estimate_counts_the_replicas_that_work():
    """Of two replicas one is down: a third would be done at 4.0."""
    rule = server(replicas_down=((0, 9),), replicas=2, admission={"kind": "deadline_feasible"})
    story = Story(*[(1.0, 0)] * 3, fleet=devices(deadline_s=2.5), server=rule)
    assert story["server_cause"] == ["none", "none", "admission"]


def test_an_idle_replica_that_waits_for_nobody_needs_no_queue():
    story = Story((1.0, 0), server=server(queue_limit=0, max_batch=2))
    assert story["outcome"] == ["remote"]


def test_who_would_not_fill_a_batch_finds_the_queue_full():
    rule = server(queue_limit=1, max_batch=3, batch_wait_s=1.0)
    story = Story((1.0, 0), (1.25, 0), server=rule)
    assert story["server_cause"] == ["none", "queue_full"]
    assert story["started_at_s"] == [2.0, None]


def test_who_is_refused_starts_nothing():
    """At 2.25 a batch of one is due. Who is refused then does not start it, so who comes next is in it."""
    rule = server(max_batch=4, batch_wait_s=1.0, admission={"kind": "deadline_feasible"})
    fleet = [devices("hasty", latency=0.25, deadline_s=0.5), devices("calm", latency=0.25, deadline_s=9.0)]
    story = Story((2.0, 0), (1.0, 1), (2.0, 1), fleet=fleet, server=rule)
    assert story["server_cause"] == ["admission", "none", "none"]
    assert story["started_at_s"] == [None, 2.25, 2.25]
    assert story["batch_size"][1:] == [2, 2]


def test_a_batch_that_an_outage_stopped_starts_nothing_as_it_would_have_ended():
    """Two start at 0.25, and are lost at 0.5. At 1.25, when they would have ended, the one of 0.75 is due;
    who comes then fills its batch."""
    rule = server(((0.5, 0.75),), max_batch=2, batch_wait_s=0.5)
    story = Story((0.0, 0), (0.0, 0), (0.5, 0), (1.0, 0), fleet=devices(latency=0.25), server=rule)
    assert story["started_at_s"] == [0.25, 0.25, 1.25, 1.25]
    assert story["batch_size"] == [2, 2, 2, 2]


def test_a_batch_that_outlives_its_place_lets_another_replica_start_what_is_due():
    """Replica 1 is out from 0.5 on, and ends its batch at 2.25, when the one of 1.75 is due on the other: who
    comes then is behind it."""
    rule = server(replicas_down=((0.5, 9),), replicas=2, max_batch=2, batch_wait_s=0.5, in_flight="finish")
    fleet = [devices("short", latency=0.25), devices("long", latency=0.25, service_factor=2.0)]
    arrivals = ((0.0, 0), (0.0, 0), (1.5, 0), (2.0, 0), (0.0, 1), (0.0, 1))
    story = Story(*arrivals, fleet=fleet, server=rule)
    assert story["finished_at_s"] == [1.25, 1.25, 3.25, 4.25, 2.25, 2.25]


def test_a_tick_that_changes_nothing_starts_nothing():
    """One is due at the tick of 4.0; who comes then fills its batch."""
    scaling = {"target_queue": 4.0, "interval_s": 4.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    rule = server(autoscaling=scaling, max_batch=2, batch_wait_s=3.0)
    story = Story((0.75, 0), (3.75, 0), fleet=devices(latency=0.25), server=rule)
    assert story["started_at_s"] == [4.0, 4.0]
    assert story["batch_size"] == [2, 2]


def test_who_comes_after_a_fair_queue_was_lost_is_the_first_of_it():
    """That of 1.25 is lost at 2.0."""
    rule = server(((2, 3),), discipline="fair", queue_survives=False, when_down="queue")
    story = Story((1.0, 0), (1.25, 0), (4.0, 0), (4.25, 0), server=rule)
    assert story["started_at_s"] == [1.0, None, 4.0, 5.0]


def test_a_batch_may_be_stopped_where_nothing_was_usable_any_more():
    """One of two replicas is out from 1.0 to 9.0. At 2.0 one is enough, which is the one that is out. The
    other would end its batch of 1.5, but all are out in [3, 4). It goes on at 9.0 with 6.5 s left."""
    one = {"kind": "replicas", "count": 1}
    scaling = {"target_utilisation": 1.0, "interval_s": 2.0, "provisioning_s": 0.0, "min": 1, "max": 2}
    rule = server(
        outages=(outage(one, (1, 9)), outage(one, (3, 4))),
        replicas=2,
        service={"kind": "affine", "base_s": 8.0},
        in_flight="resume",
        when_down="queue",
        autoscaling=scaling,
    )
    assert Story((1.5, 0), server=rule)["finished_at_s"] == [15.5]
    scenario, arrivals = scenario_of(fleet=(devices(),), server=rule), WrittenArrivals(((1.5, 0),))
    requests, _ = product(scenario, made_up(scenario), arrivals, 3.5)  # each window counts what stands still
    assert requests["finished_at_s"].tolist() == [15.5]


def test_the_only_sample_there_is_takes_its_own_time():
    scenario = scenario_of(fleet=(devices(),))
    learned = made_up(scenario, samples=1)
    learned = replace(learned, samples=replace(learned.samples, work=np.array([3.0])))
    requests, _ = product(scenario, learned, WrittenArrivals(((1.0, 0),)), 60.0)
    assert requests["finished_at_s"].tolist() == [4.0]


def test_a_single_attempt_that_was_put_back_takes_a_fresh_time_by_either_clock():
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 2.0}}
    rule = server(((1.0625, 1.125),), service=service, in_flight="requeue")
    scenario = scenario_of(fleet=(devices(),), server=rule)
    arrivals = WrittenArrivals(((1.0, 0),))
    ours, _ = product(scenario, made_up(scenario), arrivals, 60.0, path=EnginePath("compiled", ""))
    theirs, _ = reference(scenario, made_up(scenario), arrivals, 60.0)
    assert differences(ours, theirs) == []
