"""Exact time lines of what keeps clients from sending: breakers, links, budgets; of provisional answers and
charges.

Spans are multiples of a quarter of a second, so sums are exact and asserted as such.
"""

from __future__ import annotations

from typing import Any

import pytest
from stories import Story, devices, retries, server
from worlds import WrittenArrivals, made_up, scenario_of

from sim.engine.run import Run
from sim.world.windows import EvenWindows
from sim.world.world import World

DOWN = server(((0, 20),), when_down="refuse")  # refuses at once


def cut(*at: tuple[float, float], groups: tuple[str, ...] = ("devices",), **effect: Any) -> dict[str, Any]:
    """A server of a second each; the groups' links are cut, or slow."""
    found: dict[str, Any] = {
        "when": {"kind": "intervals", "at": at},
        "target": {"kind": "links", "groups": groups},
    }
    return server(outages=(found | ({"effect": {"kind": "slowdown", **effect}} if effect else {}),))


# Links.


def test_a_first_send_over_a_link_that_is_cut_is_not_sent():
    """Cut in [1, 2): half-open."""
    story = Story((0.75, 0), (1.0, 0), (1.75, 0), (2.0, 0), fleet=devices(timeout_s=9.0), server=cut((1, 2)))
    assert story["outcome"] == ["timed_out", "link_down", "link_down", "remote"]
    assert story["attempts"] == [1, 0, 0, 1]
    assert story["answered_at_s"] == [9.75, 1.0, 1.75, 3.0]
    assert story["sent_at_s"] == [0.75, None, None, 2.0]
    assert story["cost"] == pytest.approx([0.1, 0.0, 0.0, 0.1])


@pytest.mark.parametrize(("begins", "arrives"), [(1.5, False), (1.5625, True)])
def test_a_message_arrives_if_the_link_is_up_throughout_its_transfer(begins, arrives):
    """Sent at 1.0, it would reach at 1.5: a cut at that instant comes before it."""
    story = Story((1.0, 0), fleet=devices(latency=0.5, timeout_s=4.0), server=cut((begins, 1.75)))
    assert story["reached_at_s"] == [1.5 if arrives else None]
    assert story["server_cause"] == ["none" if arrives else "lost"]
    assert story["outcome"] == ["remote" if arrives else "timed_out"]


def test_an_answer_that_meets_a_cut_is_lost_and_its_work_recorded():
    """Served from 1.5 to 2.5, on its way back until 3.0."""
    story = Story((1.0, 0), fleet=devices(latency=0.5, timeout_s=4.0), server=cut((2.75, 2.875)))
    assert story["finished_at_s"] == [2.5]
    assert (story["outcome"], story["server_cause"]) == (["timed_out"], ["lost"])
    assert story["answered_at_s"] == [5.0]


def test_an_error_that_meets_a_cut_is_not_heard():
    """Refused at 1.5 for want of a place; the word of it is cut off, so only the timer tells."""
    fleet = [devices("far", latency=0.5, timeout_s=4.0), devices("near")]
    rule = cut((1.75, 1.875), groups=("far",)) | {"queue_limit": 0}
    story = Story((1.0, 0), (1.25, 1), fleet=fleet, server=rule)
    assert story["server_cause"] == ["queue_full", "none"]
    assert (story["outcome"][0], story["answered_at_s"][0]) == ("timed_out", 5.0)


def test_a_retry_asks_for_its_link_again():
    """Sent at 1.0, given up at 1.5, tried again at 2.0 in vain: it falls back then, as timed out."""
    fleet = devices(latency=0.25, timeout_s=0.5, retry=retries(2, 0.5))
    story = Story((1.0, 0), fleet=fleet, server=cut((1.125, 1.25), (2, 3)))
    assert (story["outcome"], story["attempts"]) == (["timed_out"], [1])
    assert story["answered_at_s"] == [2.0]


def test_a_slow_link_stretches_the_transfers_that_begin_in_it():
    """Twice as slow until 2.0: up 1.0 -> 2.0 instead of 1.5; down, at 3.0, as ever."""
    story = Story((1.0, 0), fleet=devices(latency=0.5, timeout_s=9.0), server=cut((0, 2), factor=2.0))
    assert story["reached_at_s"] == [2.0]
    assert story["answered_at_s"] == [3.5]


def test_a_slow_link_stretches_the_answer_that_leaves_in_it():
    """Up by 1.5, served until 2.5, and back in a second."""
    story = Story((1.0, 0), fleet=devices(latency=0.5, timeout_s=9.0), server=cut((2, 3), factor=2.0))
    assert story["reached_at_s"] == [1.5]
    assert story["answered_at_s"] == [3.5]


# Circuit breakers.


def broken(failures: int = 2, cooldown_s: float = 2.0, **parts: Any) -> dict[str, Any]:
    return devices(breaker={"failures": failures, "cooldown_s": cooldown_s}, **parts)


def test_a_breaker_opens_after_so_many_failures_and_probes_after_its_cooldown():
    """Refused at 1.0 and 1.5: open until 3.5. The probe of 3.5 fails: open until 5.5; that of 6.0 too."""
    story = Story(*[(t, 0) for t in (1.0, 1.5, 2.0, 3.25, 3.5, 4.0, 6.0)], fleet=broken(), server=DOWN)
    opened = "breaker_open"
    assert story["outcome"] == ["refused", "refused", opened, opened, "refused", opened, "refused"]
    assert story["attempts"] == [1, 1, 0, 0, 1, 0, 1]


def test_a_probe_that_succeeds_closes_the_breaker():
    """The server is back at 3.0; the probe of 3.5 is answered at 4.5, until then others do not pass."""
    rule = server(((0, 3),), when_down="refuse", replicas=3)
    story = Story(*[(t, 0) for t in (1.0, 1.25, 3.5, 4.25, 4.5, 4.75)], fleet=broken(), server=rule)
    assert story["outcome"] == ["refused", "refused", "remote", "breaker_open", "remote", "remote"]


def test_an_answer_between_two_failures_starts_the_count_anew():
    rule = server(((1, 2), (4, 5)), when_down="refuse")
    story = Story(*[(t, 0) for t in (1.0, 2.0, 4.0, 4.25, 4.5)], fleet=broken(), server=rule)
    assert story["outcome"] == ["refused", "remote", "refused", "refused", "breaker_open"]


def test_results_of_sends_from_before_the_cooldown_are_ignored():
    """Silent until 2.0. Sent at 1.0 and 1.25, given up at 2.0: open until 3.0. The one of 1.75, given up at
    2.75, is ignored; the probe of 3.0 is answered, and the breaker is closed.
    """
    fleet = broken(failures=1, cooldown_s=1.0, timeout_s=1.0)
    rule = server(((0, 2),), when_down="silent")
    story = Story(*[(t, 0) for t in (1.0, 1.75, 3.0, 4.0)], fleet=fleet, server=rule)
    assert story["outcome"] == ["timed_out", "timed_out", "remote", "remote"]


def test_a_breaker_keeps_a_retry_from_being_sent():
    """The first refusal opens it; the retry of 1.5 finds it open, and the outcome is the attempt's."""
    story = Story((1.0, 0), fleet=broken(failures=1, retry=retries(3, 0.5)), server=DOWN)
    assert (story["outcome"], story["attempts"]) == (["refused"], [1])
    assert story["answered_at_s"] == [1.5]


def test_every_client_has_a_breaker_of_its_own():
    story = Story((1.0, 0), (2.0, 0), (2.0, 1), fleet=broken(failures=1, clients=2), server=DOWN)
    assert story["outcome"] == ["refused", "breaker_open", "refused"]


def test_a_breaker_opens_by_the_share_of_the_last_attempts_that_failed():
    """Half of the last four: answered at 1.5 and 2.5, refused at 3.0; that of 3.25 is the fourth, and opens
    it until 5.25. Forgotten is what was before: two of the three since the probe's success at 6.75 open
    nothing."""
    rule = server(((3, 5), (7, 9)), when_down="refuse", service={"kind": "affine", "base_s": 0.5})
    fleet = devices(breaker={"ratio": 0.5, "window": 4, "cooldown_s": 2.0})
    asked = (1.0, 2.0, 3.0, 3.25, 3.5, 5.25, 6.25, 7.0, 7.25, 7.5, 7.75)
    story = Story(*[(t, 0) for t in asked], fleet=fleet, server=rule)
    opened = "breaker_open"
    assert story["outcome"] == [
        *("remote", "remote", "refused", "refused", opened, "remote"),
        *("remote", "refused", "refused", "refused", opened),
    ]


def test_as_many_probes_must_succeed_as_a_breaker_asks_for():
    """Open from 1.0 until 3.0. Two probes of 3.0 are under way until 3.5 and 4.0: a third does not pass at
    3.25. The first succeeded, which is not enough at 3.5; both have at 4.0."""
    rule = server(((0, 2),), when_down="refuse", service={"kind": "affine", "base_s": 0.5})
    fleet = devices(breaker={"failures": 1, "cooldown_s": 2.0, "probes": 2})
    story = Story(*[(t, 0) for t in (1.0, 3.0, 3.0, 3.25, 3.75, 4.25)], fleet=fleet, server=rule)
    opened = "breaker_open"
    assert story["outcome"] == ["refused", "remote", "remote", opened, opened, "remote"]


def test_a_probe_that_fails_opens_the_breaker_though_another_succeeded():
    """Of the probes of 3.0 and 3.75 the second is refused: open until 5.75."""
    rule = server(((0, 2), (3.75, 5)), when_down="refuse", service={"kind": "affine", "base_s": 0.5})
    fleet = devices(breaker={"failures": 1, "cooldown_s": 2.0, "probes": 2})
    story = Story(*[(t, 0) for t in (1.0, 3.0, 3.75, 5.5, 5.75)], fleet=fleet, server=rule)
    assert story["outcome"] == ["refused", "remote", "refused", "breaker_open", "remote"]


# Retry tokens.


@pytest.mark.parametrize(
    ("by", "attempts"), [("client", [2, 1, 2, 2]), ("group", [2, 2, 1, 2]), ("fleet", [2, 2, 2, 1])]
)
def test_retry_tokens_belong_to_a_client_a_group_or_the_fleet(by, attempts):
    """All are refused, and each retry takes a token. Client 0 asks first, and again; then client 1 of its
    group; then client 2 of another. Nothing is earned: each brings one token, to itself, its group, or all of
    them."""
    retry = retries(2, 0.5, allowance=0.0, allowance_by=by)
    fleet = [devices("two", clients=2, retry=retry), devices("one", retry=retry)]
    story = Story((1.0, 0), (3.0, 0), (5.0, 1), (7.0, 2), fleet=fleet, server=DOWN)
    assert story["attempts"] == attempts


def test_who_never_retries_may_earn_for_others():
    """Two first sends of the one that has one attempt make a token for the other, whose own is spent."""
    earns = {"allowance": 0.5, "allowance_by": "fleet"}
    fleet = [
        devices("asks", retry=retries(2, 0.25, **earns)),
        devices("gives", retry=retries(1, 0.25, **earns)),
    ]
    arrivals = [(t, 0) for t in (1.0, 2.0, 3.0, 4.0, 5.0)] + [(t, 1) for t in (4.25, 4.5)]
    story = Story(*arrivals, fleet=fleet, server=DOWN)
    assert story["attempts"] == [2, 2, 2, 2, 2, 1, 1]


# Budgets.


def counted(limit: int, **parts: Any) -> dict[str, Any]:
    """So many sends in every four seconds."""
    shared_by = parts.pop("shared_by", "client")
    return devices(budget={"kind": "count", "per_s": 4.0, "limit": limit, "shared_by": shared_by}, **parts)


QUICK = server(service={"kind": "affine", "base_s": 0.25})


def test_a_period_has_so_many_sends():
    story = Story(*[(float(t), 0) for t in range(1, 9)], fleet=counted(2), server=QUICK)
    sent = ["remote", "remote", "over_budget"]
    assert story["outcome"] == [*sent, "remote", "remote", "over_budget", "over_budget", "remote"]
    assert story["cost"] == pytest.approx([0.1, 0.1, 0.0, 0.1, 0.1, 0.0, 0.0, 0.1])


def test_each_period_begins_at_its_own_decimal():
    """A send in each tenth of a second, asked at its very beginning: 0.3 is where the fourth begins."""
    budget = {"kind": "count", "per_s": 0.1, "limit": 1}
    story = Story(*[(tenth / 10, 0) for tenth in range(30)], fleet=devices(budget=budget), server=QUICK)
    assert story["outcome"] == ["remote"] * 30


def test_money_buys_whole_sends():
    """0.3 buys three sends of 0.1, though in binary three tenths are less than three times a tenth."""
    budget = {"kind": "money", "per_s": 10.0, "limit": 0.3, "price": 0.1}
    story = Story(*[(float(t), 0) for t in range(1, 6)], fleet=devices(budget=budget), server=QUICK)
    assert story["outcome"] == ["remote"] * 3 + ["over_budget"] * 2


def test_a_token_bucket_begins_full_and_fills_up_lazily():
    """A token every two seconds, two at most: spent at 1.0 and 1.25; 0.5 earned at 1.0 was lost, it was full.

    From 1.0 on: 1 - 1 + 0.125 at 1.25 -> spent 0.125; at 3.0 it has 1.0.
    """
    budget = {"kind": "token_bucket", "rate_hz": 0.5, "burst": 2.0}
    times = (1.0, 1.25, 1.5, 2.75, 3.0, 3.25)
    story = Story(*[(t, 0) for t in times], fleet=devices(budget=budget), server=QUICK)
    assert story["outcome"] == ["remote", "remote", "over_budget", "over_budget", "remote", "over_budget"]


@pytest.mark.parametrize(("shared_by", "sent"), [("client", 3), ("group", 2), ("fleet", 1)])
def test_a_budget_is_shared_by_whom_it_says(shared_by, sent):
    """Two clients of one group and one of another."""
    fleet = [
        counted(1, clients=2, shared_by=shared_by),
        {**counted(1, shared_by=shared_by), "group": "others"},
    ]
    story = Story((1.0, 0), (1.5, 1), (2.0, 2), fleet=fleet, server=QUICK)
    assert story["outcome"].count("remote") == sent


def test_retries_are_paid_for_and_fall_back_when_nothing_is_left():
    """Refused; the retry of 1.5 takes the last of two; that of 2.0 finds nothing."""
    fleet = counted(2, retry=retries(4, 0.5, factor=1.0))
    story = Story((1.0, 0), fleet=fleet, server=DOWN)
    assert (story["outcome"], story["attempts"]) == (["refused"], [2])
    assert story["answered_at_s"] == [2.0]
    assert story["cost"] == pytest.approx([0.2])


@pytest.mark.parametrize(
    ("charge_on", "outcomes", "costs"),
    [
        ("send", ["refused", "over_budget", "over_budget"], [0.1, 0.0, 0.0]),
        ("accept", ["refused", "remote", "over_budget"], [0.0, 0.1, 0.0]),
        ("answer", ["refused", "remote", "over_budget"], [0.0, 0.1, 0.0]),
    ],
)
def test_what_an_error_says_was_not_charged_may_be_spent_again(charge_on, outcomes, costs):
    """Once."""
    rule = server(((0, 1.5),), when_down="refuse")
    story = Story((1.0, 0), (2.0, 0), (3.0, 0), fleet=counted(1), server=rule, costs={"charge_on": charge_on})
    assert story["outcome"] == outcomes
    assert story["cost"] == pytest.approx(costs)


def test_a_bucket_does_not_fill_up_behind_what_it_holds_and_may_release():
    """A token every four seconds, two at most, a second on the link either way; down until 2.5.

    1.0: the first takes one, which is held. 2.0: the second takes the other; nothing has been earned, since a
    bucket with one in it and one held is full. 3.0: the first hears its error; the third takes that token.
    4.25: the second is answered, which makes room for what is earned from then on: too little at 5.0. Had the
    bucket filled up meanwhile, three tokens would have been spent between 2.0 and 5.0.
    """
    budget = {"kind": "token_bucket", "rate_hz": 0.25, "burst": 2.0}
    rule = server(((0, 2.5),), when_down="refuse", service={"kind": "affine", "base_s": 0.25})
    fleet = devices(latency=1.0, budget=budget)
    story = Story(
        *[(t, 0) for t in (1.0, 2.0, 3.0, 5.0)], fleet=fleet, server=rule, costs={"charge_on": "accept"}
    )
    assert story["outcome"] == ["refused", "remote", "remote", "over_budget"]


@pytest.mark.parametrize("charge_on", ["send", "accept", "answer"])
def test_what_was_reserved_for_an_attempt_that_timed_out_stays_spent(charge_on):
    """Swallowed at the door: neither accepted nor answered, but the client cannot know."""
    rule = server(((0, 1.5),), when_down="silent")
    fleet = counted(1, timeout_s=0.5)
    story = Story((1.0, 0), (2.0, 0), fleet=fleet, server=rule, costs={"charge_on": charge_on})
    assert story["outcome"] == ["timed_out", "over_budget"]
    assert story["cost"] == pytest.approx([0.1 if charge_on == "send" else 0.0, 0.0])


@pytest.mark.parametrize(("charge_on", "cost"), [("send", 0.1), ("accept", 0.1), ("answer", 0.0)])
def test_a_late_answer_was_accepted_but_not_given_in_time(charge_on, cost):
    story = Story((1.0, 0), fleet=devices(timeout_s=0.5), costs={"charge_on": charge_on})
    assert story["cost"] == pytest.approx([cost])


def test_breaker_link_and_budget_are_asked_in_this_order():
    """All three forbid at 2.0; at 4.0 the breaker would let a probe pass, link and budget do not; at 5.0 the
    link is up. What is forbidden takes nothing: the budget of the next period is there at 8.0.
    """
    fleet = counted(1, breaker={"failures": 1, "cooldown_s": 2.0})
    rule = DOWN | {"outages": (*DOWN["outages"], *cut((2, 5))["outages"])}
    story = Story(*[(t, 0) for t in (1.0, 2.0, 3.5, 4.0, 5.0, 5.5)], fleet=fleet, server=rule)
    assert story["outcome"] == [
        "refused",
        "breaker_open",
        "link_down",
        "link_down",
        "refused",
        "breaker_open",
    ]


# When a request is over.


def rows_in_windows(fleet: dict[str, Any], rule: dict[str, Any], *at: float) -> list[int]:
    """How many are written in each of four windows of two seconds."""
    scenario = scenario_of(fleet=(fleet,), server=rule, horizon_s=8.0)
    arrivals = WrittenArrivals(tuple((t, 0) for t in at))
    run = Run(World(scenario), made_up(scenario), arrivals, windows=EvenWindows(2.0))
    return [len(run.advance().requests) for _ in range(4)]


def test_what_is_swallowed_on_its_way_is_over_as_it_is_given_up():
    """Sent at 1.0, cut at 1.25, given up at 2.5."""
    fleet = devices(latency=0.5, timeout_s=1.5)
    assert rows_in_windows(fleet, cut((1.25, 1.5)), 1.0) == [0, 1, 0, 0]


def test_an_error_that_is_swallowed_is_over_as_its_request_is_given_up():
    """Refused at 1.5, cut at 1.75, given up at 2.5."""
    outages = (*DOWN["outages"], *cut((1.75, 1.875))["outages"])
    fleet = devices(latency=0.5, timeout_s=1.5)
    assert rows_in_windows(fleet, DOWN | {"outages": outages}, 1.0) == [0, 1, 0, 0]


def test_what_is_not_sent_is_over_at_once():
    assert rows_in_windows(counted(1), QUICK, 1.0, 3.0, 5.0) == [1, 1, 1, 0]


# Provisional answers.


def provisional(after_s: float, **parts: Any) -> Story:
    return Story((1.0, 0), fleet=devices(provisional_after_s=after_s, **parts))


@pytest.mark.parametrize(("after_s", "first"), [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (3.0, 2.0)])
def test_a_provisional_answer_shows_the_local_answer_until_the_servers_comes(after_s, first):
    story = provisional(after_s)
    assert story["first_answer_at_s"] == [first]
    assert (story["answered_at_s"], story["answered_by"]) == ([2.0], ["server"])


def test_a_provisional_answer_never_comes_after_the_fallback():
    assert provisional(0.75, timeout_s=0.5)["first_answer_at_s"] == [1.5]


def test_a_provisional_answer_is_shown_though_the_server_has_not_answered_at_the_horizon():
    story = Story((19.5, 0), (19.75, 0), fleet=devices(provisional_after_s=0.25))
    assert story["first_answer_at_s"] == [19.75, None]
    assert story["outcome"] == ["in_flight", "in_flight"]


def test_a_retry_without_back_off_is_sent_at_the_place_of_the_timers():
    """Refused at 0.5, and sent twice more at that instant, before anything later happens."""
    full = server(queue_limit=0)
    fleet = devices(retry=retries(3, 0.0), deadline_s=9.0)
    story = Story((0.0, 0), (1.0, 0), (0.5, 0), fleet=fleet, server=full)
    assert story.sends("sent_at_s") == [0.5, 0.5, 0.5]
    assert story["outcome"] == ["remote", "refused", "remote"]
