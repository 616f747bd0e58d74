"""Tiny stories of training during a run, every instant worked out by hand; and the laws of what is learned.

Unless a story says otherwise: rounds at 2, 4, 6, … take a second; links take no time and copies no bytes; a
rejector needs a quarter of a second; clients send every request; the server takes a quarter of a second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from strategies import worlds
from tried import tried
from worlds import MadeUpLearner, WrittenArrivals, differences, frame, group_of, made_up, product, reference
from worlds import scenario_of as plain_scenario

from sim.engine.choice import EnginePath
from sim.engine.learning import Learning
from sim.engine.run import chunks
from sim.engine.state import at_start
from sim.errors import RunFailed
from sim.messages import Learned, TrainingRound, Update
from sim.results.columns import DEFERRAL, LEARNING
from sim.results.events import events
from sim.results.learned_files import write_learned
from sim.scenario import Scenario
from sim.scenario.schema.server import Outage
from sim.simulation import simulate
from sim.world.outages.downtime import Downtime
from sim.world.outages.links import Links
from sim.world.outages.times import OutageTimes
from sim.world.release_schedule import Spans, schedule, training_spans
from sim.world.world import World

TIMES = {"every_s": 2.0, "steps": 4, "step_s": 0.25, "rejector_steps": 1, "rejector_step_s": 0.25}


def scenario_of(
    down: tuple[tuple[float, float], ...] = (),
    group: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    horizon_s: float = 20.0,
    **online: Any,
) -> Scenario:
    """The world of these stories; `online`: other times of training."""
    outages = ({"when": {"kind": "intervals", "at": down}, "target": {"kind": "server"}},) if down else ()
    return plain_scenario(
        horizon_s=horizon_s,
        fleet=(group_of(**({"timeout_s": 9.0} | (group or {}))),),
        server={"service": {"kind": "affine", "base_s": 0.25}, "outages": outages},
        training={"online": TIMES | online} | (training or {}),
    )


class Counting:
    """Every version answers its own number, and scores it; keeps the training rounds."""

    def __init__(self, learned: Learned) -> None:
        self.n, self.training_rounds = len(learned.samples.label), list[TrainingRound]()
        self.shapes = [group.score.shape for group in learned.tables.groups if group.score is not None]

    def train_round(self, training_round: TrainingRound) -> Update:
        self.training_rounds.append(training_round)
        label = np.full(self.n, training_round.version, dtype=np.int16)
        score = tuple(np.full(shape, training_round.version, dtype=np.float32) for shape in self.shapes)
        at = {
            "stage": ["server"],
            "group": [""],
            "step": [training_round.version],
            "at_s": [training_round.in_force_at_s],
        }
        return Update(label, score, at | {"loss": [0.5], "accuracy": [0.5], "staleness": [np.nan]})


class Story:
    """What became of requests that arrived at the given (instant, client)."""

    def __init__(self, scenario: Scenario, *arrivals: tuple[float, int], held_out: bool = False) -> None:
        learned = made_up(scenario)
        learned.samples.held_out[:] = held_out
        self.learner, written = Counting(learned), WrittenArrivals(arrivals)
        self.requests, _ = product(scenario, learned, written, 60.0, self.learner)
        told, _ = reference(scenario, learned, written, 60.0, Counting(learned))
        assert differences(self.requests, told) == []

    def __getitem__(self, column: str) -> list[Any]:
        return self.requests[column].tolist()

    @property
    def finished(self) -> list[tuple[float, list[float]]]:
        """Per training round its instant, and when the samples in it had been finished."""
        return [(one.at_s, one.deferred.finished_at_s.tolist()) for one in self.learner.training_rounds]


def spans_of(scenario: Scenario) -> Spans:
    """When the server trains."""
    return training_spans(scenario, World(scenario).rounds[0])


def have(scenario: Scenario, what: str, client: int = 0, links: Any = None) -> list[tuple[float, int]]:
    """When a client gets which version of a copy or a rejector."""
    known = World(scenario)
    plan = schedule(scenario, known.population, known.rounds, known.capacities, links or known.links)
    held = getattr(plan, what)
    mine = slice(held.first[client] + 1, held.first[client + 1])
    return list(zip(held.at_s[mine].tolist(), held.version[mine].tolist(), strict=True))


def test_a_copy_that_will_be_cut_keeps_its_link_until_then():
    """Versions at 1, 2, 3; the copy of 1 leaves at once and would take 1.859 s, its link is cut at 2.5.

    That of 2 would take 0.382 s, there at 2.45, but may not leave before the cut: nobody knows of it sooner.
    """
    online = {"every_s": 1.0, "steps": 1, "step_s": 0.0, "rejector_steps": 1, "rejector_step_s": 0.0}
    cut = {
        "when": {"kind": "intervals", "at": ((2.5, 3.5),)},
        "target": {"kind": "links", "groups": ("devices",)},
    }
    scenario = plain_scenario(
        seed=5,
        horizon_s=4.0,
        fleet=(group_of(link={"latency": {"kind": "exponential", "mean_s": 1.0}}, timeout_s=5.0),),
        server={"service": {"kind": "affine", "base_s": 1.0}, "outages": (cut,)},
        training={"online": online},
    )
    learned, arrivals = made_up(scenario), WrittenArrivals(((2.45, 0),))
    requests, _ = product(scenario, learned, arrivals, 60.0)
    told, _ = reference(scenario, learned, arrivals, 60.0)
    assert differences(requests, told) == []
    assert requests["copy_version"].tolist() == [0]


# Rounds.


def test_a_round_makes_a_version_that_is_in_force_when_it_ends():
    assert World(scenario_of(horizon_s=9.0)).schedule.in_force_at_s.tolist() == [-np.inf, 3.0, 5.0, 7.0]


def test_a_round_is_skipped_while_nothing_works_and_lost_when_everything_stops():
    """Down 4.5-6.5: the round of 4 is lost at 4.5, that of 6 skipped; the one of 8 makes version 2."""
    held = World(scenario_of(down=((4.5, 6.5),), horizon_s=11.0)).schedule.rounds
    assert [(one.due_at_s, one.ends_at_s, one.fate) for one in held] == [
        (2.0, 3.0, "made"),
        (4.0, 4.5, "lost"),
        (6.0, 6.0, "skipped"),
        (8.0, 9.0, "made"),
        (10.0, 11.0, "unfinished"),
    ]


def test_edges_of_an_outage_decide_by_the_order_of_simultaneous_events():
    """Capacity changes before models: down at 3 loses the round that ends at 3, up at 4 holds that of 4."""
    fates = [one.fate for one in World(scenario_of(down=((3.0, 4.0),), horizon_s=6.0)).schedule.rounds]
    assert fates == ["lost", "made"]


def test_a_round_goes_on_with_fewer_replicas():
    part = {"when": {"kind": "intervals", "at": ((2.5, 3.5),)}, "target": {"kind": "replicas", "count": 1}}
    server = {"service": {"kind": "affine", "base_s": 0.25}, "replicas": 2, "outages": (part,)}
    training = {
        "online": {"every_s": 2.0, "steps": 4, "step_s": 0.25, "rejector_steps": 1, "rejector_step_s": 0}
    }
    scenario = plain_scenario(horizon_s=4.5, server=server, training=training)
    assert [one.fate for one in World(scenario).schedule.rounds] == ["made", "unfinished"]


def test_the_server_trains_in_rounds_that_are_made_lost_or_cut_off():
    """A fifth of the capacity: batches that start meanwhile take 1.25 times as long."""
    scenario = scenario_of(down=((4.5, 6.5),), horizon_s=10.5, capacity_share=0.2)
    spans = ((2.0, 3.0), (4.0, 4.5), (8.0, 9.0), (10.0, 11.0))
    assert spans_of(scenario) == tuple((*span, 1.25) for span in spans)
    assert spans_of(scenario_of()) == spans_of(plain_scenario()) == ()


# Copies and rejectors.


def test_a_copy_takes_its_transfer_and_a_rejector_its_steps():
    """3 + 0.25 + 8·1000/32,000 = 3.5, and 0.5 later the rejector of two steps is there."""
    link = {"latency": 0.25, "bandwidth_bps": 32_000.0}
    scenario = scenario_of(group={"link": link}, copy_bytes=1000, rejector_steps=2, horizon_s=4.5)
    assert have(scenario, "copies") == [(3.5, 1)]
    assert have(scenario, "rejectors") == [(4.0, 1)]


def test_a_copy_that_has_left_arrives_whatever_becomes_of_the_server():
    """Down 3.25-9.0; the link takes 1.5 s. Version 1 of 1.25 arrives at 2.75, then version 2 leaves."""
    scenario = scenario_of(
        down=((3.25, 9.0),), group={"link": {"latency": 1.5}}, steps=1, every_s=1.0, horizon_s=11.0
    )
    assert World(scenario).schedule.in_force_at_s.tolist()[1:] == [1.25, 2.25, 9.25, 10.25]
    assert have(scenario, "copies") == [(2.75, 1), (4.25, 2), (10.75, 3)]


def test_a_copy_that_could_not_leave_leaves_when_capacity_returns():
    """The link is busy with version 1 until 4.0, the server down 3.0-5.5: version 2 of 2.25 leaves then."""
    scenario = scenario_of(
        down=((3.0, 5.5),), group={"link": {"latency": 2.75}}, steps=1, every_s=1.0, horizon_s=9.0
    )
    assert World(scenario).schedule.in_force_at_s.tolist()[1:4] == [1.25, 2.25, 6.25]
    assert have(scenario, "copies") == [(4.0, 1), (8.25, 2)]


def test_only_the_newest_version_is_sent():
    """A copy takes 2.5 s and versions come at 1.25, 2.25, …: of three there is one that is sent."""
    scenario = scenario_of(group={"link": {"latency": 2.5}}, steps=1, every_s=1.0, horizon_s=10.0)
    assert have(scenario, "copies") == [(3.75, 1), (6.25, 3), (8.75, 6)]


def test_a_version_that_comes_when_the_link_is_free_is_the_newest():
    """The first copy arrives at 3.25, when version 3 comes into force: version 2 is never sent."""
    scenario = scenario_of(group={"link": {"latency": 2.0}}, steps=1, every_s=1.0, horizon_s=6.0)
    assert have(scenario, "copies") == [(3.25, 1), (5.25, 3)]


def of_link(client: int, from_s: float, until_s: float, slower: float | None = None) -> Links:
    """One client's link is cut once, or slowed down."""
    effect = {"kind": "slowdown", "factor": slower} if slower else {"kind": "down"}
    target = {"kind": "links", "groups": ("devices",)}
    when = {"kind": "intervals", "at": ((from_s, until_s),)}
    outage = Outage.model_validate({"when": when, "target": target, "effect": effect})
    times = OutageTimes(
        outage, (), outage.target.told(), Downtime(outage.when.at), clients=np.array([client])
    )
    return Links((times,))


@pytest.mark.parametrize(
    ("cut", "copies"),
    [
        ((3.25, 3.75), [(4.5, 1), (5.75, 2)]),  # broken off at 3.25, it starts over at 3.75
        ((3.0, 3.5), [(4.25, 1), (5.75, 2)]),  # it waits; the other client's is on its way
        ((3.75, 4.0), [(4.75, 1), (5.75, 2)]),  # a link that fails as it arrives swallows it
        ((3.5, 5.5), [(6.25, 2)]),  # when the link is back, version 2 is the newest
        ((9.0, 9.5), [(3.75, 1), (5.75, 2)]),
    ],
)
def test_a_copy_that_its_link_breaks_off_starts_over(cut, copies):
    """Versions at 3 and 5; a copy takes 0.75 s. Only the second client's link fails."""
    scenario = scenario_of(group={"clients": 2, "link": {"latency": 0.75}}, horizon_s=6.5)
    links = of_link(1, *cut)
    assert have(scenario, "copies", 0, links) == [(3.75, 1), (5.75, 2)]
    assert have(scenario, "copies", 1, links) == copies


@pytest.mark.parametrize(
    ("slow", "copies"),
    [
        ((3.0, 3.25), [(4.5, 1), (5.75, 2)]),  # the one that leaves at 3.0, to its end
        ((2.0, 3.0), [(3.75, 1), (5.75, 2)]),  # over when the first leaves
        ((3.25, 9.0), [(3.75, 1), (6.5, 2)]),  # begins when the first has left
    ],
)
def test_a_copy_takes_longer_over_a_link_that_is_slow_when_it_leaves(slow, copies):
    """Versions at 3 and 5; a copy takes 0.75 s, twice as long if it leaves in the slowdown."""
    scenario = scenario_of(group={"link": {"latency": 0.75}}, horizon_s=7.0)
    assert have(scenario, "copies", 0, of_link(0, *slow, slower=2.0)) == copies


def test_both_loops_slow_copies_down_alike():
    """The copy of version 1 leaves at 3.0 and is there at 3.75, or at 4.5 over a link that is slow."""
    when = {"kind": "intervals", "at": ((2.5, 3.5),)}
    slow = {"when": when, "target": {"kind": "links", "groups": ("devices",)}}
    slow |= {"effect": {"kind": "slowdown", "factor": 2.0}}
    group = {"link": {"latency": 0.75}}
    for outages, versions in (((), [0, 1, 1]), ((slow,), [0, 0, 1])):
        scenario = scenario_of(group=group, horizon_s=5.0)
        server = scenario.server.model_copy(update={"outages": tuple(map(Outage.model_validate, outages))})
        story = Story(scenario.model_copy(update={"server": server}), (3.5, 0), (4.0, 0), (4.5, 0))
        assert story["copy_version"] == versions


def test_a_copy_needs_server_and_link_at_once():
    """Version 2 of 2.25 finds its link busy until 3.25, the server down until 6.25, the link cut 6.0-7.0."""
    group = {"link": {"latency": 2.0}}
    scenario = scenario_of(down=((3.25, 6.25),), group=group, steps=1, every_s=1.0, horizon_s=12.0)
    assert World(scenario).schedule.in_force_at_s.tolist()[1:4] == [1.25, 2.25, 7.25]
    assert have(scenario, "copies", 0, of_link(0, 6.0, 7.0))[:2] == [(3.25, 1), (9.0, 2)]


def test_rejectors_train_one_after_the_other_on_the_newest_copy():
    """Copies at 1.25, 2.25, …; a training of 2.5 s: 1.25-3.75 on 1, 3.75-6.25 on 3, 6.25-8.75 on 6."""
    scenario = scenario_of(rejector_step_s=2.5, steps=1, every_s=1.0, horizon_s=9.0)
    assert have(scenario, "rejectors") == [(3.75, 1), (6.25, 3), (8.75, 6)]
    assert [one.trains.tolist() for one in training_rounds(scenario)] == [[0], [], [0], [], [], [0], [], []]


def training_rounds(scenario: Scenario, *arrivals: tuple[float, int]) -> list[TrainingRound]:
    return Story(scenario, *arrivals).learner.training_rounds


@pytest.mark.parametrize(("score", "copies", "rejectors"), [("oracle", 1, 1), ("confidence", 0, 0)])
def test_the_oracle_knows_every_version_at_once_and_confidence_needs_none(score, copies, rejectors):
    policy = {"score": score, "price": {"kind": "always_remote"}}
    scenario = scenario_of(group={"policy": policy, "link": {"latency": 9.0}}, horizon_s=4.5)
    assert have(scenario, "copies") == [(3.0, 1)] * copies
    assert have(scenario, "rejectors") == [(3.0, 1)] * rejectors


# Which version a request meets.


def test_a_model_in_force_comes_before_a_decision_at_the_same_instant():
    """Version 1: server at 3.0, copy at 3.0, rejector at 3.25."""
    hair = 2.0**-20
    story = Story(scenario_of(horizon_s=4.0), (3.0 - hair, 0), (3.0, 0), (3.25 - hair, 0), (3.25, 0))
    assert story["server_version_at_decision"] == [0, 1, 1, 1]
    assert story["copy_version"] == [0, 1, 1, 1]
    assert story["rejector_version"] == [0, 0, 0, 1]
    assert story["score"][3] == 1.0
    assert story["server_version"] == [0, 1, 1, 1]


def test_the_server_answers_with_the_version_in_force_when_work_starts():
    """Decided at 2.75 and 2.8125 under version 0; the second waits for the first and starts at 3.0."""
    story = Story(scenario_of(horizon_s=4.0), (2.75, 0), (2.8125, 0))
    assert story["started_at_s"] == [2.75, 3.0]
    assert story["server_version_at_decision"] == [0, 0]
    assert story["server_version"] == [0, 1]
    assert story["server_label"][1] == story["answer_label"][1] == 1


def test_a_request_that_never_reached_the_server_is_judged_by_the_version_at_its_decision():
    policy = {"score": "l2h", "price": {"kind": "always_local"}}
    story = Story(scenario_of(group={"policy": policy}, horizon_s=4.0), (2.5, 0), (3.5, 0))
    assert story["server_version"] == [0, 1]
    assert story["server_label"][1] == 1


@pytest.mark.parametrize("options", [1, 2])
@pytest.mark.parametrize("path", ["simpy", "compiled"])
def test_a_decision_that_waits_for_the_device_is_by_the_rejector_of_then(path, options):
    """What is sent takes half a second of the device first. The rejector of version 1 is ready at 3.25, that
    of 2 at 5.25: a request that comes at 3.0, behind one of 2.75, is decided at 3.25, by version 1, which is
    there first; two that come at 5.0 and 5.125, behind one of 4.9375, at 5.4375, by version 2.
    """
    parts = tuple({"option": f"o{n}", "server": "server", "device_s": 0.5} for n in range(options))
    scenario = scenario_of(group={"options": parts}, horizon_s=7.0)
    arrivals = (2.75, 0), (3.0, 0), (4.9375, 0), (5.0, 0), (5.125, 0)
    story = Story(scenario, *arrivals)
    assert story["decided_at_s"] == [2.75, 3.25, 4.9375, 5.4375, 5.4375]
    assert story["rejector_version"] == [0, 1, 1, 2, 2]
    assert story["score"][1:] == [1.0, 1.0, 2.0, 2.0]  # as its version is
    learned = made_up(scenario)
    learned.samples.held_out[:] = False
    written, chosen = WrittenArrivals(arrivals), EnginePath(path, "")
    for chunk_s in (0.5, 60.0):
        requests, _ = product(scenario, learned, written, chunk_s, Counting(learned), chosen)
        assert differences(requests, story.requests) == []


class Shuffling(Counting):
    """The same, but each version puts the samples in another order, in levels, fewer above 0."""

    def __init__(self, learned: Learned, levels: int) -> None:
        super().__init__(learned)
        self.levels = levels

    def train_round(self, training_round: TrainingRound) -> Update:
        update, version = super().train_round(training_round), training_round.version
        order = np.arange(self.n) * (2 * version + 1) % self.levels - self.levels // 4 * version
        score = tuple(np.broadcast_to(order, shape).astype(np.float32) for shape in self.shapes)
        return replace(update, score=score)


@pytest.mark.parametrize(
    ("kind", "gap_s", "levels"), [("bounded_rate", 0.1, 3), ("bounded_rate_thinned", 0.3, 97)]
)
def test_what_a_price_makes_of_a_score_is_by_the_rejector_of_then(kind, gap_s, levels):
    """As above, under prices for which a score counts by where it stands among those of its rejector; many
    are alike, so that it is spread, or as many of them are above 0 as each version has it."""
    part = ({"option": "o", "server": "server", "device_s": 0.5},)
    policy = {"score": "l2h", "price": {"kind": kind, "rate": 0.4}}
    scenario = scenario_of(group={"options": part, "policy": policy}, horizon_s=9.0)
    learned, written = (
        made_up(scenario),
        WrittenArrivals(tuple((n * gap_s, 0) for n in range(1, int(8.2 / gap_s)))),
    )
    ours, sends = product(scenario, learned, written, 60.0, Shuffling(learned, levels))
    told, told_sends = reference(scenario, learned, written, 60.0, Shuffling(learned, levels))
    assert differences(ours, told) == differences(sends, told_sends) == []


# What a training round holds.


def test_a_sample_counts_once_its_label_has_come():
    """Finished at 1.25, 2.25 and 3.25; a label takes half a second: at 2 the first, at 4 the others."""
    story = Story(
        scenario_of(source="deferred", label_delay_s=0.5, horizon_s=7.5), (1.0, 0), (2.0, 0), (3.0, 0)
    )
    assert story.finished == [(2.0, [1.25]), (4.0, [2.25, 3.25]), (6.0, [])]


def test_a_label_that_comes_with_the_round_is_in_time():
    story = Story(scenario_of(source="mix", label_delay_s=0.75, horizon_s=5.5), (1.0, 0))
    assert story.finished == [(2.0, [1.25]), (4.0, [])]


def test_work_that_ends_when_a_round_begins_is_for_the_next():
    """A model changes before a batch completes."""
    story = Story(scenario_of(source="deferred", horizon_s=5.5), (1.75, 0))
    assert story.finished == [(2.0, []), (4.0, [2.0])]


def test_lost_and_skipped_rounds_use_nothing_up():
    """Down 2.5-4.5: what was finished at 1.25 is for the round of 6, the first that makes a version."""
    story = Story(scenario_of(down=((2.5, 4.5),), source="deferred", horizon_s=7.5), (1.0, 0))
    assert [(one.version, one.at_s, one.in_force_at_s) for one in story.learner.training_rounds] == [
        (1, 6.0, 7.0)
    ]
    assert story.finished == [(6.0, [1.25])]


def test_a_request_that_was_served_twice_is_given_once_at_its_first_finish():
    """An eighth of a second each way: sent at 1.0 and, after 0.375 s, again; finished at 1.375 and 1.75."""
    retry = {"attempts": 2, "backoff_s": 0.0, "jitter": "none", "allowance": None}
    group = {"timeout_s": 0.375, "retry": retry, "link": {"latency": 0.125}}
    story = Story(scenario_of(group=group, source="deferred", horizon_s=5.5), (1.0, 0))
    assert (story["attempts"], story["finished_at_s"]) == ([2], [1.75])
    assert story.finished == [(2.0, [1.375]), (4.0, [])]


def test_what_the_pool_teaches_needs_no_requests():
    story = Story(scenario_of(source="pool", horizon_s=5.5), (1.0, 0))
    assert story.finished == [(2.0, []), (4.0, [])]


def test_a_held_out_sample_is_never_given():
    training = {"feedback": "deferred_only"}
    scenario = scenario_of(source="deferred", training=training, horizon_s=5.5)
    story = Story(scenario, (1.0, 0), (3.0, 0), held_out=True)
    assert story["outcome"] == ["remote", "remote"]
    assert [len(one.deferred.sample) + len(one.feedback.sample) for one in story.learner.training_rounds] == [
        0,
        0,
    ]


def test_feedback_is_what_clients_heard_of_the_version_that_answered():
    """Answered at 1.75 by version 0, at 3.75 by version 1, whose answer is 1 whatever is asked."""
    training = {"feedback": "deferred_only"}
    scenario = scenario_of(group={"link": {"latency": 0.25}}, training=training, horizon_s=5.5)
    story = Story(scenario, (1.0, 0), (3.0, 0))
    first, second = (one.feedback for one in story.learner.training_rounds)
    assert first.answered_at_s.tolist() == [1.75]
    assert second.answered_at_s.tolist() == [3.75]
    assert second.client.tolist() == [0]
    assert second.propensity.tolist() == [1.0]
    labels = story["label"]
    assert first.server_correct.tolist() == [story["server_label"][0] == labels[0]]
    assert second.server_correct.tolist() == [labels[1] == 1]
    assert [first.decided.tolist(), second.decided.tolist()] == [[1], [1]]


def test_decisions_are_counted_once_sent_or_not_and_when_labels_would_have_come():
    """Kept at 1.0 and 1.5, known a second later: the round of 2 knows of one, that of 4 of the other."""
    keeps = {"policy": {"score": "l2h", "price": {"kind": "always_local"}}}
    training = {"feedback": "deferred_only"}
    scenario = scenario_of(group=keeps, training=training, label_delay_s=1.0, horizon_s=5.5)
    story = Story(scenario, (1.0, 0), (1.5, 0))
    assert story["outcome"] == ["local", "local"]
    told = [one.feedback for one in story.learner.training_rounds]
    assert [one.decided.tolist() for one in told] == [[1], [1]]
    assert [one.sample.size for one in told] == [0, 0]


def test_what_ended_long_ago_is_remembered_until_its_label_comes():
    """Rows of the first second are written at its end; their labels come 4 s later, for the round of 6."""
    scenario = scenario_of(source="deferred", label_delay_s=4.0, horizon_s=7.5)
    learned = made_up(scenario)
    learned.samples.held_out[:] = False
    learner = Counting(learned)
    list(chunks(World(scenario), learned, WrittenArrivals(((0.25, 0), (0.5, 0))), 1.0, learner))
    assert [one.deferred.finished_at_s.tolist() for one in learner.training_rounds] == [[], [], [0.5, 0.75]]


# Laws.


@tried(60)
@given(worlds())
def test_training_rounds_hold_each_finished_request_once_and_no_held_out_sample(world):
    scenario, arrivals, chunk_s = world
    learned = made_up(scenario)
    learner = MadeUpLearner(scenario, learned)
    requests, _ = product(scenario, learned, arrivals, chunk_s, learner)
    given_away = [
        (client, at)
        for training_round in learner.training_rounds
        for client, at in zip(
            training_round.deferred.client, training_round.deferred.finished_at_s, strict=True
        )
    ]
    assert len(given_away) <= requests["finished_at_s"].notna().sum() + (requests["attempts"] > 1).sum()
    delay = scenario.training.online.label_delay_s if scenario.training.online else 0.0
    for training_round in learner.training_rounds:
        for told, at in (
            (training_round.deferred, training_round.deferred.finished_at_s),
            (training_round.feedback, training_round.feedback.answered_at_s),
        ):
            assert not learned.samples.held_out[told.sample].any()
            assert (at < training_round.at_s).all()
            assert (at + delay <= training_round.at_s).all()
    if scenario.training.online and scenario.training.online.source != "pool" and learner.training_rounds:
        last, once = (
            learner.training_rounds[-1].at_s,
            requests[(requests["attempts"] == 1) & ~requests["held_out"]],
        )
        finished = once["finished_at_s"]
        known = once[(finished < last) & (finished + delay <= last)]
        found = set(given_away)
        assert all(pair in found for pair in zip(known["client_id"], known["finished_at_s"], strict=True))


@pytest.mark.slow
@tried(50)
@given(worlds())
def test_the_length_of_a_chunk_changes_no_row_of_a_run_that_learns(world):
    scenario, arrivals, chunk_s = world
    learned = made_up(scenario)
    ours = product(scenario, learned, arrivals, chunk_s)
    for other in (1.5, 60.0):
        for mine, theirs in zip(ours, product(scenario, learned, arrivals, other), strict=True):
            assert differences(mine, theirs) == []


@tried(50)
@given(worlds())
def test_versions_follow_one_another(world):
    """Of the client's copy no more than the server's, of its rejector no more than the copy's."""
    scenario, arrivals, chunk_s = world
    requests, _ = product(scenario, made_up(scenario), arrivals, chunk_s)
    decided = requests[requests["server_version_at_decision"] >= 0].sort_values(["client_id", "request_id"])
    assert (decided["server_version"] >= decided["server_version_at_decision"]).all()
    assert (decided["server_version_at_decision"] >= decided["copy_version"]).all()
    assert (decided["copy_version"] >= decided["rejector_version"]).all()
    for name in ("server_version_at_decision", "copy_version", "rejector_version"):
        assert all(rows[name].is_monotonic_increasing for _, rows in decided.groupby("client_id"))


# Around it.


def test_tables_of_versions_that_nobody_uses_are_forgotten():
    """A rejector is always in force before the next round: there are its table and the one just made."""
    scenario = scenario_of(horizon_s=41.0)
    learned = made_up(scenario)
    learning, state = Learning(World(scenario), learned, Counting(learned)), at_start(World(scenario))
    kept = []
    for at in learning.schedule.starts_at_s.tolist():
        learning.attend(state, at)
        kept.append(sorted(learning.models.scores[0] or ()))
    assert kept == [[version - 1, version] for version in range(1, 20)]


def test_training_without_a_learner_is_refused():
    scenario = scenario_of()
    with pytest.raises(ValueError, match="training during the run needs a learner"):
        Learning(World(scenario), made_up(scenario))


def test_tables_of_another_shape_fail_the_run():
    scenario = scenario_of(horizon_s=4.0)
    learned = made_up(scenario)

    class Wrong(Counting):
        def train_round(self, training_round: TrainingRound) -> Update:
            right = super().train_round(training_round)
            return Update(right.server_label, (np.zeros((7, 7), np.float32),), {})

    with pytest.raises(RunFailed, match="version 1: the scores have another shape"):
        list(chunks(World(scenario), learned, WrittenArrivals(()), 60.0, Wrong(learned)))


def test_events_tell_of_rounds_versions_and_copies():
    scenario = scenario_of(down=((4.5, 6.5),), group={"clients": 2}, horizon_s=9.5)
    told = events(World(scenario), [[(0.0, 1)]], World(scenario).schedule)
    rows = zip(told["at_s"], told["kind"], told["target"], told["value"], strict=True)
    assert [row for row in rows if not row[1].startswith(("outage", "usable"))] == [
        (0.0, "model_in_force", "model", 0.0),
        (2.0, "round_start", "model", 1.0),
        (3.0, "first_copy", "devices", 1.0),
        (3.0, "last_copy", "devices", 1.0),
        (3.0, "model_in_force", "model", 1.0),
        (3.25, "first_rejector", "devices", 1.0),
        (3.25, "last_rejector", "devices", 1.0),
        (4.0, "round_start", "model", 2.0),
        (4.5, "round_lost", "model", 2.0),
        (6.0, "round_skipped", "model", 3.0),
        (8.0, "round_start", "model", 4.0),
        (9.0, "first_copy", "devices", 2.0),
        (9.0, "last_copy", "devices", 2.0),
        (9.0, "model_in_force", "model", 2.0),
        (9.25, "first_rejector", "devices", 2.0),
        (9.25, "last_rejector", "devices", 2.0),
    ]


def test_the_time_line_tells_staleness():
    """Versions at 3 and 5, copies 0.5 s later, rejectors another 0.75 s later: just before 4 and before 6."""
    scenario = scenario_of(group={"link": {"latency": 0.5}}, rejector_step_s=0.75, horizon_s=7.0)
    learned = made_up(scenario)
    (chunk,) = chunks(World(scenario), learned, WrittenArrivals(()), 60.0, Counting(learned))
    assert chunk.seconds["server_version"].tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert chunk.seconds["copy_staleness"].tolist() == [0.0] * 7
    assert chunk.seconds["rejector_staleness"].tolist() == [0, 0, 0, 0, 1.0, 0, 1.0]


class Training(Counting):
    """Says that the rejectors of a group trained, too."""

    def train_round(self, training_round: TrainingRound) -> Update:
        update = super().train_round(training_round)
        both = {name: 2 * values for name, values in update.learning.items()}
        return replace(update, learning=both | {"stage": ["server", "rejector"], "group": ["", "devices"]})


def staleness_told(scenario: Scenario) -> list[float]:
    """Of the rejectors' rows in the table of learning, version by version."""
    learned = made_up(scenario)
    learning = Learning(World(scenario), learned, Training(learned))
    for at_s in learning.schedule.starts_at_s.tolist():
        learning.attend(at_start(World(scenario)), at_s)
    rows = frame(pa.table(learning.take_rows()))
    assert rows[rows["stage"] == "server"]["staleness"].isna().all()
    return rows[rows["stage"] == "rejector"]["staleness"].tolist()


def test_a_curve_tells_how_many_steps_the_copies_lie_behind():
    """Versions of 4 steps at 3 and 5 are the newest for 2 s each, copies are there half a second later."""
    assert staleness_told(scenario_of(horizon_s=7.0)) == [0.0, 0.0]
    assert staleness_told(scenario_of(group={"link": {"latency": 0.5}}, horizon_s=7.0)) == [1.0, 1.0]
    alone = {"clients": 2, "link": {"latency": 0.5}}
    assert staleness_told(scenario_of(group=alone, horizon_s=7.0)) == [1.0, 1.0]


def test_copies_that_an_outage_of_links_keeps_lie_further_behind():
    """Versions at 3, 5, 7; the link is down from 3 to 6: version 0 until 6, then 2 (in force from 5), then 3.

    While version 1 is the newest, 4 steps behind; while version 2 is, 8 for one of its two seconds.
    """
    cut = {
        "when": {"kind": "intervals", "at": ((3.0, 6.0),)},
        "target": {"kind": "links", "groups": ("devices",)},
    }
    service = {"kind": "affine", "base_s": 0.25}
    outages = plain_scenario(server={"service": service, "outages": (cut,)}).server.outages
    world = scenario_of(horizon_s=9.0)
    cut_off = world.model_copy(update={"server": world.server.model_copy(update={"outages": outages})})
    assert World(cut_off).schedule.in_force_at_s.tolist()[1:] == [3.0, 5.0, 7.0]
    assert staleness_told(cut_off) == [4.0, 4.0, 0.0]


def test_rows_of_learning_are_written_behind_those_of_pretraining(tmp_path):
    scenario = scenario_of(horizon_s=5.5)
    learned = made_up(scenario)
    before = dict(zip(LEARNING.names, (["server"], [""], [9], [np.nan], [1.0], [0.1], [np.nan]), strict=True))
    learned = replace(learned, learning=before, deferral={name: [] for name in DEFERRAL.names})
    done = simulate(World(scenario), learned, tmp_path, learner=Counting(learned))
    write_learned(World(scenario), learned, learned.client_hashes, tmp_path, done.learning)
    rows = frame(pq.read_table(tmp_path / "learning.parquet"))
    assert rows["step"].tolist() == [9, 1, 2]
    assert rows["at_s"].tolist()[1:] == [3.0, 5.0]
