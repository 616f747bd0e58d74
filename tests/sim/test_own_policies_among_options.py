"""Policies in plain Python of clients that have several options: whom they name is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from here import forget_what_was_brought
from stories import devices, retries
from test_choosing_options import asking, down, two
from worlds import WrittenArrivals, made_up, product, scenario_of

import l2h_fleet
from l2h_fleet import LOCAL
from sim.world.population import population


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    forget_what_was_brought()
    yield
    forget_what_was_brought()


def played(fleet: dict[str, Any], *arrivals: tuple[float, int], **parts: Any) -> tuple[pd.DataFrame, ...]:
    scenario = scenario_of(server=None, fleet=(fleet,), **({"servers": two()} | parts))
    learned = made_up(scenario)
    learned.tables.groups[0].score[..., :] = np.linspace(-1, 1, learned.tables.groups[0].score.shape[-1])
    return product(scenario, learned, WrittenArrivals(arrivals), 60.0)


def policy(name: str, score: str = "confidence") -> dict[str, Any]:
    return {"score": score, "price": {"kind": name}}


@pytest.mark.parametrize("choose", ["order", "home", "least_backlog"])
def test_the_option_that_a_policy_names_is_asked_however_the_client_would_choose(choose):
    @l2h_fleet.register("policy", "in_turn")
    class InTurn:
        """The cloud, nobody, the edge, and so on."""

        def __init__(self) -> None:
            self.asked = 0

        def decide(self, _request: Any, _now: float) -> int:
            self.asked += 1
            return (1, LOCAL, 0)[(self.asked - 1) % 3]

    l2h_fleet.check("policy", InTurn, options=2)
    requests, _ = played(asking(choose, policy=policy("in_turn")), *((3.0 * n, 0) for n in range(6)))
    assert requests["option"].tolist() == [1, -1, 0] * 2
    assert requests["answered_at_s"].tolist() == [2.0, 3.0, 7.0, 11.0, 12.0, 16.0]


def test_a_policy_that_names_none_leaves_the_choice_to_its_client():
    @l2h_fleet.register("policy", "ever")
    class Ever:
        def decide(self, _request: Any, _now: float) -> bool:
            return True

    requests, _ = played(asking("round_robin", policy=policy("ever")), *((4.0 * n, 0) for n in range(4)))
    assert requests["option"].tolist() == [0, 1, 0, 1]


def test_an_option_that_was_named_once_is_not_named_for_ever():
    @l2h_fleet.register("policy", "once_afar")
    class OnceAfar:
        """The cloud, and from then on whichever the client chooses."""

        def __init__(self) -> None:
            self.asked = 0

        def decide(self, _request: Any, _now: float) -> int | bool:
            self.asked += 1
            return 1 if self.asked == 1 else True

    requests, _ = played(asking(policy=policy("once_afar")), *((4.0 * n, 0) for n in range(3)))
    assert requests["option"].tolist() == [1, 0, 0]


def test_the_edge_that_was_named_refuses_and_the_retry_asks_the_cloud():
    @l2h_fleet.register("policy", "near_alone")
    class NearAlone:
        def decide(self, _request: Any, _now: float) -> int:
            return 0

    servers = two(when_down="refuse", outages=(down((1.0, 9.0)),))
    for next_, asked in (("other", [0, 1]), ("same", [0, 0])):
        fleet = asking(policy=policy("near_alone"), retry=retries(2, 0.25, next=next_))
        _, attempts = played(fleet, (1.25, 0), servers=servers)
        assert attempts["option"].tolist() == asked


def test_the_cloud_that_was_named_refuses_and_the_retry_asks_the_edge():
    @l2h_fleet.register("policy", "far_alone")
    class FarAlone:
        def decide(self, _request: Any, _now: float) -> int:
            return 1

    servers = (*two()[:1], two()[1] | {"when_down": "refuse", "outages": (down((1.0, 9.0)),)})
    fleet = asking(policy=policy("far_alone"), retry=retries(2, 0.25, next="other"))
    _, attempts = played(fleet, (1.25, 0), servers=servers)
    assert attempts["option"].tolist() == [1, 0]


def test_a_named_option_with_an_obstacle_is_not_exchanged_for_another():
    """The breaker of the edge opens at the first refusal."""

    @l2h_fleet.register("policy", "near_alone")
    class NearAlone:
        def decide(self, _request: Any, _now: float) -> int:
            return 0

    servers = two(when_down="refuse", outages=(down((1.0, 9.0)),))
    fleet = asking(policy=policy("near_alone"), breaker={"failures": 1, "cooldown_s": 50.0})
    requests, _ = played(fleet, (1.25, 0), (3.0, 0), servers=servers)
    assert requests["outcome"].tolist() == ["refused", "breaker_open"]


def test_a_policy_that_takes_the_best_score_leaves_the_bytes_of_best():
    """Scores of each option, of which the cloud's are net of what it costs more."""

    @l2h_fleet.register("policy", "argmax")
    class Argmax:
        def decide(self, request: Any, _now: float) -> int:
            best = int(np.argmax(request.scores))
            return best if request.scores[best] > 0.125 else LOCAL

    options = ({"option": "near", "server": "edge"}, {"option": "far", "server": "cloud", "c_e": 0.25})
    arrivals = [(0.25 * n, n % 3) for n in range(70)]
    told = []
    for price in ({"kind": "threshold", "at": 0.125}, {"kind": "argmax"}):
        group = devices(clients=3, options=options, policy={"score": "plug_in", "price": price})
        scenario = scenario_of(server=None, fleet=(group,), servers=two())
        requests, attempts = product(scenario, made_up(scenario), WrittenArrivals(arrivals), 60.0)
        told.append((requests.drop(columns="threshold"), attempts))
    assert told[0][0]["option"].value_counts().min() > 5
    for ours, theirs in zip(*told, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


def test_a_policy_is_told_what_its_own_client_would_answer_and_what_the_server_has():
    """Two groups, in which there are two models: the second model of the second group stands last."""
    said: dict[int, list[int]] = {}
    heard: dict[int, int] = {}

    @l2h_fleet.register("policy", "listening")
    class Listening:
        def decide(self, request: Any, _now: float) -> bool:
            said[request.request_id] = [request.client_label]
            return True

        def hear(self, outcome: Any, _now: float) -> None:
            said[outcome.request_id].append(outcome.client_label)
            heard[outcome.request_id] = outcome.server_label

    groups = tuple(
        devices(name, clients=2, model={"variants": 2}, policy=policy("listening"))
        for name in ("here", "there")
    )
    scenario = scenario_of(fleet=groups)
    learned = made_up(scenario)
    requests, _ = product(scenario, learned, WrittenArrivals([(1.0 * n, n % 4) for n in range(16)]), 60.0)
    places = {one: at for at, one in enumerate(learned.samples.sample_id.tolist())}
    variants = population(scenario).variant
    for request_id, client, sample in zip(
        *(requests[name].tolist() for name in ("request_id", "client_id", "sample_id")), strict=True
    ):
        own = learned.tables.groups[client // 2].client_label[variants[client], places[sample]]
        assert said[request_id] == [own, own]
        assert heard[request_id] == learned.tables.server_label[places[sample]]
    assert set(variants[2:]) == {0, 1}


def test_who_gives_an_attempt_up_has_no_word_of_it():
    heard: list[Any] = []

    @l2h_fleet.register("policy", "left_alone")
    class LeftAlone:
        def decide(self, _request: Any, _now: float) -> bool:
            return True

        def hear(self, outcome: Any, _now: float) -> None:
            heard.append(outcome)

    scenario = scenario_of(fleet=(devices(policy=policy("left_alone"), timeout_s=0.5),))
    requests, _ = product(scenario, made_up(scenario), WrittenArrivals(((1.0, 0),)), 60.0)
    assert requests["outcome"].tolist() == ["timed_out"]
    assert [(one.server_label, one.backlog) for one in heard] == [(-1, -1)]


def test_the_only_client_of_the_only_server_hears_of_its_queue():
    """The answer of 1.0 tells that one waits, so that of 1.5 asks the other model of the same server."""
    seen: set[Any] = set()

    @l2h_fleet.register("choice", "other_when_busy")
    def other_when_busy(one: Any) -> float:
        seen.add((one.is_drawn, one.turn))
        return -1.0 * one.option if one.backlog else 1.0 * one.option

    options = tuple({"option": name, "server": "edge", "model": name} for name in "ab")
    fleet = asking("other_when_busy", policy=policy("always_remote"), options=options)
    models = {name: {"family": "linear"} for name in "ab"}
    arrivals = ((0.0, 0), (0.25, 0), (1.5, 0))
    requests, _ = played(fleet, *arrivals, servers=two()[:1], models=models)
    assert requests["model"].tolist() == ["a", "a", "b"]
    assert seen == {(False, 0)}


def test_a_policy_hears_what_the_model_said_that_answered_and_nothing_of_what_it_has_not():
    """The second of three models answers. Who is on mains has all of its charge."""
    told: list[Any] = []

    @l2h_fleet.register("policy", "the_second")
    class TheSecond:
        def decide(self, request: Any, _now: float) -> int:
            told.append(request.charge)
            return 1

        def hear(self, outcome: Any, _now: float) -> None:
            told.append(outcome.server_label)

    options = tuple({"option": name, "server": "edge", "model": name} for name in "abc")
    scenario = scenario_of(
        server=None,
        fleet=(asking(policy=policy("the_second"), options=options),),
        servers=two()[:1],
        models={name: {"family": "linear"} for name in "abc"},
    )
    learned = made_up(scenario)
    requests, _ = product(scenario, learned, WrittenArrivals(((0.0, 0),)), 60.0)
    (place,) = np.flatnonzero(learned.samples.sample_id == requests["sample_id"][0])
    assert told == [1.0, learned.tables.server_label[1, place]]


def test_a_price_that_does_not_draw_is_told_of_no_draw():
    @l2h_fleet.register("price", "what_was_drawn")
    class WhatWasDrawn:
        unit = "score"

        def begin(self) -> tuple[float, ...]:
            return (0.0,)

        @staticmethod
        def threshold(_p: Any, _m: Any, _now: float, request: Any) -> float:
            return request.draw

        @staticmethod
        def on_outcome(_p: Any, _m: Any, _now: float, _heard: Any) -> None:
            pass

    requests, _ = played(asking(policy=policy("what_was_drawn")), (1.0, 0))
    assert requests["threshold"].tolist() == [0.0]


def test_an_option_that_is_not_there_is_told_with_those_that_are():
    @l2h_fleet.register("policy", "afar")
    class Afar:
        def decide(self, _request: Any, _now: float) -> int:
            return 2

    with pytest.raises(l2h_fleet.RunFailed, match=r"gave 2 .*must be LOCAL \(-1\) or an option \(0 to 1\)"):
        played(asking(policy=policy("afar")), (1.0, 0))
