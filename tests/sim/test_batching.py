"""Devices that send several requests together, and clients that make several together: exact time lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stories import LOCAL, Story, devices, retries, server

EVERYTHING = {"score": "random", "price": {"kind": "always_remote"}}
MANY = {"replicas": 9, "service": {"kind": "affine", "base_s": 1.0}}


def batching(size: int, **parts: Any) -> dict[str, Any]:
    batch = {"size": size} | {name: parts.pop(name) for name in ("of", "wait_s") if name in parts}
    return devices(**({"policy": EVERYTHING, "device": {"batch": batch}} | parts))


def test_after_so_many_decisions_all_leave_together():
    story = Story((0.0, 0), (1.0, 0), (2.5, 0), (3.0, 0), fleet=batching(3, latency=0.5), server=MANY)
    assert story["sent_at_s"] == [2.5, 2.5, 2.5, None]
    assert story["reached_at_s"] == [3.0, 3.0, 3.0, None]
    assert story["answered_at_s"] == [4.5, 4.5, 4.5, None]
    assert story["outcome"] == ["remote"] * 3 + ["in_flight"]
    assert story["transmission"] == [0, 0, 0, -1]
    assert story["held_s"] == [2.5, 1.5, 0.0, None]


def test_the_payloads_pass_one_behind_the_other_and_the_latency_once():
    """8 · 1000 / 16,000 = half a second each, and a latency of a quarter."""
    link = {"latency": 0.25, "bandwidth_bps": 16_000.0, "payload_bytes": 1000}
    story = Story((0.0, 0), (0.0, 0), (0.0, 0), (1.0, 0), fleet=batching(2, link=link), server=MANY)
    assert story["reached_at_s"] == [1.25, 1.25, 2.25, 2.25]
    assert story["transmission"] == [0, 0, 2, 2]


def test_they_reach_the_server_one_after_another_at_one_instant():
    """One replica takes the first at once; with a wait it takes all of them."""
    for wait_s, sizes in ((0.0, [1, 1, 1]), (0.25, [3, 3, 3])):
        station = server(max_batch=3, batch_wait_s=wait_s) if wait_s else server()
        story = Story((0.0, 0), (1.0, 0), (2.0, 0), fleet=batching(3), server=station)
        assert story["batch_size"] == sizes
    assert story["started_at_s"] == [2.0] * 3  # the third fills the batch


def test_of_requests_those_that_are_kept_count_too():
    """Of four decided requests the second and third are to be sent, and leave with the fourth."""
    score = np.full(40, -1.0)
    fleet = batching(4, policy={"score": "l2h", "price": {"kind": "threshold", "at": 0.0}})
    arrivals = [(float(at), 0) for at in range(8)]
    told = Story(*arrivals, fleet=fleet, server=MANY)
    assert set(told.requests["sent_at_s"].dropna()) <= {3.0, 7.0}
    kept = Story(*arrivals, fleet=fleet, server=MANY, score=score)
    assert kept["outcome"] == ["local"] * 8
    assert kept["transmission"] == [-1] * 8


def test_of_sends_only_those_count():
    fleet = batching(2, of="sends", policy={"score": "l2h", "price": {"kind": "threshold", "at": 0.0}})
    story = Story(*[(float(at), 0) for at in range(12)], fleet=fleet, server=MANY)
    sent = story.requests[story.requests["attempts"] > 0]
    assert (sent.groupby("transmission").size() == 2).all()
    assert 2 <= len(sent) < 12
    last = sent.groupby("transmission")["held_s"].last()
    assert (last == 0.0).all()


def test_the_first_that_waits_does_so_no_longer_than_it_may():
    story = Story(
        (0.0, 0), (1.5, 0), (2.5, 0), (9.0, 0), fleet=batching(9, of="sends", wait_s=2.0), server=MANY
    )
    assert story["sent_at_s"] == [2.0, 2.0, 4.5, 11.0]
    assert story["held_s"] == [2.0, 0.5, 2.0, 2.0]


def test_a_batch_of_requests_that_waited_leaves_early_and_the_count_goes_on():
    """The fourth decision still closes a batch, of what is left."""
    story = Story(
        (0.0, 0), (1.0, 0), (4.0, 0), (5.0, 0), (6.0, 0), fleet=batching(4, wait_s=2.0), server=MANY
    )
    assert story["sent_at_s"] == [2.0, 2.0, 5.0, 5.0, 8.0]


def test_whoever_waits_beyond_its_deadline_is_over_then():
    quick = {"replicas": 9, "service": {"kind": "affine", "base_s": 0.25}}
    story = Story((0.0, 0), (1.0, 0), (2.0, 0), fleet=batching(3, deadline_s=1.5), server=quick)
    assert story["outcome"] == ["timed_out", "remote", "remote"]
    assert story["answered_at_s"][0] == 1.5
    assert story["attempts"] == [0, 1, 1]
    assert story["transmission"] == [-1, 1, 1]


def test_a_wait_that_ends_with_the_deadline_is_in_vain():
    story = Story((0.0, 0), (1.0, 0), fleet=batching(3, deadline_s=1.5, wait_s=1.5), server=MANY)
    assert story["outcome"] == ["timed_out", "timed_out"]
    assert story["answered_at_s"] == [1.5, 2.5]


def test_timers_count_from_the_send_and_retries_go_alone():
    """Both are given up at 2 s, half a second after they left, and sent again a quarter of a second later."""
    fleet = batching(2, timeout_s=0.5, retry=retries(2, 0.25), latency=0.25)
    story = Story((0.0, 0), (1.5, 0), fleet=fleet, server=MANY)
    assert story.attempts["sent_at_s"].tolist() == [1.5, 2.25, 1.5, 2.25]
    assert story["transmission"] == [0, 0]
    assert story["outcome"] == ["timed_out"] * 2


def test_obstacles_are_met_as_the_batch_leaves():
    """The budget is of two sends, and the third of the batch falls back then."""
    budget = {"kind": "count", "limit": 2, "per_s": 20.0}
    story = Story(*[(float(at), 0) for at in range(3)], fleet=batching(3, budget=budget), server=MANY)
    assert story["outcome"] == ["remote", "remote", "over_budget"]
    assert story["answered_at_s"] == [3.0, 3.0, 2.0]


@pytest.mark.parametrize(("cut", "outcome"), [((1.5, 2.5), "link_down"), ((2.25, 2.5), "in_flight")])
def test_a_link_that_is_cut_as_it_leaves_or_on_the_way(cut, outcome):
    outages = (
        {"when": {"kind": "intervals", "at": (cut,)}, "target": {"kind": "links", "groups": ("devices",)}},
    )
    station = {"outages": outages} | MANY
    story = Story((0.0, 0), (2.0, 0), fleet=batching(2, latency=0.5), server=station)
    assert story["outcome"] == [outcome] * 2
    assert story["server_cause"] == ["none" if outcome == "link_down" else "lost"] * 2


def test_a_breaker_that_probes_lets_one_of_the_batch_pass():
    breaker = {"failures": 1, "cooldown_s": 1.0}
    fleet = batching(2, breaker=breaker, timeout_s=0.5)
    story = Story((0.0, 0), (0.0, 0), (4.0, 0), (4.0, 0), fleet=fleet, server=MANY)
    assert story["outcome"] == ["timed_out"] * 2 + ["timed_out", "breaker_open"]


def test_the_device_decides_one_after_another():
    fleet = batching(3) | {"device": {"inference_s": 0.5, "batch": {"size": 3}}}
    story = Story((0.0, 0), (0.0, 0), (0.0, 0), fleet=fleet, server=MANY)
    assert story["decided_at_s"] == [0.5, 1.0, 1.5]
    assert story["sent_at_s"] == [1.5] * 3


def test_clients_do_not_share_batches():
    story = Story((0.0, 0), (0.0, 1), (1.0, 0), (2.0, 1), fleet=batching(2, clients=2), server=MANY)
    assert sorted(story["sent_at_s"]) == [1.0, 1.0, 2.0, 2.0]
    assert len(set(story["transmission"])) == 2


def test_a_batch_of_one_changes_no_row():
    def told(**device: Any) -> Any:
        fleet = devices(policy=EVERYTHING, device=device, latency=0.5, timeout_s=1.25, retry=retries(2, 0.5))
        return Story(*[(at / 4, 0) for at in range(20)], fleet=fleet)

    alone, one = told(), told(batch={"size": 1})
    assert one.requests.drop(columns=["transmission", "held_s"]).equals(alone.requests)
    assert one.attempts.equals(alone.attempts)
    assert set(one["held_s"]) == {0.0}


def since(at_s: list[Any], first_s: float | None = None) -> list[float]:
    return [at - (at_s[0] if first_s is None else first_s) for at in at_s]


def loop(at_once: int, think: float = 2.0, **parts: Any) -> dict[str, Any]:
    process = {"kind": "closed_loop", "think": think, "at_once": at_once}
    return devices(**({"arrivals": {"process": process}, "policy": EVERYTHING} | parts))


def test_a_client_makes_several_requests_together_and_thinks_once_all_are_over():
    """One replica serves three one after another, so two seconds after the third answer they come again."""
    story = Story(fleet=loop(3), server=server())
    first = story["arrived_at_s"][0]
    assert story["arrived_at_s"][:3] == [first] * 3
    assert since(story["arrived_at_s"][:7]) == pytest.approx([0.0] * 3 + [5.0] * 3 + [10.0])
    assert since(story["answered_at_s"][:3], first) == pytest.approx([1.0, 2.0, 3.0])


def test_a_device_decides_them_in_order():
    story = Story(fleet=loop(3, policy=LOCAL, device={"inference_s": 0.5}))
    first = story["arrived_at_s"][0]
    assert since(story["decided_at_s"][:6], first) == pytest.approx([0.5, 1.0, 1.5, 4.0, 4.5, 5.0])


def test_in_a_closed_loop_what_is_collected_leaves_with_the_last_that_is_asked():
    """Of five asked at once two batches of two leave as they are full, the last one as nothing follows."""
    device = {"inference_s": 0.5, "batch": {"size": 2}}
    story = Story(fleet=loop(5, device=device), server=MANY)
    first = story["arrived_at_s"][0]
    sent = [1.0, 1.0, 2.0, 2.0, 2.5]
    # The last is answered a second later; two seconds of thought, and the next five begin to count anew.
    assert since(story["sent_at_s"][:10], first) == pytest.approx(sent + [5.5 + at for at in sent])


def test_in_a_closed_loop_batches_of_one_leave_as_they_are_decided():
    """Three at once, half a second each at the device and a quarter on the way: nobody waits for another."""
    device = {"inference_s": 0.5, "batch": {"size": 1}}
    story = Story(fleet=loop(3, device=device, latency=0.25), server=MANY)
    first = story["arrived_at_s"][0]
    assert since(story["sent_at_s"][:3], first) == pytest.approx([0.5, 1.0, 1.5])
    assert since(story["reached_at_s"][:3], first) == pytest.approx([0.75, 1.25, 1.75])
    assert story["held_s"][:3] == [0.0] * 3


def test_a_closed_loop_goes_on_though_all_of_a_batch_is_kept_back():
    budget = {"kind": "count", "limit": 0, "per_s": 20.0}
    story = Story(fleet=loop(3, budget=budget, device={"batch": {"size": 3}}), horizon_s=9.0)
    assert set(story["outcome"]) == {"over_budget"}
    assert len(story["outcome"]) >= 9


def test_the_wait_counts_from_the_decision():
    fleet = batching(9) | {"device": {"inference_s": 0.5, "batch": {"size": 9, "wait_s": 2.0}}}
    story = Story((0.0, 0), (0.0, 0), fleet=fleet, server=MANY)
    assert story["sent_at_s"] == [2.5, 2.5]


def test_a_slow_link_takes_longer_for_latency_and_bytes():
    """Twice a quarter of a second of latency and two halves of bytes."""
    link = {"latency": 0.25, "bandwidth_bps": 16_000.0, "payload_bytes": 1000}
    target = {"kind": "links", "groups": ("devices",)}
    slow = {"when": {"kind": "intervals", "at": ((0.5, 1.5),)}, "target": target}
    outages = (slow | {"effect": {"kind": "slowdown", "factor": 2.0}},)
    story = Story((0.0, 0), (1.0, 0), fleet=batching(2, link=link), server=MANY | {"outages": outages})
    assert story["reached_at_s"] == [3.5, 3.5]


def test_a_batch_takes_the_way_from_the_cell_that_it_leaves():
    """Decided a second away, it leaves three seconds away, and its answers come back from there."""
    cells = {"cells": ("up", "down"), "at": ((0.0, "up"), (10.0, "down"))}
    option = {"option": "it", "server": "server", "latency_in": {"up": 1.0, "down": 3.0}}
    story = Story((8.0, 0), (11.0, 0), fleet=batching(2, moves=cells, options=(option,)), server=MANY)
    assert story["cell"] == ["up", "down"]
    assert story["reached_at_s"] == [14.0, 14.0]
    assert story["answered_at_s"] == [18.0, 18.0]


def test_who_answers_in_no_time_thinks_once_all_have_come():
    story = Story(fleet=loop(3, policy=LOCAL))
    assert since(story["arrived_at_s"][:7]) == pytest.approx([0.0] * 3 + [2.0] * 3 + [4.0])
