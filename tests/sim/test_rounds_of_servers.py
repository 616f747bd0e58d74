"""Rounds of training of several servers and models: stories worked out by hand, and what is as with one.

Unless a story says otherwise an edge has the small model and a cloud the large one. Rounds at 2, 4, 6, … take
a second; links take no time and copies no bytes; a rejector needs a quarter of a second; an answer, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import several
from test_learning import TIMES
from tried import tried
from worlds import (
    MadeUpLearner,
    WrittenArrivals,
    differences,
    group_of,
    made_up,
    product,
    reference,
)
from worlds import scenario_of as plain_scenario

from sim.engine.run import chunks
from sim.messages import Learned, TrainingRound
from sim.results.events import events
from sim.scenario import Scenario
from sim.world.release_schedule import training_spans
from sim.world.trained import kinds_of
from sim.world.world import World

SEND = {"score": "l2h", "price": {"kind": "always_remote"}}
NEAR = {"option": "near", "server": "edge", "model": "small"}
FAR = {"option": "far", "server": "cloud", "model": "large"}


def down(*at: tuple[float, float]) -> tuple[dict[str, Any], ...]:
    return ({"when": {"kind": "intervals", "at": at}},) if at else ()


def server(name: str, models: tuple[str, ...], *out: tuple[float, float], **keys: Any) -> dict[str, Any]:
    service = {"kind": "affine", "base_s": 0.25}
    return {"server": name, "models": models, "service": service, "outages": down(*out)} | keys


def asking(name: str = "devices", *options: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return group_of(name, **({"policy": SEND, "options": options or (NEAR, FAR), "choose": "order"} | keys))


def scenario_of(
    edge: tuple[tuple[float, float], ...] = (),
    cloud: tuple[tuple[float, float], ...] = (),
    fleet: tuple[dict[str, Any], ...] = (),
    servers: tuple[dict[str, Any], ...] = (),
    models: tuple[str, ...] = ("small", "large"),
    horizon_s: float = 11.0,
    **online: Any,
) -> Scenario:
    servers = servers or (server("edge", ("small",), *edge), server("cloud", ("large",), *cloud))
    return plain_scenario(
        horizon_s=horizon_s,
        fleet=fleet or (asking(),),
        server=None,
        servers=servers,
        models={name: {} for name in models},
        training={"online": TIMES | online},
    )


class Told(MadeUpLearner):
    """Version v of a model answers v."""

    def __init__(self, scenario: Scenario, learned: Learned) -> None:
        super().__init__(scenario, learned)
        self._says = np.zeros_like(learned.tables.server_label)

    def train_round(self, training_round: TrainingRound) -> Any:
        update = super().train_round(training_round)
        said = np.atleast_2d(self._says).copy()
        for model, version in training_round.makes or ((0, training_round.version),):
            said[model] = version
        self._says = said.reshape(self._says.shape)
        return replace(update, server_label=self._says.copy())


class Story:
    """What became of requests that arrived at the given (instant, client)."""

    def __init__(self, scenario: Scenario, *arrivals: tuple[float, int], label: int | None = None) -> None:
        learned = made_up(scenario)
        learned.samples.held_out[:] = False
        if label is not None:
            learned.samples.label[:] = label
        self.learner, written = Told(scenario, learned), WrittenArrivals(arrivals)
        self.requests, self.attempts = product(scenario, learned, written, 60.0, self.learner)
        other, in_pieces = Told(scenario, learned), Told(scenario, learned)
        told, tries = reference(scenario, learned, written, 60.0, other)
        assert differences(self.requests, told) == []
        assert differences(self.attempts, tries) == []
        assert differences(product(scenario, learned, written, 0.75, in_pieces)[0], self.requests) == []
        for again in (other, in_pieces):
            assert_same_rounds(self.learner.training_rounds, again.training_rounds)

    def __getitem__(self, column: str) -> list[Any]:
        return self.requests[column].tolist()

    @property
    def taught(self) -> list[list[tuple[int, float]]]:
        """Per round the (model, instant) of what was finished."""
        told = [one.deferred for one in self.learner.training_rounds]
        return [list(zip(one.model.tolist(), one.finished_at_s.tolist(), strict=True)) for one in told]


def assert_same_rounds(some: list[TrainingRound], others: list[TrainingRound]) -> None:
    for one, other in zip(some, others, strict=True):
        assert (one.version, one.at_s, one.in_force_at_s, one.makes) == (
            other.version,
            other.at_s,
            other.in_force_at_s,
            other.makes,
        )
        np.testing.assert_array_equal(one.trains, other.trains)
        for told, again in ((one.deferred, other.deferred), (one.feedback, other.feedback)):
            for left, right in zip(vars(told).values(), vars(again).values(), strict=True):
                np.testing.assert_array_equal(left, right)


def fates(scenario: Scenario, model: int) -> list[tuple[float, float, str]]:
    rounds = World(scenario).schedule.rounds
    return [(one.due_at_s, one.ends_at_s, one.fate) for one in rounds if one.model == model]


def copies(scenario: Scenario, client: int = 0) -> list[tuple[float, int]]:
    held = World(scenario).schedule.copies
    mine = slice(held.first[client] + 1, held.first[client + 1])
    return list(zip(held.at_s[mine].tolist(), held.version[mine].tolist(), strict=True))


# Rounds.


def test_each_model_learns_while_its_own_server_is_up():
    """The cloud is down from 4.5 to 6.5: its round of 4 is lost, that of 6 skipped; the edge's go on."""
    scenario = scenario_of(cloud=((4.5, 6.5),))
    assert [fate for *_, fate in fates(scenario, 0)] == ["made"] * 4 + ["unfinished"]
    assert fates(scenario, 1)[:4] == [(2, 3, "made"), (4, 4.5, "lost"), (6, 6, "skipped"), (8, 9, "made")]
    plan = World(scenario).schedule
    assert plan.in_force_at_s.tolist() == [-np.inf, 3, 5, 7, 9]
    assert plan.of_models.tolist() == [[0, 0], [1, 1], [2, 1], [3, 1], [4, 2]]


def test_nothing_comes_into_force_of_a_round_that_no_model_ends():
    plan = World(scenario_of(edge=((3.5, 6.5),), cloud=((4.5, 6.5),))).schedule
    assert plan.in_force_at_s.tolist() == [-np.inf, 3, 9]


@pytest.mark.parametrize(
    ("first", "second", "fate"),
    [
        ((4.2, 4.6), (9.0, 9.5), (4.0, 5.0, "made")),  # one goes on to the end
        ((4.2, 4.4), (4.6, 4.8), (4.0, 4.6, "lost")),  # who was away is not in this round any more
        ((3.5, 4.2), (4.6, 4.8), (4.0, 4.6, "lost")),  # nor who came late
        ((3.5, 4.2), (3.5, 4.0), (4.0, 5.0, "made")),
        ((3.5, 4.2), (3.5, 4.2), (4.0, 4.0, "skipped")),
    ],
)
def test_a_model_that_two_servers_have_is_made_if_one_of_them_stays(first, second, fate):
    servers = (server("edge", ("small",), first), server("cloud", ("small",), second))
    options = {"option": "a", "server": "edge"}, {"option": "b", "server": "cloud"}
    scenario = scenario_of(fleet=(asking("devices", *options),), servers=servers, models=("small",))
    assert fates(scenario, 0)[1] == fate
    Story(scenario, (4.1, 0), (5.2, 0))


def test_a_round_takes_capacity_of_the_servers_that_take_part():
    """Both have the model; the first is down when the second round is due, and not slowed after it."""
    servers = (server("edge", ("small",), (3.5, 4.2)), server("cloud", ("small",), (6.5, 7.0)))
    scenario = scenario_of(
        servers=servers, fleet=(asking("devices", NEAR),), models=("small",), capacity_share=0.5
    )
    spans = [training_spans(scenario, own) for own in World(scenario).rounds]
    assert spans[0] == ((2, 3, 2.0), (6, 7, 2.0), (8, 9, 2.0), (10, 11, 2.0))
    assert spans[1] == ((2, 3, 2.0), (4, 5, 2.0), (6, 6.5, 2.0), (8, 9, 2.0), (10, 11, 2.0))
    assert Story(scenario, (4.25, 0), (6.25, 0))["finished_at_s"] == [4.5, 6.75]


def test_only_the_models_that_are_named_learn():
    scenario = with_models(scenario_of(capacity_share=0.5), "large")
    assert World(scenario).schedule.of_models.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4]]
    assert training_spans(scenario, World(scenario).rounds[0]) == ()
    assert Story(scenario, (3.5, 0))["server_version"] == [0]


def with_models(scenario: Scenario, *names: str) -> Scenario:
    told = scenario.model_dump()
    told["training"]["online"]["models"] = names
    return Scenario.model_validate(told)


# Copies.


def test_a_copy_holds_what_is_new_and_waits_for_servers_that_have_it():
    """The link comes back at 3.5, but the cloud is down from 3.2 to 6.2: version 1 made both models, so what
    is new can be had at 6.2, with version 2 of the edge (round of 4; that of 6 is on). Who asks the edge
    alone has version 1 at 3.5.
    """
    cut = {
        "when": {"kind": "intervals", "at": ((2.9, 3.5),)},
        "target": {"kind": "links", "groups": ("devices", "near")},
    }
    cloud = server("cloud", ("large",), (3.2, 6.2))
    cloud["outages"] += (cut,)
    fleet = (asking("devices"), asking("near", NEAR))
    scenario = scenario_of(servers=(server("edge", ("small",)), cloud), fleet=fleet, horizon_s=8.0)
    assert World(scenario).schedule.of_models.tolist() == [[0, 0], [1, 1], [2, 1], [3, 1]]
    assert copies(scenario, 0) == [(6.2, 2), (7.0, 3)]
    assert copies(scenario, 1) == [(3.5, 1), (5.0, 2), (7.0, 3)]
    Story(scenario, (3.75, 0), (6.75, 0), (3.75, 1), (5.5, 1))


def test_a_copy_of_two_models_takes_twice_as_long():
    """1,000 bytes at 16,000 bits a second are half a second each; the cloud's second round is skipped."""
    link = {"latency": 0.25, "bandwidth_bps": 16_000.0}
    scenario = scenario_of(cloud=((3.5, 4.5),), fleet=(asking(link=link),), copy_bytes=1000, horizon_s=6.5)
    assert copies(scenario) == [(4.25, 1), (5.75, 2)]


def test_who_does_not_ask_a_model_is_not_sent_it():
    """The cloud is down for the round of 4, the edge for that of 6: version 2 tells the far group nothing,
    version 3 the near one."""
    fleet = (asking("near", NEAR), asking("far", FAR))
    scenario = scenario_of(edge=((5.5, 6.5),), cloud=((3.5, 4.5),), fleet=fleet, horizon_s=9.0)
    plan = World(scenario).schedule
    assert plan.of_models.tolist() == [[0, 0], [1, 1], [2, 1], [2, 2]]
    assert copies(scenario, 0) == [(3.0, 1), (5.0, 2)]
    assert copies(scenario, 1) == [(3.0, 1), (7.0, 3)]
    learned = made_up(scenario)
    learner = MadeUpLearner(scenario, learned)
    (chunk,) = chunks(World(scenario), learned, WrittenArrivals(((1.0, 0),)), 60.0, learner)
    assert [one.trains.tolist() for one in learner.training_rounds] == [[0, 1], [0], [1]]
    assert chunk.seconds["server_version"].tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3]
    assert not chunk.seconds["copy_staleness"].any()  # they have all that is new to them
    assert not chunk.seconds["rejector_staleness"].any()


# What rounds learn, and what rows tell.


def test_a_model_learns_from_what_came_to_its_servers():
    """A client asks the edge at 1.0; one of the cloud at 1.25. Down from 3.5 to 4.5, the cloud learns from
    what came by 2.75 in the round of 6; the edge has its own in that of 4."""
    fleet = (asking("near", NEAR), asking("far", FAR))
    scenario = scenario_of(cloud=((3.5, 4.5),), fleet=fleet, source="deferred", horizon_s=7.5)
    story = Story(scenario, (1.0, 0), (1.25, 1), (2.5, 0), (2.75, 1))
    assert story.taught == [[(0, 1.25), (1, 1.5)], [(0, 2.75)], [(1, 3.0)]]
    assert [one.makes for one in story.learner.training_rounds] == [
        ((0, 1), (1, 1)),
        ((0, 2),),
        ((0, 3), (1, 2)),
    ]


def test_a_request_that_two_servers_served_teaches_both():
    """Given up after 0.125 s it is sent to the cloud: done there at 1.375, at the edge at 1.25."""
    retry = {"attempts": 2, "backoff_s": 0.0, "jitter": "none", "allowance": None, "next": "other"}
    fleet = (asking(retry=retry, timeout_s=0.125),)
    story = Story(scenario_of(fleet=fleet, source="deferred", horizon_s=4.5), (1.0, 0))
    assert story["server"] == ["cloud"]
    assert story.taught == [[(0, 1.25), (1, 1.375)]]


def test_of_two_attempts_at_once_the_one_that_was_answered_is_judged():
    """Sent to the edge at 3.5, and 0.125 s later to the cloud, too, which has no new version yet: the edge
    answers at 3.75, and is right by its first."""
    unsure = {"score": "confidence", "price": {"kind": "always_remote"}}
    fleet = (asking(hedge={"after_s": 0.125, "cancel": False}, policy=unsure),)
    told = scenario_of(fleet=fleet, cloud=((1.5, 3.25),), horizon_s=6.5).model_dump()
    told["training"]["feedback"] = "deferred_only"
    story = Story(Scenario.model_validate(told), (1.0, 0), (3.5, 0), label=1)
    assert (story["attempts"], story["server"], story["server_version"]) == ([2, 2], ["edge", "edge"], [0, 1])
    _, heard = (one.feedback for one in story.learner.training_rounds)
    assert heard.answered_at_s.tolist() == [3.75]
    assert heard.server_correct.tolist() == [True]


def test_rows_tell_the_version_of_the_model_that_answered():
    """As the cloud was down for the round of 4, at 7.5 the edge answers by its third version and the cloud by
    its second; decisions know the third of all together."""
    fleet = (asking("near", NEAR), asking("far", FAR))
    story = Story(scenario_of(cloud=((3.5, 4.5),), fleet=fleet), (5.5, 0), (5.5, 1), (7.5, 0), (7.5, 1))
    assert story["server_version"] == [2, 3, 1, 2]  # by client
    assert story["server_label"] == [2, 3, 1, 2]
    assert story["server_version_at_decision"] == [2, 3, 2, 3]
    assert story["rejector_version"] == [2, 3, 1, 3]


def test_events_tell_of_each_model():
    scenario = scenario_of(cloud=((4.5, 6.5),), horizon_s=8.0)
    told = events(World(scenario), [[], []], World(scenario).schedule)
    rows = zip(told["at_s"], told["kind"], told["target"], told["value"], strict=True)
    mine = [(at, kind, value) for at, kind, target, value in rows if target == "model:large"]
    assert mine == [
        (0.0, "model_in_force", 0.0),
        (2.0, "round_start", 1.0),
        (3.0, "model_in_force", 1.0),
        (4.0, "round_start", 2.0),
        (4.5, "round_lost", 2.0),
        (6.0, "round_skipped", 3.0),
    ]


# What is the same.


def test_a_second_server_with_the_model_that_nobody_asks_changes_nothing():
    """Both fail together, so that the rounds are those of the one; everything that rows and rounds tell is
    equal, whom they asked apart."""
    group = group_of(clients=3, arrivals={"process": {"kind": "poisson", "rate_hz": 2.0}}, timeout_s=1.0)
    shared = {"score": "l2h", "price": {"kind": "threshold", "at": -0.2}}
    told = {"horizon_s": 30.0, "training": {"online": TIMES | {"source": "deferred", "capacity_share": 0.5}}}
    parts = {"service": {"kind": "affine", "base_s": 0.25}, "outages": down((5.5, 9.5))}
    one = plain_scenario(fleet=(group | {"policy": shared},), server=parts, **told)
    option = {"option": "it", "server": "first"}
    two = plain_scenario(
        fleet=(group | {"policy": shared, "options": (option,)},),
        server=None,
        servers=({"server": "first"} | parts, {"server": "second"} | parts),
        models={"model": {}},
        **told,
    )
    arrivals = WrittenArrivals(tuple((0.3 * n, n % 3) for n in range(90)))
    found = []
    for scenario in (one, two):
        learned = made_up(scenario)
        learner = MadeUpLearner(scenario, learned)
        found.append((product(scenario, learned, arrivals, 7.0, learner), learner.training_rounds))
    ((requests, attempts), rounds), ((again, tries), same) = found
    names = {"server", "model"}
    assert differences(*(table.drop(columns=[*names], errors="ignore") for table in (requests, again))) == []
    assert differences(*(table.drop(columns=[*names], errors="ignore") for table in (attempts, tries))) == []
    assert requests["server_version"].max() > 3
    assert len(rounds) == len(same) > 3
    assert_same_rounds(rounds, same)


@tried(60)
@given(several())
def test_a_model_never_answers_by_a_version_that_its_rounds_have_not_made(world):
    """And what a model is taught came to a server that has it, each request once."""
    scenario, arrivals, chunk_s = world
    learned = made_up(scenario)
    learner = MadeUpLearner(scenario, learned)
    requests, _ = product(scenario, learned, arrivals, chunk_s, learner)
    plan = World(scenario).schedule
    assert (np.diff(plan.of_models, axis=0) >= 0).all()
    assert (np.diff(plan.of_models, axis=0) <= 1).all()
    assert len(plan.in_force_at_s) == 1 or (np.diff(plan.of_models, axis=0).max(axis=1) == 1).all()
    assert (requests["server_version"] <= plan.of_models[-1].max()).all()
    taught = [
        (model, client, at)
        for one in learner.training_rounds
        if one.deferred.model is not None
        for model, client, at in zip(
            *(
                column.tolist()
                for column in (one.deferred.model, one.deferred.client, one.deferred.finished_at_s)
            ),
            strict=True,
        )
    ]
    assert all(
        model in dict(one.makes)
        for one in learner.training_rounds
        if one.makes
        for model in one.deferred.model
    )
    assert len(taught) <= len(scenario.server_models) * len(requests)


@pytest.mark.parametrize("models", [1, 3, 40, 70])
def test_kinds_of_rows_are_numbered_in_their_order(models: int) -> None:
    rows = np.random.default_rng(models).random((200, models)) < 0.02
    named, kind = np.unique(rows, axis=0, return_inverse=True)
    assert len(named) > 1
    np.testing.assert_array_equal(np.unique(kinds_of(rows), return_inverse=True)[1], kind)
