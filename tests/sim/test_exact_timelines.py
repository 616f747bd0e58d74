"""Tiny scenarios whose every instant is worked out by hand: one story for each rule of a request's life.

Spans are multiples of a quarter of a second, so sums are exact and asserted as such. Unless a story says
otherwise a client sends everything over a link that takes no time, and the server takes one second.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from stories import LOCAL, Story, devices, retries, server
from worlds import group_of

HAIR_S = 2.0**-20


# On the device.


def test_a_device_serves_its_requests_one_at_a_time():
    """Half a second each. Client 0: 1.0 -> 1.5; both of 1.25 wait, 2.0 and 2.5; 3.0 finds it idle -> 3.5.

    Client 1 has a device of its own: 1.25 -> 1.75.
    """
    fleet = devices(clients=2, device={"inference_s": 0.5}, policy=LOCAL)
    story = Story((1.0, 0), (1.25, 0), (1.25, 0), (3.0, 0), (1.25, 1), fleet=fleet)
    assert story["request_id"] == [0, 1, 2, 3, 1 << 32]
    assert story["decided_at_s"] == [1.5, 2.0, 2.5, 3.5, 1.75]
    assert story["answered_at_s"] == story["decided_at_s"]
    assert set(story["outcome"]) == {"local"}
    assert set(story["attempts"]) == {0}
    assert set(story["sent_at_s"]) == {None}


# Over the link.


def test_a_send_takes_its_latency_and_its_payload_the_answer_its_latency_alone():
    """Up: 0.25 + 8 · 1000 / 32,000 = 0.5; the server: 1.0; down: 0.25."""
    link = {"latency": 0.25, "payload_bytes": 1000, "bandwidth_bps": 32_000.0}
    story = Story((1.0, 0), fleet=group_of(link=link))
    assert story["sent_at_s"] == [1.0]
    assert story["reached_at_s"] == [1.5]
    assert story["started_at_s"] == [1.5]
    assert story["finished_at_s"] == [2.5]
    assert story["answered_at_s"] == [2.75]
    assert (story["outcome"], story["answered_by"], story["server_cause"]) == (
        ["remote"],
        ["server"],
        ["none"],
    )


# In the queue.


def batches(**parts: Any) -> dict[str, Any]:
    """Batches of two at most, after a second at most; 1.0 s and 0.25 s for every item."""
    service = {"kind": "affine", "base_s": 1.0, "per_item_s": 0.25}
    return server(**{"service": service, "max_batch": 2, "batch_wait_s": 1.0} | parts)


def test_a_full_batch_starts_at_once():
    """The second of two fills the batch at 1.5, which takes 1.0 + 2 · 0.25."""
    story = Story((1.0, 0), (1.5, 0), server=batches())
    assert story["started_at_s"] == [1.5, 1.5]
    assert story["finished_at_s"] == [3.0, 3.0]
    assert story["batch_size"] == [2, 2]


def test_a_part_of_a_batch_starts_when_its_oldest_has_waited_long_enough():
    story = Story((1.0, 0), server=batches())
    assert story["started_at_s"] == [2.0]
    assert story["finished_at_s"] == [3.25]
    assert story["batch_size"] == [1]


def test_who_waits_behind_a_busy_replica_longer_than_that_starts_when_it_ends():
    """Batch of 1.0 and 1.0 ends at 2.5; the one of 1.25 was due at 2.25; the one of 2.5 makes it a full one.

    An answer frees the replica before a message reaches, but 2.5 was sent without delay and is decided
    last of all: the batch of one has already begun.
    """
    story = Story((1.0, 0), (1.0, 0), (1.25, 0), (2.5, 0), server=batches())
    assert story["started_at_s"] == [1.0, 1.0, 2.5, 3.75]
    assert story["batch_size"] == [2, 2, 1, 1]


def test_a_long_queue_is_served_in_order_by_full_batches():
    """Five at once: two start, two wait 1.5 s, the last is due at 2.0 and starts when these end."""
    story = Story(*[(1.0, 0)] * 5, server=batches())
    assert story["started_at_s"] == [1.0, 1.0, 2.5, 2.5, 4.0]
    assert story["finished_at_s"] == [2.5, 2.5, 4.0, 4.0, 5.25]


def test_without_a_queue_a_busy_server_refuses():
    """Erlang's loss system: taken at 1.0, refused at 1.5; at 2.0 the replica is free just in time."""
    story = Story((1.0, 0), (1.5, 0), (2.0, 0), (2.25, 0), server=server(queue_limit=0))
    assert story["outcome"] == ["remote", "refused", "remote", "refused"]
    assert story["server_cause"] == ["none", "queue_full", "none", "queue_full"]
    assert story["answered_at_s"] == [2.0, 1.5, 3.0, 2.25]
    assert story["answered_by"] == ["server", "client", "server", "client"]


def test_a_queue_holds_as_many_as_its_limit():
    story = Story(*[(1.0, 0)] * 5, server=server(queue_limit=2))
    assert story["started_at_s"] == [1.0, 2.0, 3.0, None, None]
    assert story["server_cause"] == ["none", "none", "none", "queue_full", "queue_full"]


def test_an_idle_replica_takes_the_last_of_a_full_batch_past_a_full_queue():
    """One may wait; the second would be one too many but fills the batch, so it is taken at once."""
    story = Story((1.0, 0), (1.5, 0), server=batches(queue_limit=1))
    assert story["outcome"] == ["remote", "remote"]
    assert story["started_at_s"] == [1.5, 1.5]


def test_the_idle_replica_with_the_lowest_index_works():
    """At 2.25 replicas 0 and 1 have just become idle: 0; at 2.5 replicas 1 and 2 are: 1."""
    story = Story((1.0, 0), (1.25, 0), (1.5, 0), (2.25, 0), (2.5, 0), server=server(replicas=3))
    assert story["replica"] == [0, 1, 2, 0, 1]
    assert story["started_at_s"] == [1.0, 1.25, 1.5, 2.25, 2.5]


# While the server is down.


def test_a_server_that_is_down_refuses_and_the_error_takes_the_downlink():
    """Down in [1, 3), a quarter of a second either way.

    Sent 0.75, reaches at 1.0: refused, error at 1.25. Sent 2.0: refused, error at 2.5. Sent 2.75, reaches
    at 3.0, when the outage is over: served.
    """
    story = Story(
        (0.75, 0),
        (2.0, 0),
        (2.75, 0),
        fleet=devices(latency=0.25),
        server=server(((1, 3),), when_down="refuse"),
    )
    assert story["outcome"] == ["refused", "refused", "remote"]
    assert story["server_cause"] == ["down", "down", "none"]
    assert story["reached_at_s"] == [1.0, 2.25, 3.0]
    assert story["answered_at_s"] == [1.25, 2.5, 4.25]
    assert story["started_at_s"] == [None, None, 3.0]


def test_a_server_that_is_down_may_let_requests_wait():
    story = Story((1.5, 0), (2.0, 0), server=server(((1, 3),), when_down="queue"))
    assert story["started_at_s"] == [3.0, 4.0]
    assert story["answered_at_s"] == [4.0, 5.0]


def test_who_waits_for_a_server_that_is_down_counts_towards_the_limit():
    story = Story((1.5, 0), (2.0, 0), server=server(((1, 3),), when_down="queue", queue_limit=1))
    assert story["server_cause"] == ["none", "queue_full"]
    assert story["answered_at_s"] == [4.0, 2.0]


def test_a_silent_server_swallows_and_the_client_learns_by_its_timer():
    fleet = devices(timeout_s=1.0)
    story = Story((1.5, 0), fleet=fleet, server=server(((1, 3),), when_down="silent"))
    assert (story["outcome"], story["server_cause"]) == (["timed_out"], ["lost"])
    assert story["reached_at_s"] == [1.5]
    assert story["answered_at_s"] == [2.5]


def test_an_outage_loses_what_is_in_service_and_keeps_what_waits():
    """In service from 1.0, lost at 1.5, the client's patience ends at 4.0; the next starts at 3.0."""
    story = Story((1.0, 0), (1.25, 0), fleet=devices(timeout_s=3.0), server=server(((1.5, 3),)))
    assert story["outcome"] == ["timed_out", "remote"]
    assert story["server_cause"] == ["lost", "none"]
    assert story["started_at_s"] == [1.0, 3.0]
    assert story["finished_at_s"] == [None, 4.0]
    assert story["answered_at_s"] == [4.0, 4.0]


def test_the_loss_of_one_replica_hits_the_highest_index():
    """Replica 1 stops at 1.5 with what came at 1.25; until 3.5 replica 0 serves alone."""
    fleet = devices(timeout_s=5.0)
    story = Story(
        (1.0, 0), (1.25, 0), (1.75, 0), (1.75, 0), fleet=fleet, server=server((), ((1.5, 3.5),), replicas=2)
    )
    assert story["replica"] == [0, 1, 0, 0]
    assert story["server_cause"] == ["none", "lost", "none", "none"]
    assert story["started_at_s"] == [1.0, 1.25, 2.0, 3.0]
    assert story["answered_at_s"] == [2.0, 6.25, 3.0, 4.0]


@pytest.mark.parametrize(("outage", "starts"), [((1.25, 1.5), 2.0), ((1.75, 2.5), 2.5)])
def test_a_batch_that_is_gathering_outlives_an_outage(outage, starts):
    """Due at 2.0: it starts then if the server is back, else as soon as it is."""
    story = Story((1.0, 0), server=batches(outages=server((outage,))["outages"]))
    assert story["started_at_s"] == [starts]


def test_a_replica_that_comes_back_takes_what_waits():
    story = Story((1.75, 0), (1.75, 0), server=server((), ((1, 2),), replicas=2))
    assert story["replica"] == [0, 1]
    assert story["started_at_s"] == [1.75, 2.0]


@pytest.mark.parametrize(("survives", "starts", "cause"), [(True, 3.0, "none"), (False, None, "lost")])
def test_a_total_outage_may_take_the_queue_with_it(survives, starts, cause):
    """One in service and one waiting at 1.5, when all stops; what comes during the outage waits anyway."""
    fleet = devices(timeout_s=8.0)
    story = Story(
        (1.0, 0), (1.25, 0), (2.0, 0), fleet=fleet, server=server(((1.5, 3),), queue_survives=survives)
    )
    assert story["server_cause"] == ["lost", cause, "none"]
    assert story["started_at_s"] == [1.0, starts, 4.0 if survives else 3.0]
    assert story["answered_at_s"][1] == (4.0 if survives else 9.25)


def test_the_loss_of_some_replicas_never_takes_the_queue():
    fleet = devices(timeout_s=8.0)
    story = Story(
        *[(1.0, 0)] * 3, fleet=fleet, server=server((), ((1.5, 3),), replicas=2, queue_survives=False)
    )
    assert story["server_cause"] == ["none", "lost", "none"]
    assert story["started_at_s"] == [1.0, 1.0, 2.0]


# The client's patience.


def test_a_timeout_leads_to_retries_with_growing_backoff():
    """The server is silent until 3.0; patience 1.25 s, backoff 0.5 s and then 1.0 s.

    Sent 1.0, given up 2.25, sent 2.75, given up 4.0, sent 5.0, served until 6.0.
    """
    fleet = devices(timeout_s=1.25, retry=retries(3, 0.5))
    story = Story((1.0, 0), fleet=fleet, server=server(((1, 3),), when_down="silent"))
    assert story["outcome"] == ["remote"]
    assert story["attempts"] == [3]
    assert story["sent_at_s"] == [5.0]
    assert story["answered_at_s"] == [6.0]
    assert story.sends("attempt") == [1, 2, 3]
    assert story.sends("sent_at_s") == [1.0, 2.75, 5.0]
    assert story.sends("reached_at_s") == [1.0, 2.75, 5.0]
    assert story.sends("server_cause") == ["lost", "lost", "none"]
    assert story.sends("finished_at_s") == [None, None, 6.0]


def test_after_the_last_attempt_the_client_falls_back_with_that_attempts_outcome():
    """Sent 1.0 and swallowed, given up 2.0, sent 2.5 and refused: the queue is full by then."""
    fleet = [devices(timeout_s=1.0, retry=retries(2, 0.5)), devices("others")]
    story = Story(
        (1.0, 0), (2.0, 1), fleet=fleet, server=server(((1, 2),), when_down="silent", queue_limit=0)
    )
    assert story["outcome"] == ["refused", "remote"]
    assert story["server_cause"] == ["queue_full", "none"]
    assert story["answered_at_s"] == [2.5, 3.0]
    assert story.sends("server_cause") == ["lost", "queue_full"]


def test_an_error_is_retried_without_waiting_for_the_timer():
    """Sent 1.0, refused at 1.25, told at 1.5; retry at 2.0 reaches at 2.25, when the outage is over."""
    fleet = devices(latency=0.25, timeout_s=5.0, retry=retries(2, 0.5))
    story = Story((1.0, 0), fleet=fleet, server=server(((1, 2.25),), when_down="refuse"))
    assert story.sends("sent_at_s") == [1.0, 2.0]
    assert story.sends("server_cause") == ["down", "none"]
    assert story["answered_at_s"] == [3.5]


def test_a_retry_that_waits_for_nothing_is_sent_at_once_before_who_arrives_then():
    """Refused at 1.25, told and sent again at 1.5, with the last of the budget, before who comes then."""
    budget = {"kind": "count", "per_s": 10.0, "limit": 2, "shared_by": "fleet"}
    fleet = devices(latency=0.25, timeout_s=5.0, retry=retries(2, 0.0), budget=budget)
    story = Story((1.0, 0), (1.5, 0), fleet=fleet, server=server(((1, 1.5),), when_down="refuse"))
    assert story.sends("sent_at_s") == [1.0, 1.5]
    assert story["outcome"] == ["remote", "over_budget"]


@pytest.mark.parametrize(("backoff_s", "sent"), [(1.5, [1.0, 3.75]), (1.75, [])])
def test_a_retry_that_would_not_lie_before_the_deadline_is_not_sent(backoff_s, sent):
    """Deadline 4.0. The first attempt is given up at 2.25: 3.75 lies before the deadline, 4.0 does not.

    The retry's patience ends at the deadline; without a retry the client falls back at 2.25.
    """
    fleet = devices(timeout_s=1.25, deadline_s=3.0, retry=retries(2, backoff_s))
    story = Story((1.0, 0), fleet=fleet, server=server(((0, 20),), when_down="silent"))
    assert story.sends("sent_at_s") == sent
    assert story["outcome"] == ["timed_out"]
    assert story["answered_at_s"] == [4.0 if sent else 2.25]


@pytest.mark.parametrize("patience", [{"deadline_s": 1.0}, {"timeout_s": 1.0}])
def test_an_answer_exactly_at_the_deadline_is_in_time(patience):
    story = Story((1.0, 0), fleet=devices(**patience))
    assert story["outcome"] == ["remote"]
    assert story["answered_at_s"] == [2.0]


@pytest.mark.parametrize("patience", [{"deadline_s": 1.0}, {"timeout_s": 1.0}])
def test_an_answer_a_hair_later_is_ignored_and_its_work_recorded(patience):
    story = Story((1.0, 0), fleet=devices(latency=HAIR_S, **patience))
    assert story["outcome"] == ["timed_out"]
    assert story["answered_by"] == ["client"]
    assert story["answered_at_s"] == [2.0]
    assert story["started_at_s"] == [1.0 + HAIR_S]
    assert story["finished_at_s"] == [2.0 + HAIR_S]
    assert story["server_cause"] == ["none"]


def test_the_deadline_cuts_a_timeout_short():
    story = Story((1.0, 0), fleet=devices(timeout_s=3.0, deadline_s=0.5))
    assert story["answered_at_s"] == [1.5]


def test_a_late_answer_to_an_abandoned_attempt_is_not_taken_for_the_retrys():
    """Client 1 keeps the server busy until 2.0. Client 0 sends at 1.25, is served from 2.0 to 3.0 and has
    given up at 2.75; its retry of 2.875 waits. The answer of 3.0 is ignored, the retry's comes at 4.0.
    """
    fleet = [devices("hasty", timeout_s=1.5, retry=retries(2, 0.125)), devices("first")]
    story = Story((1.25, 0), (1.0, 1), fleet=fleet)
    assert story.sends("sent_at_s") == [1.25, 2.875]
    assert story.sends("finished_at_s") == [3.0, 4.0]
    assert story["outcome"] == ["remote", "remote"]
    assert story["answered_at_s"] == [4.0, 2.0]


def test_a_request_decided_at_its_deadline_is_timed_out_unsent():
    """Half a second on the device: decided at 1.5, which is the deadline; the other client has longer."""
    fleet = [
        devices("hasty", device={"inference_s": 0.5}, deadline_s=0.5),
        devices("calm", device={"inference_s": 0.5}, deadline_s=0.75),
    ]
    story = Story((1.0, 0), (1.0, 1), fleet=fleet)
    assert story["outcome"] == ["timed_out", "timed_out"]
    assert story["attempts"] == [0, 1]
    assert story["sent_at_s"] == [None, 1.5]
    assert story["answered_at_s"] == [1.5, 1.75]


@pytest.mark.parametrize(("fallback", "at", "label"), [("client", 2.5, True), ("none", None, False)])
def test_a_client_falls_back_to_its_own_answer_or_to_none(fallback, at, label):
    fleet = devices(timeout_s=1.5, fallback=fallback)
    story = Story((1.0, 0), fleet=fleet, server=server(((0, 20),), when_down="silent"))
    assert story["outcome"] == ["timed_out"]
    assert story["answered_by"] == [fallback]
    assert story["answered_at_s"] == story["first_answer_at_s"] == [at]
    assert (story["answer_label"] == story["client_label"]) == label


# The retry allowance. A server that is silent throughout makes every first send cost a retry.


def retried(arrivals: list[tuple[float, int]], allowance: float | None, **parts: Any) -> list[int]:
    retry = retries(parts.pop("attempts", 2), 0.25, allowance=allowance)
    fleet = devices(timeout_s=0.5, retry=retry, clients=parts.pop("clients", 1))
    return Story(*arrivals, fleet=fleet, **{"server": server(((0, 20),), when_down="silent")} | parts)[
        "attempts"
    ]


def test_a_client_starts_with_one_retry():
    assert retried([(float(t), 0) for t in (1, 3, 5)], allowance=0.0) == [2, 1, 1]


def test_every_client_has_an_allowance_of_its_own():
    assert retried([(1.0, 0), (1.0, 1), (3.0, 0), (3.0, 1)], allowance=0.0, clients=2) == [2, 1, 2, 1]


def test_first_sends_earn_a_share_of_a_retry_and_retries_earn_nothing():
    """Tokens after each first send: 1.5 -> retry -> 1.0 -> retry -> 0.5 -> none; 1.0 -> retry."""
    assert retried([(float(t), 0) for t in (1, 3, 5, 7, 9)], allowance=0.5) == [2, 2, 1, 2, 1]


def test_ten_tenths_are_one():
    """The token of the start is spent first; the tenth send after it has earned another."""
    arrivals = [(1.0 + t, 0) for t in range(12)]
    assert retried(arrivals, allowance=0.1) == [2] + [1] * 8 + [2] + [1] * 2


def test_each_of_several_retries_takes_a_token():
    """Four attempts are allowed; the tokens of 1 + 1 pay for two retries."""
    assert retried([(1.0, 0)], allowance=1.0, attempts=4) == [3]


def test_no_more_than_three_retries_are_saved():
    """Ten answered requests would earn ten; of the five swallowed together, three are sent again."""
    arrivals = [(t / 2, 0) for t in range(10)] + [(12.0, 0)] * 5
    quick = {"kind": "affine", "base_s": 0.25}
    found = retried(arrivals, allowance=1.0, server=server(((10, 20),), when_down="silent", service=quick))
    assert found == [1] * 10 + [2, 2, 2, 1, 1]


def test_without_an_allowance_every_attempt_is_made():
    assert retried([(float(t), 0) for t in (1, 4, 7)], allowance=None, attempts=4) == [4, 4, 4]


# The end of the run.


def test_at_the_horizon_what_is_under_way_is_in_flight():
    """Until 5.0. Client 0: started at 4.5, would end at 5.5. Client 1: would end at 5.0, which is too late.

    Client 2's device is not done. Client 3's message is under way.
    """
    fleet = [
        devices("late", clients=2),
        devices("slow", device={"inference_s": 2.0}),
        devices("far", latency=1.0),
    ]
    story = Story(
        (4.5, 0), (4.0, 1), (4.0, 2), (4.25, 3), fleet=fleet, server=server(replicas=2), horizon_s=5.0
    )
    assert set(story["outcome"]) == {"in_flight"}
    assert set(story["answered_by"]) == {"none"}
    assert set(story["answered_at_s"]) == {None}
    assert story["decided_at_s"] == [4.5, 4.0, None, 4.25]
    assert story["sent_at_s"] == [4.5, 4.0, None, 4.25]
    assert story["reached_at_s"] == [4.5, 4.0, None, None]
    assert story["started_at_s"] == [4.5, 4.0, None, None]
    assert story["finished_at_s"] == [None, None, None, None]


def test_an_answer_on_its_way_back_at_the_horizon_is_in_flight():
    story = Story((1.0, 0), fleet=devices(latency=0.5), horizon_s=3.0)
    assert story["finished_at_s"] == [2.5]
    assert (story["outcome"], story["answered_at_s"]) == (["in_flight"], [None])


# Simultaneous events, in the order of `sim.engine.events.Kind`.


def test_capacity_that_goes_comes_before_a_batch_that_ends():
    story = Story((1.0, 0), fleet=devices(timeout_s=3.0), server=server(((2, 3),)))
    assert (story["outcome"], story["server_cause"]) == (["timed_out"], ["lost"])


def test_capacity_that_comes_comes_before_a_message_that_arrives():
    story = Story((1.75, 0), fleet=devices(latency=0.25), server=server(((1, 2),), when_down="refuse"))
    assert story["started_at_s"] == [2.0]


def test_a_batch_ends_before_a_message_arrives():
    story = Story((1.0, 0), (2.0, 0), fleet=devices(latency=0.25), server=server(queue_limit=0))
    assert story["outcome"] == ["remote", "remote"]


def test_a_message_arrives_before_a_batch_falls_due():
    """Due at 2.25, when the other one arrives: they go together."""
    story = Story((1.0, 0), (2.0, 0), fleet=devices(latency=0.25), server=batches())
    assert story["started_at_s"] == [2.25, 2.25]
    assert story["batch_size"] == [2, 2]


def test_a_message_that_takes_no_time_keeps_the_place_of_its_decision():
    """The same without delay: the second is sent after the batch fell due at 2.0."""
    story = Story((1.0, 0), (2.0, 0), server=batches())
    assert story["started_at_s"] == [2.0, 3.25]
    assert story["batch_size"] == [1, 1]


def test_an_error_arrives_before_the_timer_runs_out():
    story = Story(
        (1.0, 0), fleet=devices(latency=0.25, timeout_s=0.5), server=server(((0, 20),), when_down="refuse")
    )
    assert (story["outcome"], story["answered_at_s"]) == (["refused"], [1.5])


def test_a_retry_is_sent_before_a_first_send_of_the_same_instant():
    """Client 1 retries at 2.0, when client 0 sends for the first time: the only place goes to the retry."""
    fleet = [devices("new"), devices("old", timeout_s=0.5, retry=retries(2, 0.5))]
    story = Story(
        (2.0, 0), (1.0, 1), fleet=fleet, server=server(((0, 1.5),), when_down="silent", queue_limit=0)
    )
    assert story["outcome"] == ["refused", "timed_out"]
    assert story["started_at_s"] == [None, 2.0]


def test_a_device_is_done_before_a_request_arrives():
    """Client 1's device is done at 2.0, when client 0's request arrives and is sent at once."""
    fleet = [devices("quick"), devices("slow", device={"inference_s": 0.5})]
    story = Story((2.0, 0), (1.5, 1), fleet=fleet)
    assert story["started_at_s"] == [3.0, 2.0]


@pytest.mark.parametrize("latency", [0.0, 0.25])
def test_within_a_kind_the_request_decides(latency):
    """Three clients at one instant, two requests of the first: by client, then by number."""
    fleet = devices(clients=3, latency=latency)
    story = Story((1.0, 2), (1.0, 0), (1.0, 1), (1.0, 0), fleet=fleet)
    assert story["request_id"] == [0, 1, 1 << 32, 2 << 32]
    assert story["started_at_s"] == [latency + t for t in (1.0, 2.0, 3.0, 4.0)]


def test_batches_that_end_together_end_in_the_order_of_their_replicas():
    """Replica 0 lost a batch at 1.5 and replica 1, then idle, none; both are busy from 3.0 to 4.0.

    Two wait: the first of them goes to replica 0, which is freed first.
    """
    fleet = devices(timeout_s=9.0)
    story = Story(
        (1.0, 0), *[(2.0, 0)] * 4, fleet=fleet, server=server(((1.5, 3),), replicas=2, when_down="queue")
    )
    assert story["started_at_s"] == [1.0, 3.0, 3.0, 4.0, 4.0]
    assert story["replica"] == [0, 0, 1, 0, 1]


def test_a_first_send_has_earned_before_it_can_fail():
    """Refused at once. Tokens: 1.5 -> retry -> 0.5; the second send makes them 1.0, in time for its retry."""
    fleet = devices(retry=retries(2, 0.25, allowance=0.5))
    story = Story((1.0, 0), (2.0, 0), fleet=fleet, server=server(((0, 20),), when_down="refuse"))
    assert story["attempts"] == [2, 2]


def test_a_retry_may_fall_on_the_timer_of_the_attempt_that_failed():
    """Refused at once, tried again after a second, which is also the patience: the old timer says nothing."""
    fleet = devices(timeout_s=1.0, retry=retries(4, 1.0, factor=1.0))
    story = Story((1.0, 0), fleet=fleet, server=server(((0, 20),), when_down="refuse"))
    assert story.sends("sent_at_s") == [1.0, 2.0, 3.0, 4.0]
    assert (story["outcome"], story["answered_at_s"]) == (["refused"], [4.0])


def test_a_request_of_many_attempts_stays_before_the_next_of_its_client():
    """Refused every quarter of a second until the server is up at 12.5, where the first one's fifty-first
    attempt meets the third of the one of 12.0."""
    fleet = devices(retry=retries(100, 0.25, factor=1.0))
    story = Story((0.0, 0), (12.0, 0), fleet=fleet, server=server(((0, 12.5),), when_down="refuse"))
    assert story["attempts"] == [51, 3]
    assert story["started_at_s"] == [12.5, 13.5]


def test_every_outcome_of_these_stories_adds_up():
    """A little of everything at one time: each request has one outcome, and the causes are the server's."""
    fleet = [
        devices("local", policy=LOCAL),
        devices("swallowed", timeout_s=1.0),
        devices("refused", latency=0.25),
    ]
    story = Story(
        *[(float(t), client) for t in (1, 2, 3, 4) for client in range(3)],
        fleet=fleet,
        server=server(((2, 3.25),), when_down="refuse", queue_limit=0),
        horizon_s=5.0,
    )
    # Client 1: the batch of 1.0 is lost at 2.0, when its client gives up; 2.0 and 3.0 find the server down,
    # 4.0 finds it busy. Client 2 reaches at 1.25, busy; 2.25, down; 3.25, served until 4.25; 4.25, taken.
    assert Counter(story["outcome"]) == {
        "local": 4,
        "refused": 5,
        "timed_out": 1,
        "remote": 1,
        "in_flight": 1,
    }
    assert Counter(story["server_cause"]) == {"none": 6, "down": 3, "queue_full": 2, "lost": 1}
