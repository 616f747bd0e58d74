"""Training during the run by the real learners: who changes in a round, and that drift can be followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fingerprints import fingerprint
from small_fleets import group, model, scenario, three_kinds

from agents.fleet import Fleet, open_fleet
from agents.plan import make_plan
from agents.rejectors import client_predictions as predictions
from agents.server.online import ReplayBuffer, rejector_round, server_round, traffic_view_at
from sim.errors import RunFailed
from sim.messages import Deferred, Feedback, Learned, TrainingRound, Update, learned_of
from sim.results.packing import pack, unpack
from sim.scenario import POOLS, Scenario

TIMES = {"every_s": 10.0, "steps": 20, "step_s": 0.05, "rejector_steps": 10, "rejector_step_s": 0.01}
AT_0 = {"kind": "threshold", "at": 0.0}
NOISE = ({"at_s": 5.0, "noise": 0.45},)
EVEN, SCARCE = (0.2, 0.3, 0.2, 0.1, 0.2), (0.1, 0.1, 0.1, 0.05, 0.65)  # SCARCE: little to pretrain on


def learning_scenario(
    *groups: dict[str, Any], epochs: int = 6, server: str = "mlp", pools: Any = EVEN, **online: Any
) -> Scenario:
    training = {"pretrain": {"epochs": epochs}, "online": TIMES | online}
    data = {"set": "digits", "pools": pools}
    return scenario(*(groups or (group(clients=4),)), server=server, training=training, data=data)


def round_of(
    version: int = 1,
    met: Any = (),
    trains: Any = (),
    at_s: float = 10.0,
    in_force_at_s: float = 11.0,
    feedback: Feedback | None = None,
) -> TrainingRound:
    met = np.array(met, dtype=np.int32)
    nobody = np.zeros(len(met), dtype=np.int32)
    deferred = Deferred(nobody, met, np.zeros(len(met)))
    told = feedback or Feedback.nothing(0)
    return TrainingRound(version, at_s, in_force_at_s, deferred, told, np.array(trains, dtype=np.int32))


def on_what_was_sent(wanted: Scenario) -> Scenario:
    partly = wanted.training.model_copy(update={"feedback": "deferred_only", "exploration": 0.5})
    return wanted.model_copy(update={"training": partly})


def heard(clients: int, of: dict[int, Any], right: bool = True, decided: int = 40) -> Feedback:
    """Clients sent places of the sample axis, half of them by exploration, and were all answered alike."""
    client = np.repeat(list(of), [len(places) for places in of.values()]).astype(np.int32)
    place = np.concatenate(list(of.values())).astype(np.int32)
    propensity = np.where(np.arange(len(place)) % 2, 0.5, 1.0).astype(np.float32)
    n = len(place)
    return Feedback(client, place, np.full(n, right), propensity, np.ones(n), np.full(clients, decided))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """Opens fleets that are ready for rounds."""
    with ExitStack() as open_ones:

        def blank(wanted: Scenario, workers: int = 0) -> Fleet:
            """One that has learned nothing yet."""
            fleet = open_ones.enter_context(open_fleet(wanted, workers=workers, cache=tmp_path))
            fleet.build()
            return fleet

        def make(wanted: Scenario, workers: int = 0) -> tuple[Fleet, Learned]:
            fleet = blank(wanted, workers)
            fleet.learn()
            return fleet, fleet.decide()

        make.blank = blank
        yield make


def assert_same(one: Update, other: Update) -> None:
    np.testing.assert_array_equal(one.server_label, other.server_label)
    for mine, theirs in zip(one.score, other.score, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert repr(one.learning) == repr(other.learning)


def test_only_rejectors_that_train_change(opened):
    """And each comes out the same to the bit, whoever else trains."""
    fleet, learned = opened(learning_scenario())
    before = learned.tables.groups[0].score
    some = fleet.train_round(round_of(trains=[1, 3])).score[0]
    np.testing.assert_array_equal(some[[0, 2]], before[[0, 2]])
    assert (some[[1, 3]] != before[[1, 3]]).any(axis=1).all()
    other, _ = opened(learning_scenario())
    every = other.train_round(round_of(trains=[0, 1, 2, 3])).score[0]
    np.testing.assert_array_equal(every[[1, 3]], some[[1, 3]])


def test_a_rejector_that_sat_out_goes_on_where_it_was(opened):
    """Its weights and its optimiser's memory are as if the round it missed had not been."""
    one, _ = opened(learning_scenario(source="deferred"))
    other, _ = opened(learning_scenario(source="deferred"))
    one.train_round(round_of(trains=[1]))
    other.train_round(round_of(trains=[1, 2]))
    later = [fleet.train_round(round_of(version=2, trains=[1])).score[0] for fleet in (one, other)]
    np.testing.assert_array_equal(later[0][1], later[1][1])


def test_a_rejector_of_a_variant_trains_if_one_of_its_clients_does(opened):
    shared = group(clients=5, model=model(variants=2), rejector={"per": "variant"})
    fleet, learned = opened(learning_scenario(shared))
    after = fleet.train_round(round_of(trains=[3])).score[0]
    changed = (after != learned.tables.groups[0].score).any(axis=1)
    assert changed.tolist() == [False, True]


@pytest.mark.parametrize("partly", [False, True])
def test_a_frozen_model_is_read_once_for_all_rounds(opened, monkeypatch, partly):
    """Of the sample axis and of the pool, in whatever view requests come by then."""
    asked = []

    def counted(model, plan, sample_ids):
        asked.append(len(sample_ids))
        return given(model, plan, sample_ids)

    given = predictions.output_of
    monkeypatch.setattr(predictions, "output_of", counted)
    drifting = group(clients=4, model=model(variants=2), traffic={"mix": "all", "drift": NOISE})
    wanted = learning_scenario(drifting)
    fleet, learned = opened(on_what_was_sent(wanted) if partly else wanted)
    fleet.train_round(round_of(trains=[0, 1, 2, 3], feedback=heard(4, {c: [3, 4] for c in range(4)})))
    axis = len(learned.samples.label)
    assert asked.count(axis) == 2
    before = len(asked)
    for version in (2, 3):
        some = heard(4, {c: [3, 4] for c in range(4)})
        fleet.train_round(round_of(version, trains=[0, 1, 2, 3], feedback=some))
    assert len(asked) == before


def test_nobody_trains_and_no_table_comes(opened):
    fleet, _ = opened(learning_scenario())
    update = fleet.train_round(round_of(trains=[]))
    assert update.score == (None,)
    assert update.learning["stage"] == ["server"]


def test_the_server_learns_nothing_from_nothing(opened):
    fleet, learned = opened(learning_scenario(source="deferred"))
    update = fleet.train_round(round_of(trains=[0]))
    np.testing.assert_array_equal(update.server_label, learned.tables.server_label)
    assert np.isnan(update.learning["loss"][0])


@pytest.mark.slow
def test_a_server_that_is_sent_noisy_pictures_learns_to_read_them(opened):
    """Accuracy on held-out traffic, none of which it is taught; the pool alone teaches it less."""
    noisy = group(clients=1, traffic={"mix": "all", "drift": NOISE}, policy={"score": "confidence"})
    accuracy = {}
    for source in ("deferred", "pool"):
        wanted = learning_scenario(noisy, epochs=20, server="small_cnn", pools=SCARCE, source=source)
        fleet, learned = opened(wanted)
        positions = learned.traffic[0][1].positions
        held_out = learned.samples.held_out[positions]
        label = learned.samples.label[positions][held_out]
        before = (learned.tables.server_label[positions][held_out] == label).mean()
        for version in range(1, 7):
            update = fleet.train_round(round_of(version, met=positions[~held_out] if version == 1 else ()))
        accuracy[source] = (update.server_label[positions][held_out] == label).mean()
    assert accuracy["deferred"] > before + 0.08
    assert accuracy["deferred"] > accuracy["pool"] + 0.04


def test_what_is_met_weighs_as_much_as_who_sent_it():
    plan = make_plan(learning_scenario(group(clients=2, weight=3.0), group("others"), source="deferred"))
    training_round = round_of(met=[4, 5])
    met = ReplayBuffer.nothing().with_round(
        plan,
        replace(training_round, deferred=replace(training_round.deferred, client=np.array([1, 2], np.int32))),
        0,
    )
    assert met.sample_id.tolist() == plan.samples.sample_id[[4, 5]].tolist()
    assert met.weight.tolist() == [3.0, 1.0]


def test_who_heard_nothing_keeps_its_rejector(opened):
    fleet, learned = opened(on_what_was_sent(learning_scenario()))
    before, places = learned.tables.groups[0].score, learned.traffic[0][0].positions
    assert fleet.train_round(round_of(trains=[0, 1], feedback=Feedback.nothing(4))).score == (None,)
    told = heard(4, {1: places[:20], 2: places[20:40]})
    after = fleet.train_round(round_of(2, trains=[0, 1], feedback=told)).score[0]
    np.testing.assert_array_equal(after[[0, 2, 3]], before[[0, 2, 3]])
    assert (after[1] != before[1]).any()


def test_what_others_heard_changes_no_bit(opened):
    wanted = on_what_was_sent(learning_scenario())
    scores = []
    for others in ({}, {0: np.arange(30), 3: np.arange(60, 90)}):
        fleet, learned = opened(wanted)
        places = learned.traffic[0][0].positions
        of = {client: places[some] for client, some in others.items()} | {1: places[:20]}
        told = heard(4, dict(sorted(of.items())))
        scores.append(fleet.train_round(round_of(trains=[1], feedback=told)).score[0][1])
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("family", ["mlp", "linear"])
def test_a_rejector_believes_what_its_client_was_answered(opened, family):
    """Where the client is wrong, sending pays iff the server was right there."""
    pictures = group(clients=1, rejector={"family": family, "input": "raw+features"}, policy={"price": AT_0})
    means = {}
    for right in (True, False):
        fleet, learned = opened(on_what_was_sent(learning_scenario(pictures, rejector_steps=100)))
        table, places = learned.tables.groups[0], learned.traffic[0][0].positions
        wrong = places[table.client_label[0][places] != learned.samples.label[places]]
        told = heard(1, {0: wrong}, right=right)
        means[right] = fleet.train_round(round_of(trains=[0], feedback=told)).score[0][0][wrong].mean()
        assert (means[right] > table.score[0][wrong].mean()) == right
    assert means[True] > 0 > means[False]


def test_what_was_heard_is_not_forgotten(opened):
    """One training round of all equals two of a half each, if the rejector trains after both."""
    wanted = on_what_was_sent(learning_scenario())
    once, learned = opened(wanted)
    places = learned.traffic[0][0].positions[:40]
    nobody = round_of(1, feedback=Feedback.nothing(4))
    once.train_round(nobody)
    summed = once.train_round(round_of(2, trains=[2], feedback=heard(4, {2: places}, decided=80)))
    twice, _ = opened(wanted)
    twice.train_round(replace(nobody, feedback=heard(4, {2: places[:20]})))
    apart = twice.train_round(round_of(2, trains=[2], feedback=heard(4, {2: places[20:]})))
    np.testing.assert_array_equal(summed.score[0], apart.score[0])


def test_a_rejector_of_a_variant_learns_from_all_its_clients(opened):
    shared = group(clients=5, model=model(variants=2), rejector={"per": "variant"})
    wanted = on_what_was_sent(learning_scenario(shared))
    scores = []
    for clients in ([1, 3], [1, 1], [3, 3]):  # all of variant 1
        fleet, learned = opened(wanted)
        places = learned.traffic[0][0].positions
        told = heard(5, {0: places[:20], 1: places[20:40]})
        told = replace(told, client=np.repeat(np.array(clients, dtype=np.int32), 20))
        scores.append(fleet.train_round(round_of(trains=[3], feedback=told)).score[0])
        np.testing.assert_array_equal(scores[-1][0], learned.tables.groups[0].score[0])
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])
    assert (scores[0][1] != learned.tables.groups[0].score[1]).any()


@pytest.mark.parametrize(
    ("of_server", "told"),
    [
        (True, "server, version 1: the loss is nan at step 0; "),
        (
            False,
            "group sensors, rejector of client 1: the loss is nan at step 0, of outputs that are no numbers",
        ),
    ],
)
def test_what_is_no_number_stops_a_round_and_names_version_or_client(opened, of_server, told):
    """Weights that are no numbers, in the server or in the rejector of one client."""
    fleet, _ = opened(learning_scenario(epochs=1))
    backend = fleet._backend
    with torch.no_grad():
        if of_server:
            next(backend._server._model.parameters()).fill_(float("nan"))
        else:
            (block,) = backend._shard._blocks.values()
            block._rejectors.parameters[0][1].fill_(float("nan"))
    with pytest.raises(RunFailed) as failure:
        fleet.train_round(round_of(trains=[0, 1]))
    assert f"in stage 'learn': {told}" in str(failure.value)


def test_the_oracle_knows_the_new_server(opened):
    fleet, learned = opened(learning_scenario(group(policy={"score": "oracle", "price": AT_0}), epochs=1))
    update = fleet.train_round(round_of())
    label = learned.samples.label
    wrong_client = learned.tables.groups[0].client_label != label
    np.testing.assert_array_equal(update.score[0], wrong_client - 1.0 * (update.server_label != label))


def test_confidence_does_not_follow_the_server(opened):
    confident = {"score": "confidence", "price": AT_0}
    fleet, _ = opened(learning_scenario(group(policy=confident), epochs=1))
    assert fleet.train_round(round_of()).score == (None,)


@pytest.mark.parametrize("score", ["l2h", "confidence"])
def test_a_safe_threshold_follows_the_server(opened, score):
    """What is sent after a round is what pays on the calibration pool by the server's new answers."""
    fleet, learned = opened(learning_scenario(group(policy={"score": score}), epochs=1))
    update = fleet.train_round(round_of(trains=[0, 1, 2]))
    for table, label in (
        (learned.tables.groups[0].score, learned.tables.server_label),
        (update.score[0], update.server_label),
    ):
        pool = np.flatnonzero(learned.samples.pool == POOLS.index("calibration"))
        right = learned.samples.label[pool]
        wrong = learned.tables.groups[0].client_label[:, pool] != right
        remote = 0.1 + (label[pool] != right)
        paid = np.where(table[:, pool] > 0, remote, wrong).sum(axis=1)
        best = np.minimum(wrong.sum(axis=1), remote.sum())
        assert (paid <= best + 1.1 + 1e-6).all()  # but for the imagined sample


def test_rejectors_look_at_what_is_met_by_then():
    drift = (*NOISE, {"at_s": 20.0, "classes": (1.0,) * 10}, {"at_s": 30.0, "noise": 0.0})
    plan = make_plan(learning_scenario(group(traffic={"mix": "all", "drift": drift})))
    assert [traffic_view_at(plan, 0, at_s) for at_s in (0.0, 4.9, 5.0, 25.0, 30.0)] == [0, 0, 1, 1, 0]


@pytest.mark.parametrize(("source", "of_met"), [("pool", 0), ("deferred", 64), ("mix", 32)])
def test_a_round_draws_from_what_it_should(source, of_met):
    plan = make_plan(learning_scenario(source=source))
    met = plan.traffic[0][:3]
    known = ReplayBuffer(plan.samples.sample_id[met], np.ones(3, np.float32))
    steps = [sample_ids for sample_ids, _ in server_round(plan, 1, known)]
    assert len(steps) == 20
    for sample_ids in steps:
        assert len(sample_ids) == 64
        assert np.isin(sample_ids, plan.samples.sample_id[met]).sum() == of_met
        assert np.isin(sample_ids, plan.server_pool).sum() == 64 - of_met
    again, other = ([ids for ids, _ in server_round(plan, version, known)] for version in (1, 2))
    assert np.array_equal(steps, again)
    assert not np.array_equal(steps, other)


def test_rejectors_draw_from_their_pool_by_version():
    plan = make_plan(learning_scenario())
    batches = rejector_round(plan, 3)
    assert batches.shape == (10, 64)
    assert batches.max() < len(plan.rejector_pool)
    assert not np.array_equal(batches, rejector_round(plan, 4))


def test_rounds_write_their_learning_curves(opened):
    fleet, _ = opened(learning_scenario())
    fleet.train_round(round_of(trains=[0]))
    rows = fleet.train_round(round_of(2, trains=[1], in_force_at_s=21.0)).learning
    assert rows["stage"] == ["server", "rejector"]
    assert rows["group"] == ["", "sensors"]
    assert rows["at_s"] == [21.0, 21.0]
    pretrained = 6 * 9  # epochs of 539 samples in batches of 64
    assert rows["step"] == [pretrained + 40, pretrained + 20]
    assert np.isfinite(rows["loss"]).all()


def test_frozen_models_stay_frozen(opened):
    fleet, learned = opened(learning_scenario(source="mix"))
    fleet.train_round(round_of(met=learned.traffic[0][0].positions[:9], trains=[0, 1]))
    assert fleet.client_hashes() == learned.client_hashes


@pytest.mark.ray
@pytest.mark.slow
def test_rounds_have_the_same_bytes_on_any_number_of_workers(opened):
    wanted = learning_scenario(group(clients=70), group("others", clients=3), source="mix", epochs=2)
    training_rounds = [
        round_of(1, met=[5, 9, 40], trains=[0, 69, 71]),
        round_of(2, met=[7], trains=[1, 69, 72]),
    ]
    alone, learned = opened(wanted)
    assert not learned.samples.held_out[[5, 9, 40, 7]].all()
    expected = [alone.train_round(training_round) for training_round in training_rounds]
    shared, _ = opened(wanted, workers=2)
    for training_round, update in zip(training_rounds, expected, strict=True):
        assert_same(shared.train_round(replace(training_round)), update)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_clients_hear_teaches_the_same_bytes_on_any_number_of_workers(opened, workers):
    fleet = (group(clients=70), group("others", clients=3, rejector={"per": "variant"}))
    wanted = on_what_was_sent(learning_scenario(*fleet, epochs=2))
    alone, learned = opened(wanted)
    places = learned.traffic[0][0].positions
    told = [
        heard(73, {client: places[client : client + 15] for client in clients})
        for clients in ([0, 1, 68, 69, 70], [0, 5, 69, 72])
    ]
    training_rounds = [
        round_of(1, trains=[0, 69, 71], feedback=told[0]),
        round_of(2, trains=[5, 72], feedback=told[1]),
    ]
    expected = [alone.train_round(training_round) for training_round in training_rounds]
    shared, _ = opened(wanted, workers=workers)
    for training_round, update in zip(training_rounds, expected, strict=True):
        assert_same(shared.train_round(training_round), update)


# What is kept, and what goes on from it.


def kept(fleet: Fleet) -> Any:
    """Its state as a file would give it back."""
    return unpack(pack(fleet.state()))


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("feedback", ["full", "deferred_only"])
def test_a_restored_fleet_goes_on_to_the_same_bytes(optimiser, feedback, opened):
    """Kept before the first round or after it; a round later both say the same. Dropout draws go on too."""
    shared = group("shared", clients=3, rejector={"per": "variant"})
    wanted = learning_scenario(group(clients=4), shared, epochs=2, source="mix", server="small_cnn")
    pretrain = wanted.training.pretrain.model_copy(update={"optimiser": optimiser, "momentum": 0.5})
    training = wanted.training.model_copy(update={"pretrain": pretrain, "feedback": feedback})
    wanted = wanted.model_copy(update={"training": training})
    one, learned = opened(wanted)
    places = learned.traffic[0][0].positions
    training_rounds = [
        round_of(1, met=[5, 9], trains=[0, 4], feedback=heard(7, {0: places[:9], 4: places[3:30]})),
        round_of(2, met=[7], trains=[1, 3], feedback=heard(7, {1: places[:20], 3: places[:5]})),
    ]
    for rounds in (0, 1):
        states, expected = [kept(one)], [one.train_round(training_rounds[rounds])]
        other = opened.blank(wanted)
        other.restore(states[0])
        other.decide()
        other.restore(states[0])
        assert_same(other.train_round(training_rounds[rounds]), expected[0])


def test_a_restored_fleet_decides_as_it_did(opened):
    one, learned = opened(three_kinds())
    other = opened.blank(three_kinds())
    other.restore(kept(one))
    assert fingerprint(other.decide()) == fingerprint(learned)


KINDS = {
    "trained": (),
    "oracle": ({"score": "oracle", "price": AT_0},),
    "chosen": ({"score": "confidence"}, {"score": "plug_in"}),
    "both": ({"score": "l2h"}, {"score": "oracle", "price": AT_0}, {"score": "random", "price": AT_0}),
}


@pytest.mark.parametrize("kinds", KINDS)
def test_who_goes_on_from_known_tables_decides_nothing_anew_and_learns_the_same(opened, monkeypatch, kinds):
    """From tables as a file would give them back."""
    groups = [group(f"g{n}", clients=2, policy=policy) for n, policy in enumerate(KINDS[kinds])]
    wanted = learning_scenario(*groups, epochs=2, source="mix")
    one, learned = opened(wanted)
    other = opened.blank(wanted)
    other.restore(kept(one))
    monkeypatch.setattr("agents.fleet.everything_asked", None)
    other.go_on(learned_of(unpack(pack(learned))))
    for version in (1, 2):
        asked = round_of(version, met=[4, 8], trains=range(wanted.clients))
        assert_same(other.train_round(asked), one.train_round(asked))
