"""Several servers and options, told request by request: whom a client asks, and what fails with whom.

As in `test_exact_timelines`: spans are multiples of a quarter of a second, a client sends everything, links
take no time and a server takes one second, unless a story says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stories import Story, devices, retries
from worlds import WrittenArrivals, frame, group_of, made_up, product, scenario_of

from sim.engine.run import chunks
from sim.world.options import options
from sim.world.world import World

EVERYTHING = {"score": "random", "price": {"kind": "always_remote"}}


def station(name: str, **parts: Any) -> dict[str, Any]:
    return {"server": name, "service": {"kind": "affine", "base_s": 1.0}} | parts


def two(**parts: Any) -> tuple[dict[str, Any], ...]:
    """An edge, which takes a second, and a cloud, which takes two."""
    slow = {"kind": "affine", "base_s": 2.0}
    return station("edge", **parts), station("cloud", service=slow)


def asking(choose: str = "order", **parts: Any) -> dict[str, Any]:
    options = ({"option": "near", "server": "edge"}, {"option": "far", "server": "cloud"})
    return devices(**({"choose": choose, "policy": EVERYTHING, "options": options} | parts))


def down(*at: tuple[float, float]) -> dict[str, Any]:
    return {"when": {"kind": "intervals", "at": at}}


def test_each_server_has_a_queue_of_its_own():
    """Two clients of one group each: the edge serves 1.0 and 2.0, the cloud 1.0 and 3.0."""
    fleet = [
        devices(name, clients=2, policy=EVERYTHING, options=({"option": "it", "server": server},))
        for name, server in (("here", "edge"), ("there", "cloud"))
    ]
    story = Story((0.0, 0), (0.0, 1), (0.0, 2), (0.0, 3), fleet=fleet, servers=two())
    assert story["finished_at_s"] == [1.0, 2.0, 2.0, 4.0]
    assert story["replica"] == [0, 0, 0, 0]


def test_the_order_asks_the_first_whose_breaker_is_closed():
    """The edge is down from 1 s to 9 s and refuses; a breaker opens at the first refusal for eight seconds.

    1.25 is refused, and falls back; 2.5 goes to the cloud, as the edge's breaker is open; 10.0 probes the
    edge.
    """
    fleet = asking(breaker={"failures": 1, "cooldown_s": 8.0})
    servers = two(when_down="refuse", outages=(down((1.0, 9.0)),))
    story = Story((1.25, 0), (2.5, 0), (10.0, 0), fleet=fleet, servers=servers)
    assert story["outcome"] == ["refused", "remote", "remote"]
    assert story["server"] == ["edge", "cloud", "edge"]
    assert story["option"] == [0, 1, 0]
    assert story["finished_at_s"] == [None, 4.5, 11.0]


def test_the_order_goes_on_to_the_first_whose_own_breaker_is_closed():
    """The edge refuses once, then the cloud; both breakers are open at 3.0."""
    names = ("edge", "cloud", "far")
    outages = {"when_down": "refuse", "outages": (down((0.0, 9.0)),)}
    servers = (*(station(name, **outages) for name in names[:2]), station(names[2]))
    options = tuple({"option": name, "server": name} for name in names)
    fleet = asking(options=options, breaker={"failures": 1, "cooldown_s": 8.0})
    story = Story((1.0, 0), (2.0, 0), (3.0, 0), fleet=fleet, servers=servers)
    assert story["server"] == list(names)
    assert story["outcome"] == ["refused", "refused", "remote"]


def test_a_home_is_the_clients_own_by_plan():
    """Three clients, of which the plan gives two the cloud; without it client 1 alone would ask that."""
    servers, asked = two(), [(0.0, 0), (0.0, 1), (0.0, 2)]
    for homes, told in ((("far", "near", "far"), [1, 0, 1]), (None, [0, 1, 0])):
        story = Story(*asked, fleet=asking("home", clients=3, homes=homes), servers=servers)
        assert story["option"] == told


def test_a_retry_asks_another_option():
    """Refused at the edge at 1.25, the retry of 1.5 goes to the cloud; with `same` it is refused again."""
    servers = two(when_down="refuse", outages=(down((1.0, 9.0)),))
    for next_, server, outcome in (("other", "cloud", "remote"), ("same", "edge", "refused")):
        fleet = asking(retry=retries(2, 0.25, next=next_))
        story = Story((1.25, 0), fleet=fleet, servers=servers)
        assert story.sends("server") == ["edge", server]
        assert story["outcome"] == [outcome]


def test_a_hedge_asks_another_option_and_the_first_answer_wins():
    """The edge serves all four, from 0.0, 1.0, 2.0 and 3.0 on. Each hedges half a second after its send: the
    cloud serves the first from 0.5 to 2.5; the second was answered at 2.0 by then, and is called back; the
    third, not answered before 3.0, is served from 2.5 to 4.5; the last was answered at 4.0.
    """
    arrivals = ((0.0, 0), (0.0, 0), (0.25, 1), (0.5, 1))
    for cancel, started in ((True, [0.5, None, 2.5, None]), (False, [0.5, 2.5, 4.5, 6.5])):
        fleet = asking(clients=2, hedge={"after_s": 0.5, "cancel": cancel})
        story = Story(*arrivals, fleet=fleet, servers=two(), horizon_s=30.0)
        assert story["outcome"] == ["remote"] * 4
        assert story["attempts"] == [2, 2, 2, 2]
        assert story["server"] == ["edge"] * 4
        assert story["answered_at_s"] == [1.0, 2.0, 3.0, 4.0]
        assert story.sends("started_at_s")[1::2] == started
        cause = "cancelled" if cancel else "none"
        assert story.sends("server_cause")[1::2] == ["none", cause, "none", cause]


def test_of_two_answers_at_one_instant_the_first_attempt_s_is_taken_and_charged():
    """The cloud answers at 2.0, as does the edge, which the hedge of 1.0 asks and which stands before it."""
    options = ({"option": "far", "server": "cloud"}, {"option": "near", "server": "edge"})
    fleet = asking(options=options, hedge={"after_s": 1.0})
    costs = {"c_e": 0.25, "c_1": 1.0, "charge_on": "answer"}
    story = Story((0.0, 0), fleet=fleet, servers=two(), costs=costs)
    assert story.sends("finished_at_s") == [2.0, 2.0]
    assert story["server"] == ["cloud"]
    assert story.sends("charged") == [True, False]
    assert story["cost"] == [0.25]


def test_a_retry_of_a_client_that_draws_two_draws_two_anew():
    """All three refuse. Whom the second attempt and the third draw, their numbers say; so does the oracle."""
    options = tuple({"option": name, "server": name} for name in ("edge", "cloud", "far"))
    fleet = asking("two_choices", options=options, retry=retries(3, 0.25, next="other"))
    refusing = {"when_down": "refuse", "outages": (down((0.0, 50.0)),)}
    servers = tuple(station(name, **refusing) for name in ("edge", "cloud", "far"))
    story = Story(*((4.0 * n, 0) for n in range(8)), fleet=fleet, servers=servers, horizon_s=40.0)
    assert story["attempts"] == [3] * 8
    assert len(set(story.sends("option")[2::3])) > 1


def test_a_hedge_of_a_client_that_draws_two_draws_two_anew():
    """Whom the second attempt draws its number says; so does the oracle."""
    names = ("edge", "cloud", "far")
    options = tuple({"option": name, "server": name} for name in names)
    fleet = asking("two_choices", options=options, hedge={"after_s": 0.5})
    servers = tuple(station(name, replicas=4) for name in names)
    story = Story(*((4.0 * n, 0) for n in range(16)), fleet=fleet, servers=servers, horizon_s=70.0)
    assert story["attempts"] == [2] * 16
    assert len(set(story.sends("option")[1::2])) == 3


def test_a_retry_follows_both_attempts_of_a_hedge():
    """The edge says nothing, the cloud refuses the hedge of 0.5; given up at 1.0, it is tried once more."""
    servers = (
        station("edge", when_down="silent", outages=(down((0.0, 1.25)),)),
        station("cloud", when_down="refuse", outages=(down((0.0, 1.25)),)),
    )
    again = retries(3, 0.25, factor=2.0, next="same")
    fleet = asking(hedge={"after_s": 0.5}, timeout_s=1.0, retry=again)
    story = Story((0.0, 0), fleet=fleet, servers=servers)
    assert story.sends("attempt") == [1, 2, 3]
    assert story.sends("sent_at_s") == [0.0, 0.5, 1.5]
    assert story["answered_at_s"] == [2.5]


def test_the_very_first_attempt_keeps_no_room_of_what_it_has_reserved():
    """The edge takes eight seconds; the cloud answers the hedge, so that nothing is held for either: at 60.0
    two tokens are there."""
    budget = {"kind": "token_bucket", "rate_hz": 0.0625, "burst": 2.0}
    fleet = asking(clients=1, hedge={"after_s": 0.5}, budget=budget)
    slow = {"kind": "affine", "base_s": 8.0}
    servers = (station("edge", service=slow, replicas=4), station("cloud", replicas=4))
    arrivals = [(t, 0) for t in (0.0, 60.0, 60.0, 60.0)]
    costs = {"charge_on": "answer"}
    story = Story(*arrivals, fleet=fleet, servers=servers, costs=costs, horizon_s=80.0)
    assert story["server"][0] == "cloud"
    assert story["outcome"] == ["remote", "remote", "remote", "over_budget"]


def test_a_backlog_is_that_of_the_server_that_told_it():
    """Of five at the edge four wait at 1.0. So the four of 1.5 ask the cloud, whose answer of 3.5 tells of
    three; of the edge's queue two are left at 3.0."""
    arrivals = [(0.0, 0)] * 5 + [(1.5, 0)] * 4 + [(3.75, 0)]
    story = Story(*arrivals, fleet=asking("least_backlog", clients=2), servers=two())
    assert story["server"] == ["edge"] * 5 + ["cloud"] * 4 + ["edge"]


@pytest.mark.parametrize(("scores", "asked"), [((0.25, 0.5), "cloud"), ((0.5, 0.5), "edge")])
def test_who_explores_asks_the_option_of_the_largest_score(scores, asked):
    """Neither exceeds the threshold; of equals the first is asked."""
    scored = {"score": "plug_in", "price": {"kind": "threshold", "at": 2.0}}
    score = np.array(scores)[:, None]
    training = {"exploration": 1.0}
    story = Story((0.0, 0), fleet=asking(policy=scored), servers=two(), score=score, training=training)
    assert story["server"] == [asked]


@pytest.mark.parametrize("computing", [False, True])
@pytest.mark.parametrize(("until_s", "cause"), [(4.0, "cancelled"), (3.75, "none")])
def test_who_is_called_back_as_its_turn_comes_is_not_served(computing, until_s, cause):
    """Until 4.0 the edge works on another's, or a little less. The hedge of 0.5 reaches the cloud at 1.0, and
    is answered at 3.5; the word that the first attempt is not needed takes as long as that, half a second.
    Somebody else's device may do a part of what it asks."""
    near = {"option": "near", "server": "edge"}
    part = {"device_s": 0.25} if computing else {}
    fleet = [
        devices("other", service_factor=until_s, options=(near,), policy=EVERYTHING),
        asking(hedge={"after_s": 0.5, "cancel": True}, latency=0.5),
        devices("quiet", options=(near | part,), policy=EVERYTHING),
    ]
    story = Story((0.0, 0), (0.0, 1), fleet=fleet, servers=two())
    assert story["answered_at_s"] == [until_s, 3.5]
    assert story.sends("server_cause") == [cause, "none"]


def test_a_late_answer_does_not_overtake_a_hedge():
    """A second on the link either way. The edge's answer would come at 3.5, and is given up at 2.5; the cloud
    answers the hedge of 2.0 at 4.5."""
    servers = tuple(
        station(name, service={"kind": "affine", "base_s": base_s})
        for name, base_s in (("edge", 1.5), ("cloud", 0.5))
    )
    fleet = asking(hedge={"after_s": 2.0}, timeout_s=2.5, latency=1.0)
    story = Story((0.0, 0), fleet=fleet, servers=servers)
    assert (story["server"], story["answered_at_s"]) == (["cloud"], [4.5])


def test_without_a_free_option_there_is_no_hedge():
    """The cloud refuses once, at 0.5, and its breaker opens: later requests do not hedge."""
    servers = (station("edge"), station("cloud", when_down="refuse", outages=(down((0.0, 50.0)),)))
    fleet = asking(hedge={"after_s": 0.5}, breaker={"failures": 1, "cooldown_s": 90.0})
    story = Story((0.0, 0), (5.0, 0), fleet=fleet, servers=servers)
    assert story["attempts"] == [2, 1]
    assert story["answered_at_s"] == [1.0, 6.0]


def test_a_probe_that_a_hedge_overtakes_leaves_room_for_another():
    """Refused at 1.25, the edge's breaker opens until 4.0. It is slow as the probe of 4.0 comes, which takes
    until 12.0; the hedge of 4.5 is answered by the cloud at 6.5. So 8.0 probes again and waits behind it: the
    cloud answers at 10.5; and so does 20.0, which the edge answers.
    """
    slow = {"when": {"kind": "intervals", "at": ((3.0, 6.0),)}, "effect": {"kind": "slowdown", "factor": 8.0}}
    servers = two(when_down="refuse", outages=(down((1.0, 3.0)), slow))[::-1]
    turned = ({"option": "far", "server": "cloud"}, {"option": "near", "server": "edge"})
    fleet = [
        asking(name="quiet", options=turned),
        asking(hedge={"after_s": 0.5}, breaker={"failures": 1, "cooldown_s": 2.75}),
    ]
    arrivals = [(t, 1) for t in (1.25, 4.0, 8.0, 20.0)]
    story = Story(*arrivals, fleet=fleet, servers=servers, horizon_s=30.0)
    assert story["server"] == ["edge", "cloud", "cloud", "edge"]
    assert story["answered_at_s"] == [1.25, 6.5, 10.5, 21.0]


def test_they_take_turns():
    fleet = asking("round_robin")
    story = Story(*((float(n), 0) for n in range(0, 12, 3)), fleet=fleet, servers=two())
    assert story["server"] == ["edge", "cloud", "edge", "cloud"]


def test_a_turn_passes_on_with_what_is_sent():
    """At 3.0 the client's link is cut: nothing is sent, and it is still the cloud's turn at 6.0."""
    cut = down((2.0, 4.0)) | {"target": {"kind": "links", "groups": ("devices",)}}
    arrivals = ((0.0, 0), (3.0, 0), (6.0, 0))
    story = Story(*arrivals, fleet=asking("round_robin"), servers=two(), outages=(cut,))
    assert story["outcome"] == ["remote", "link_down", "remote"]
    assert [story["server"][n] for n in (0, 2)] == ["edge", "cloud"]


def test_a_home_that_is_kept_back_is_not_asked():
    """Client 1 is at home in the cloud, which refuses once."""
    servers = (station("edge"), station("cloud", when_down="refuse", outages=(down((0.0, 9.0)),)))
    fleet = asking("home", clients=2, breaker={"failures": 1, "cooldown_s": 8.0})
    story = Story((1.0, 1), (2.0, 1), fleet=fleet, servers=servers)
    assert story["server"] == ["cloud", "edge"]
    assert story["outcome"] == ["refused", "remote"]


def test_where_all_are_kept_back_it_is_the_first_that_is():
    """At 2.5 the link is cut, and of the edge the breaker is open."""
    cut = down((2.0, 4.0)) | {"target": {"kind": "links", "groups": ("devices",)}}
    servers = two(when_down="refuse", outages=(down((0.0, 9.0)),))
    fleet = asking(breaker={"failures": 1, "cooldown_s": 8.0})
    story = Story((1.0, 0), (2.5, 0), fleet=fleet, servers=servers, outages=(cut,))
    assert story["outcome"] == ["refused", "breaker_open"]


def test_a_home_is_a_clients_own():
    fleet = asking("home", clients=3)
    story = Story((0.0, 0), (0.0, 1), (0.0, 2), (5.0, 1), fleet=fleet, servers=two())
    assert story["server"] == ["edge", "cloud", "cloud", "edge"]  # by client, then by time


def test_the_least_backlog_is_the_one_last_told_and_may_be_stale():
    """Client 0 fills the edge: its answers of 1.0, 2.0 and 3.0 tell that 2, 1 and none still waited. Client 1
    knows nothing and asks the edge, the first: its answer of 4.0 tells of an empty queue.

    At 1.5 client 0 knows of 2 at the edge and of none at the cloud, which it has never asked.
    """
    fleet = asking("least_backlog", clients=2)
    story = Story((0.0, 0), (0.0, 0), (0.0, 0), (0.25, 1), (1.5, 0), fleet=fleet, servers=two())
    assert story["server"] == ["edge", "edge", "edge", "cloud", "edge"]
    assert story["finished_at_s"] == [1.0, 2.0, 3.0, 3.5, 4.0]


def test_the_best_option_is_the_one_of_the_largest_score():
    """Scores of 0.25 for the edge and 0.5 for the cloud, which costs 0.5 more than `costs` say: as a gain it
    is 0. The price is 0: the edge is asked, and with its breaker open nobody, as the cloud is not worth it.
    """
    options = ({"option": "near", "server": "edge"}, {"option": "far", "server": "cloud", "c_e": 0.6})
    policy = {"score": "plug_in", "price": {"kind": "threshold", "at": 0.0}}
    group = group_of(policy=policy, options=options, breaker={"failures": 1, "cooldown_s": 50.0})
    servers = two(when_down="refuse", outages=(down((5.0, 9.0)),))
    scenario = scenario_of(server=None, servers=servers, fleet=(group,))
    learned = made_up(scenario)
    learned.tables.groups[0].score[:] = np.array([0.25, 0.5], dtype=np.float32)[:, None]
    arrivals = WrittenArrivals(((0.0, 0), (6.0, 0), (10.0, 0)))
    requests, _ = product(scenario, learned, arrivals, 60.0)
    assert requests["server"].tolist() == ["edge", "edge", "edge"]
    assert requests["outcome"].tolist() == ["remote", "refused", "breaker_open"]
    assert requests["score"].tolist() == [0.25] * 3
    assert requests["cost"].tolist() == pytest.approx([0.1, 0.1, 0.0])


def test_an_option_costs_what_it_says():
    options = ({"option": "near", "server": "edge", "c_e": 0.25}, {"option": "far", "server": "cloud"})
    fleet = asking("round_robin", options=options)
    story = Story((0.0, 0), (4.0, 0), fleet=fleet, servers=two())
    assert story["cost"] == pytest.approx([0.25, 0.1])


def test_servers_of_one_site_fail_together_and_links_cut_the_way_to_all():
    """Both are down from 2 s to 4 s, as one site; the links from 6 s to 8 s."""
    site = down((2.0, 4.0)) | {"target": {"kind": "servers", "names": ("edge", "cloud")}}
    links = down((6.0, 8.0)) | {"target": {"kind": "links", "groups": ("devices",)}}
    fleet = asking(timeout_s=1.5)
    servers = tuple(one | {"when_down": "refuse"} for one in two())
    story = Story((2.5, 0), (6.5, 0), (9.0, 0), fleet=fleet, servers=servers, outages=(site, links))
    assert story["outcome"] == ["refused", "link_down", "remote"]


def test_a_model_works_as_much_as_it_says():
    """Of one server: small takes its second, large three; each batch is of one model."""
    servers = (station("edge", models=("small", "large")),)
    models = {"small": {}, "large": {"work": 3.0}}
    options = (
        {"option": "a", "server": "edge", "model": "small"},
        {"option": "b", "server": "edge", "model": "large"},
    )
    fleet = asking("round_robin", options=options)
    story = Story((0.0, 0), (0.0, 0), fleet=fleet, servers=servers, models=models)
    assert story["model"] == ["small", "large"]
    assert story["finished_at_s"] == [1.0, 4.0]


@pytest.mark.parametrize("a", [0.5, 0.8])
def test_two_replicas_that_fail_independently_are_seldom_both_down(a):
    """One of two with availability a is usable 1 − (1 − a)² of the time, drawn and not converted."""
    when = {"kind": "intermittent", "availability": a, "mean_cycle_s": 10.0}
    target = {"kind": "replicas", "count": 2, "each": True}
    server = {
        "replicas": 2,
        "service": {"kind": "affine", "base_s": 1.0},
        "outages": ({"when": when, "target": target},),
    }
    world = World(scenario_of(horizon_s=400_000.0, server=server))
    (capacity,), (seen,) = world.capacities, world.availabilities
    assert seen == pytest.approx(1 - (1 - a) ** 2, abs=0.01)
    seconds = np.diff(np.append(capacity.at_s, 400_000.0))
    shares = [float(seconds[capacity.usable == n].sum() / 400_000.0) for n in range(3)]
    assert shares == pytest.approx([(1 - a) ** 2, 2 * a * (1 - a), a**2], abs=0.01)


def test_two_choices_are_two_and_differ():
    """Of three options with never a word from any the first of two drawn is asked: the last of three never
    first, the first in two of three draws."""
    servers = tuple(station(name, replicas=50) for name in ("a", "b", "c"))
    options = tuple({"option": name, "server": name} for name in ("a", "b", "c"))
    fleet = asking("two_choices", options=options, timeout_s=0.25)
    story = Story(*((n / 8, 0) for n in range(120)), fleet=fleet, servers=servers)
    share = {name: story["server"].count(name) / 120 for name in "abc"}
    assert share["a"] == pytest.approx(2 / 3, abs=0.13)
    assert share["b"] == pytest.approx(1 / 3, abs=0.13)
    assert share["c"] == 0.0


def test_what_would_not_do_is_not_asked_though_all_that_would_is_kept_back():
    """The edge would not do. The cloud refuses at 1.25, and its breaker is open at 2.5."""
    scored = {"score": "plug_in", "price": {"kind": "threshold", "at": 0.0}}
    fleet = asking(policy=scored, breaker={"failures": 1, "cooldown_s": 8.0})
    servers = (station("edge"), station("cloud", when_down="refuse", outages=(down((1.0, 9.0)),)))
    score = np.array([[-1.0], [1.0]])
    story = Story((1.25, 0), (2.5, 0), fleet=fleet, servers=servers, score=score)
    assert story["outcome"] == ["refused", "breaker_open"]


def test_a_retry_goes_on_behind_the_option_that_failed_however_the_others_score():
    """The first of three scores best, and refuses; the last scores better than the second, which is asked."""
    scored = {"score": "plug_in", "price": {"kind": "threshold", "at": 0.0}}
    options = tuple({"option": f"o{n}", "server": name} for n, name in enumerate(("edge", "cloud", "far")))
    fleet = asking("best", policy=scored, options=options, retry=retries(2, 0.25, next="other"))
    servers = (*two(when_down="refuse", outages=(down((1.0, 9.0)),)), station("far"))
    story = Story((1.25, 0), fleet=fleet, servers=servers, score=np.array([[3.0], [1.0], [2.0]]))
    assert story.sends("option") == [0, 1]


@pytest.mark.parametrize("charge_on", ["send", "accept", "answer"])
@pytest.mark.parametrize("refuses", [False, True])
def test_what_a_hedge_has_reserved_is_given_back_once_and_stays_spent(charge_on, refuses):
    """Both attempts of the request of 0.0 take a token, of two. The first answer, or the second error, is the
    last that is heard: at 2.0 nothing is there but what errors gave back, and at 60.0 two, as ever."""
    budget = {"kind": "token_bucket", "rate_hz": 0.0625, "burst": 2.0}
    fleet = asking(clients=1, hedge={"after_s": 0.5}, budget=budget, latency=0.5)
    outages = (down((0.0, 1.5)),) if refuses else ()
    servers = tuple(
        station(name, replicas=3, when_down="refuse", outages=outages) for name in ("edge", "cloud")
    )
    costs = {"charge_on": charge_on}
    arrivals = [(t, 0) for t in (0.0, 3.0, 60.0, 60.0, 60.0)]
    story = Story(*arrivals, fleet=fleet, servers=servers, costs=costs, horizon_s=70.0)
    first = ["refused", "remote"] if refuses and charge_on != "send" else ["remote", "over_budget"]
    if refuses and charge_on == "send":
        first = ["refused", "over_budget"]
    assert story["outcome"] == [*first, "remote", "remote", "over_budget"]


def test_what_chance_says_of_a_way_holds_for_each_option_on_it(monkeypatch):
    """Two of four servers are reached and served by the same laws. Each option drawn for by itself, the rows
    are the same."""
    drawn = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 1.0}}
    servers = (*(station(name, service=drawn) for name in ("a", "b", "c")), station("d"))
    link = {"latency": {"kind": "exponential", "mean_s": 0.5}}
    asked = tuple({"option": one["server"], "server": one["server"], "link": link} for one in servers)
    asked[2]["link"] = {"latency": {"kind": "exponential", "mean_s": 0.25}}
    fleet = devices(
        clients=3,
        choose="round_robin",
        policy=EVERYTHING,
        options=asked,
        timeout_s=1.5,
        retry=retries(2, 0.25, next="other"),
    )
    arrivals = WrittenArrivals([(0.25 * n, n % 3) for n in range(60)])
    scenario = scenario_of(horizon_s=20.0, fleet=(fleet,), servers=servers, server=None)

    def apart(alike: Any, ways: Any) -> Any:
        return tuple(replace(one, ways=(n,)) for n, one in enumerate(alike)), tuple(
            ways[one.ways[0]] for one in alike
        )

    def rows() -> Any:
        world = World(scenario)
        ways = [one.ways for one in world.options[0]]
        (chunk,) = chunks(world, made_up(scenario), arrivals, 20.0)
        return ways, frame(chunk.requests), frame(chunk.attempts)

    ways, *tables = rows()
    assert ways == [(0,), (0,), (1,), (2,)]
    monkeypatch.setattr(
        "sim.world.world.options",
        lambda *of: apart(*options(*of)),
    )
    ways, *each = rows()
    assert ways == [(0,), (1,), (2,), (3,)]
    assert all(one.equals(other) for one, other in zip(tables, each, strict=True))
    assert (tables[0].reached_at_s - tables[0].sent_at_s).nunique() > 30
