"""Rounds of training of several models by the real learners: who changes, and by which samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_fleets import group
from test_online import EVEN, TIMES, assert_same, kept, opened, round_of  # noqa: F401  (opened is a fixture)
from test_options import SERVICE, two_servers

from agents.rejectors.told import seen_in_round
from sim.messages import Deferred, TrainingRound
from sim.scenario import Scenario

NEAR = {"option": "near", "server": "edge", "model": "small", "c_e": 0.02}
FAR = {"option": "far", "server": "cloud", "model": "large", "c_e": 0.1}


def asks(
    name: str = "sensors", score: str = "l2h", options: Any = (FAR, NEAR), **keys: Any
) -> dict[str, Any]:
    policy = {"score": score, "price": {"kind": "threshold", "at": 0.0}}
    return group(name, options=options, policy=policy, **keys)


def two_models(*groups: dict[str, Any], epochs: int = 3, **online: Any) -> Scenario:
    """Options do not stand in the order of the models."""
    return two_servers(
        *(groups or (asks(clients=4),)),
        servers=(
            {"server": "edge", "models": ("small",), "service": SERVICE},
            {"server": "cloud", "models": ("large",), "service": SERVICE},
        ),
        epochs=epochs,
        training={"online": TIMES | online},
        data={"set": "digits", "pools": EVEN},
    )


def of_models(makes: Any, version: int = 1, met: Any = ((), ()), **keys: Any) -> TrainingRound:
    """met: places that came to the servers of each model."""
    place = np.array([one for of_model in met for one in of_model], dtype=np.int32)
    model = np.repeat(np.arange(len(met), dtype=np.int16), [len(of_model) for of_model in met])
    deferred = Deferred(np.zeros(len(place), np.int32), place, np.zeros(len(place)), model)
    return replace(round_of(version, **keys), deferred=deferred, makes=makes)


def test_models_that_take_no_part_answer_as_they_did(opened):  # noqa: F811
    fleet, learned = opened(two_models())
    update = fleet.train_round(of_models(((1, 1),), trains=[0]))
    before = learned.tables.server_label
    assert update.server_label.shape == before.shape == (2, len(learned.samples.label))
    assert np.array_equal(update.server_label[0], before[0])
    assert not np.array_equal(update.server_label[1], before[1])


def test_a_model_comes_out_the_same_whichever_others_learn(opened):  # noqa: F811
    one, _ = opened(two_models(source="mix"))
    other, _ = opened(two_models(source="mix"))
    met = ((5, 9, 40), (7, 11))
    both = one.train_round(of_models(((0, 1), (1, 1)), met=met)).server_label
    alone = other.train_round(of_models(((1, 1),), met=((), met[1]))).server_label
    assert np.array_equal(both[1], alone[1])
    assert not np.array_equal(both[0], alone[0])


def test_a_model_learns_from_its_own_samples_alone(opened):  # noqa: F811
    """What came to the edge changes nothing of the cloud's model; what came to the cloud does."""
    made = []
    for met in (((5, 9), (7, 11)), ((40, 41), (7, 11)), ((5, 9), (40, 41))):
        fleet, _ = opened(two_models(source="deferred"))
        made.append(fleet.train_round(of_models(((0, 1), (1, 1)), met=met)).server_label)
    assert np.array_equal(made[0][1], made[1][1])
    assert not np.array_equal(made[0][0], made[1][0])
    assert not np.array_equal(made[0][1], made[2][1])


def test_only_rejectors_that_train_change_and_the_scores_of_all_their_options(opened):  # noqa: F811
    fleet, learned = opened(two_models())
    before = learned.tables.groups[0].score
    after = fleet.train_round(of_models(((0, 1),), trains=[1, 3])).score[0]
    assert after.shape == before.shape == (4, 2, len(learned.samples.label))
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    assert (after[[1, 3]] != before[[1, 3]]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("score", ["l2h", "plug_in"])
def test_a_rejector_learns_which_option_is_right(score, opened):  # noqa: F811
    """Told that the large model is right on everything and the small one on nothing, its option gains; and
    the other way round."""
    gains = []
    for small_is_right in (False, True):
        fleet, _ = opened(two_models(asks(clients=2, score=score), rejector_steps=60))
        shard = fleet._backend._shard
        (block,) = shard._blocks.values()
        correct = np.zeros((2, 60, 64), dtype=np.bool_)
        correct[0 if small_is_right else 1] = True
        assert [one[0].all().item() for one in seen_in_round(fleet._plan, block._block, correct)] == [
            not small_is_right,
            small_is_right,
        ]
        block.train_round(of_models(((0, 1), (1, 1)), trains=[0, 1]), 0, correct)
        right = np.zeros((2, len(fleet._plan.samples.label)), dtype=np.bool_)
        made = shard.own_scores([block._block], right)[0].mean(axis=(0, 2))
        gains.append(made[0] - made[1])
    assert gains[0] > 0.1
    assert gains[1] < -0.1


def test_learning_tells_of_each_model_by_its_name(opened):  # noqa: F811
    fleet, _ = opened(two_models())
    rows = fleet.train_round(of_models(((0, 1), (1, 1)), trains=[0])).learning
    assert rows["stage"] == ["server", "server", "rejector"]
    assert rows["group"] == ["small", "large", "sensors"]
    rows = fleet.train_round(of_models(((1, 2),), version=2, in_force_at_s=21.0)).learning
    pretrained = 3 * 9  # epochs of 539 samples in batches of 64
    assert (rows["group"], rows["step"], rows["at_s"]) == (["large"], [pretrained + 40], [21.0])
    rows = fleet.train_round(of_models(((0, 2),), version=3)).learning
    assert rows["step"] == [pretrained + 40]  # its own second version, in the third of all


def test_a_restored_fleet_goes_on_to_the_same_bytes(opened):  # noqa: F811
    wanted = two_models(asks(clients=3), asks("near", options=(NEAR,), clients=2), source="mix")
    rounds = [
        of_models(((0, 1), (1, 1)), met=((5, 9), (40,)), trains=[0, 4]),
        of_models(((1, 2),), version=2, met=((), (7, 11)), trains=[1]),
        of_models(((0, 2),), version=3, met=((12,), ()), trains=[1, 3]),
    ]
    one, _ = opened(wanted)
    one.train_round(rounds[0])
    state = kept(one)
    expected = [one.train_round(each) for each in rounds[1:]]
    other = opened.blank(wanted)
    other.restore(state)
    other.decide()
    other.restore(state)
    for each, told in zip(rounds[1:], expected, strict=True):
        assert_same(other.train_round(each), told)


@pytest.mark.ray
@pytest.mark.slow
def test_rounds_have_the_same_bytes_on_any_number_of_workers(opened):  # noqa: F811
    wanted = two_models(asks(clients=70), asks("near", options=(NEAR,), clients=3), source="mix")
    rounds = [
        of_models(((0, 1), (1, 1)), met=((5, 9), (40,)), trains=[0, 69, 71]),
        of_models(((1, 2),), version=2, met=((), (7,)), trains=[1, 69]),
    ]
    alone, _ = opened(wanted)
    expected = [alone.train_round(each) for each in rounds]
    shared, _ = opened(wanted, workers=2)
    for each, told in zip(rounds, expected, strict=True):
        assert_same(shared.train_round(each), told)
