"""Labelled samples that go from neighbour to neighbour: small stories as in `test_neighbours`, and laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_federation import learned_of, run_of, scenario_of
from tried import tried
from worlds import MadeUpLearner, poisson

from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.registry.condensing import level, representatives
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.world.windows import EvenWindows
from sim.world.world import World


def handing(*args: Any, latency: Any = 0.25, bandwidth_bps: float | None = None, **kwargs: Any) -> Scenario:
    """Three clients hand over all that they are told, samples of 100 bytes, and upload for themselves."""
    federation = {name: kwargs.pop(name) for name in ("horizon_s", "group", "absent") if name in kwargs}
    neighbours = {
        "size": kwargs.pop("size", 3),
        "one_uplink": False,
        "link": {"latency": latency, "bandwidth_bps": bandwidth_bps},
        "hand_over": {"sample_bytes": 100} | kwargs,
    }
    return scenario_of(*args, neighbours=neighbours, **federation)


def rounds_of(scenario: Scenario) -> list[Any]:
    return run_of(scenario)[1].training_rounds


def rows_of(told: Any, client: int) -> list[tuple[Any, ...]]:
    """What a client was told, or what came to it."""
    columns = (told.sample, told.server_correct, told.propensity)
    return sorted(zip(*(column[told.client == client].tolist() for column in columns), strict=True))


# Stories.


def test_what_was_told_by_a_round_trains_the_next_client_in_the_next_round():
    first, second, third, *_ = rounds_of(handing())
    assert not len(first.handed.client)
    for before, after in ((first, second), (second, third)):
        for client in range(3):
            told, came = before.feedback, after.handed
            assert rows_of(came, (client + 1) % 3) == rows_of(told, client) != []
            stands_for = came.stands_for[came.client == (client + 1) % 3]
            assert stands_for.sum() == pytest.approx(told.decided[client])
            assert len(set(stands_for.tolist())) == 1


@pytest.mark.parametrize(("latency", "number"), [(9.99, 1), (10.0, 2), (20.0, 3)])
def test_it_trains_from_the_first_round_that_is_due_after_it_has_come(latency, number):
    """What comes at the very instant is too late for that one."""
    rounds = rounds_of(handing(latency=latency))
    assert [len(one.handed.client) > 0 for one in rounds].index(True) == number
    assert rows_of(rounds[number].handed, 1) == rows_of(rounds[0].feedback, 0)


def test_bytes_take_their_time():
    """Ten seconds for so many samples of client 0 as it was told, and no more."""
    (many,) = {len(rows_of(rounds_of(handing())[0].feedback, 0))}
    for slack, there in ((1.001, many), (0.999, 0)):
        fast = handing(latency=0.0, bandwidth_bps=slack * 8 * 100 * many / 10.0)
        assert len(rows_of(rounds_of(fast)[1].handed, 1)) == there


def test_a_share_is_drawn_to_the_nearest_whole_number_and_stands_for_that_share():
    all_of_it, half = rounds_of(handing()), rounds_of(handing(share=0.5))
    for client in range(3):
        told = rows_of(all_of_it[0].feedback, client)
        came = half[1].handed.client == (client + 1) % 3
        assert came.sum() == int(np.floor(len(told) / 2 + 0.5))
        assert set(rows_of(half[1].handed, (client + 1) % 3)) <= set(told)
        decided = all_of_it[0].feedback.decided[client]
        assert half[1].handed.stands_for[came].sum() == pytest.approx(decided * came.sum() / len(told))


def test_representatives_stand_for_all_of_their_class():
    scenario = handing(at_most=4)
    label = learned_of(scenario).samples.label
    whole, few = rounds_of(handing()), rounds_of(scenario)
    for client in range(3):
        taker, told = (client + 1) % 3, whole[0].feedback
        labels, came = label[told.sample[told.client == client]], few[1].handed
        mine = came.client == taker
        counts = np.bincount(labels)
        most = level(counts, 4)
        assert np.bincount(label[came.sample[mine]], minlength=len(counts)).tolist() == [
            min(most, count) for count in counts.tolist()
        ]
        assert came.stands_for[mine].sum() == pytest.approx(told.decided[client])
        for of_class in np.unique(labels):  # 1/propensity adds up as that of all of the class would
            here = mine & (label[came.sample] == of_class)
            assert (1 / came.propensity[here]).sum() == pytest.approx(counts[of_class], rel=1e-5)


def test_who_is_absent_hands_over_when_it_is_there_again_and_who_is_alone_never():
    scenario = handing(absent=0.5, horizon_s=400.0)
    run = rounds_of(scenario)
    told = [[row for one in run for row in rows_of(one.feedback, client)] for client in range(3)]
    came = sum(len(one.handed.client) for one in run)
    assert 0.8 * sum(map(len, told)) < came < sum(map(len, told))  # but what came last
    assert all(not len(one.handed.client) for one in rounds_of(handing(size=1)))


def test_the_table_tells_what_left():
    scenario = handing(at_most=4)
    learned = learned_of(scenario)
    learner = MadeUpLearner(scenario, learned)
    run = Run(World(scenario), learned, poisson(scenario, 1.0), learner, EnginePath("simpy", ""))
    rows: dict[str, list[Any]] = {}
    while not run.is_over:
        for name, values in run.advance().hand_over.items():
            rows.setdefault(name, []).extend(values)
    came = [len(one.handed.client) for one in learner.training_rounds]
    assert rows["round"] == [1, 2, 3, 4]
    assert rows["samples"][:3] == came[1:]
    assert rows["bytes"] == [100 * many for many in rows["samples"]]
    assert rows["told"] == [len(one.feedback.client) for one in learner.training_rounds]
    assert rows["last_came_at_s"] == [pytest.approx(10 * k + 0.25) for k in (1, 2, 3, 4)]
    assert rows["clients"] == [3] * 4


# Laws.


def test_nothing_handed_over_is_as_without_neighbours():
    near = scenario_of(neighbours={"size": 3, "one_uplink": False})
    ours, theirs = run_of(near), run_of(scenario_of())
    assert ours[0].equals(theirs[0])
    assert ours[1].state()["feedback_buffer"] == theirs[1].state()["feedback_buffer"]


@pytest.mark.parametrize("stops_at_s", [9.0, 12.0, 24.0])
def test_a_run_goes_on_to_the_same_rounds(stops_at_s):
    """Before anything is handed over, while it is under way, and later; by either clock."""
    scenario = handing(latency=4.0, share=0.7, at_most=5)
    learned, whole = learned_of(scenario), run_of(scenario)[1]

    def begun(path: str) -> tuple[Run, MadeUpLearner]:
        learner, windows = MadeUpLearner(scenario, learned), EvenWindows(stops_at_s)
        source = poisson(scenario, 1.0)
        return Run(World(scenario), learned, source, learner, EnginePath(path, ""), windows), learner

    (first, _), (then, learner) = begun("simpy"), begun("compiled")
    first.advance()
    then.restore(unpack(pack(first.kept())))
    while not then.is_over:
        then.advance()
    assert learner.state()["feedback_buffer"] == whole.state()["feedback_buffer"]


samples = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@tried(200)
@given(samples, st.integers(5, 70))
def test_at_most_so_many_are_kept_and_classes_are_balanced(labels, most):
    label = np.array(labels)
    counts = np.bincount(label, minlength=5)
    kept = representatives(label, np.random.default_rng(1).random(len(label)), counts, most)
    by_class = np.bincount(label[kept], minlength=5)
    assert kept.sum() <= most
    assert kept.all() == (len(label) <= most)
    left_out = by_class < counts
    assert all(by_class[left_out] == level(counts, most))  # no smaller class is cut, and all alike
    if left_out.any():  # one more of each would be too many
        assert np.minimum(counts, level(counts, most) + 1).sum() > most


@tried(200)
@given(samples, st.integers(5, 20), st.lists(st.integers(0, 60), max_size=4))
def test_how_samples_come_in_turns_changes_nothing_of_what_is_kept(labels, most, cuts):
    label, priority = np.array(labels), np.random.default_rng(2).random(len(labels))
    at_once = representatives(label, priority, np.bincount(label, minlength=5), most)
    held = np.empty(0, dtype=np.int64)
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(label)], strict=True):
        held = np.append(held, np.arange(min(begin, len(label)), min(end, len(label))))
        seen = np.bincount(label[: min(end, len(label))], minlength=5)
        held = held[representatives(label[held], priority[held], seen, most)]
    assert np.sort(held).tolist() == np.flatnonzero(at_once).tolist()


@pytest.mark.parametrize(
    ("federation", "path", "what"),
    [
        ({"neighbours": {"size": 1, "hand_over": {"sample_bytes": 1}}}, "size", "must be at least 2"),
        (
            {"neighbours": {"size": 2, "hand_over": {"sample_bytes": 1, "at_most": 9}}},
            "at_most",
            "must be at least 10, or some class has no representative",
        ),
        ({"holds": 3}, "holds", "must be at least 10"),
        ({"holds": 30, "learns": "prototypes"}, "holds", "prototypes are made of all that a client"),
    ],
)
def test_what_makes_no_sense_is_refused(federation, path, what):
    group = {"fallback": "prototype"} if "learns" in federation else {}
    (finding,) = findings(scenario_of(group=group, **federation))
    assert finding.path[-1] == path
    assert what in finding.sentence
