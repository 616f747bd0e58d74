"""Clients that learn together, by the real learners: who changes by what, and the same bytes anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fingerprints import fingerprint
from small_fleets import group, model, scenario
from test_online import assert_same, heard, kept, opened, round_of  # noqa: F401  (a fixture)

from agents.federation.merging import Uploads, merged, starts_of
from agents.fleet import Fleet
from agents.plan import make_plan
from sim.messages import HandedOver, Learned, Merge, Update
from sim.scenario import Scenario

TIMES = {"every_s": 10.0, "steps": 8, "step_s": 0.05, "wait_s": 5.0}
ONLINE = {"every_s": 10.0, "steps": 1, "step_s": 0.0, "rejector_steps": 8, "rejector_step_s": 0.05}
AT_0 = {"score": "l2h", "price": {"kind": "threshold", "at": 0.0}}  # no threshold hides what scores say


def together(*groups: dict[str, Any], epochs: int = 2, **federation: Any) -> Scenario:
    groups = groups or (group(clients=6, model=model(variants=2), policy=AT_0),)
    return scenario(*groups, epochs=epochs, federation=TIMES | federation)


def everybody(clients: int) -> np.ndarray:
    return np.arange(clients, dtype=np.int32)


def round_for(learned: Learned, clients: int, number: int = 1, trains: Any = None) -> Any:
    """Client c was answered about c + 3 samples of its own."""
    places = learned.traffic[0][0].positions
    told = heard(clients, {c: places[5 * c : 6 * c + 3] for c in range(clients)}, right=number % 2 == 0)
    return round_of(number, trains=everybody(clients) if trains is None else trains, feedback=told)


def uploads_of(fleet: Fleet) -> Uploads:
    """Of all clients of one group."""
    parts = list(fleet._during_run._uploads(fleet._during_run._blocks).values())
    return Uploads(
        *(
            np.concatenate([getattr(one, name) for one in parts])
            for name in ("numbers", "answers", "precision")
        )
    )


def test_members_of_a_set_begin_alike_and_others_do_not(opened):  # noqa: F811
    fleet, learned = opened(together())
    rows = learned.tables.groups[0].score
    assert rows is not None
    assert all(rows[c].tobytes() == rows[c % 2].tobytes() for c in range(6))
    assert rows[0].tobytes() != rows[1].tobytes()
    assert uploads_of(fleet).numbers.shape == (6, learned.shared_numbers[0])


@pytest.mark.parametrize("per", ["client", "variant"])
def test_without_federation_each_rejector_begins_by_its_own_key(per):
    """As it did before clients could learn together, so what is learned has the bytes it had."""
    several = group(clients=70, model=model(variants=2), policy=AT_0, rejector={"per": per})
    plan = make_plan(scenario(several))
    assert len(plan.blocks) == (2 if per == "client" else 1)
    for block in plan.blocks:
        assert starts_of(plan, block).tolist() == plan.owners(block).tolist()


def test_what_one_client_was_answered_changes_no_other(opened):  # noqa: F811
    fleet, learned = opened(together())
    places = learned.traffic[0][0].positions
    told = round_of(1, trains=everybody(6), feedback=heard(6, {2: places[:9]}))
    update, before = fleet.train_rejectors(told), learned.tables.groups[0].score
    assert update.server_label is None
    assert update.score[0] is not None
    assert before is not None
    assert [row for row in range(6) if (update.score[0][row] != before[row]).any()] == [2]


def test_without_merging_clients_learn_as_without_federation(opened):  # noqa: F811
    """Nobody shares a model, so nobody shares a rejector; the server has a rate of 1e-30 and never moves."""
    fleet = group(clients=5, model=model(variants=5))
    alone = scenario(fleet, federation=TIMES | {"merge": "none"})
    pretrain = alone.training.pretrain.model_copy(update={"server_lr": 1e-30})
    training = alone.training.model_copy(
        update={"pretrain": pretrain, "feedback": "deferred_only", "exploration": 0.5}
    )
    alone = alone.model_copy(update={"training": training})
    without = scenario(fleet, training={"form": "nonnegative", "online": ONLINE})
    without = without.model_copy(
        update={"training": training.model_copy(update={"online": without.training.online})}
    )
    (one, learned), (other, theirs) = opened(alone), opened(without)
    assert learned.tables.groups[0].score.tobytes() == theirs.tables.groups[0].score.tobytes()
    for number in (1, 2, 3):
        told = round_for(learned, 5, number)
        mine, expected = one.train_rejectors(told), other.train_round(told)
        assert mine.score[0].tobytes() == expected.score[0].tobytes()
        assert (expected.server_label == learned.tables.server_label).all()


@pytest.mark.parametrize("merge", ["average", "laplace", "median"])
def test_a_merge_is_of_those_who_uploaded_and_for_those_who_receive(merge, opened):  # noqa: F811
    """Clients 0, 2 and 4 share a model. 0 and 4 upload, 0 and 2 receive; of the others 3 does both."""
    fleet, learned = opened(together(merge=merge))
    trained = fleet.train_rejectors(round_for(learned, 6))
    before = uploads_of(fleet)
    update = fleet.merge(Merge(1, np.array([0, 3, 4], np.int32), np.array([0, 2, 3], np.int32)))
    after = uploads_of(fleet)
    expected = merged(merge, before.of(np.array([0, 4])))
    assert after.numbers[0].tobytes() == after.numbers[2].tobytes() == expected.tobytes()
    assert after.numbers[[1, 3, 4, 5]].tobytes() == before.numbers[[1, 3, 4, 5]].tobytes()
    assert [r for r in range(6) if (update.score[0][r] != trained.score[0][r]).any()] == [0, 2]
    assert update.score[0][0].tobytes() == update.score[0][2].tobytes()
    assert not any(update.learning.values())


def test_to_merge_what_is_alike_changes_no_bit(opened):  # noqa: F811
    fleet, learned = opened(together())
    before = uploads_of(fleet).numbers
    update = fleet.merge(Merge(1, everybody(6), everybody(6)))
    assert uploads_of(fleet).numbers.tobytes() == before.tobytes()
    assert update.score[0].tobytes() == learned.tables.groups[0].score.tobytes()


def test_precision_grows_with_answers_and_is_0_without(opened):  # noqa: F811
    fleet, learned = opened(together(merge="laplace"))
    places = learned.traffic[0][0].positions
    few, many = places[:4], np.tile(places[:4], 10)
    fleet.train_rejectors(round_of(1, trains=everybody(6), feedback=heard(6, {0: few, 2: many}, decided=4)))
    precision = uploads_of(fleet).precision
    assert not precision[[1, 3, 4, 5]].any()
    assert precision[0].sum() > 0
    assert precision[2].sum() > 3 * precision[0].sum()


@pytest.mark.parametrize(("share", "family", "own"), [("head", "mlp", False), ("body", "mlp", True)])
def test_what_is_not_shared_stays_the_clients_own(share, family, own, opened):  # noqa: F811
    """A head of 32·2 + 2 numbers."""
    fleet = group(clients=4, rejector={"family": family, "input": "features"})
    (one, learned), (whole, all_of_it) = opened(together(fleet, share=share)), opened(together(fleet))
    head = 32 * 2 + 2
    assert learned.shared_numbers == ((all_of_it.shared_numbers[0] - head) if own else head,)
    assert learned.tables.groups[0].score.tobytes() == all_of_it.tables.groups[0].score.tobytes()
    for each in (one, whole):
        each.train_rejectors(round_for(learned, 4))
        each.merge(Merge(1, everybody(4), everybody(4)))
    (block,) = one._during_run._blocks
    parameters = one._backend._shard._blocks[block]._rejectors.parameters
    for number, tensor in enumerate(parameters):
        is_head = number >= len(parameters) - 2
        is_alike = all((tensor[row] == tensor[0]).all() for row in range(4))
        assert is_alike == (is_head != own)
    scores = whole.train_rejectors(round_for(learned, 4, 2, trains=[])).score
    assert scores == (None,)  # nobody trains, nothing changes


def test_frozen_models_stay_frozen(opened):  # noqa: F811
    fleet, learned = opened(together())
    fleet.train_rejectors(round_for(learned, 6))
    fleet.merge(Merge(1, everybody(6), everybody(6)))
    assert fleet.client_hashes() == learned.client_hashes


@pytest.mark.parametrize("merge", ["average", "laplace"])
@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_restored_fleet_goes_on_to_the_same_bytes(merge, when, opened):  # noqa: F811
    """Kept before the first round, between training and merging, after merging."""
    wanted = together(merge=merge)
    one, learned = opened(wanted)
    steps = [
        lambda fleet: fleet.train_rejectors(round_for(learned, 6, 1)),
        lambda fleet: fleet.merge(Merge(1, everybody(6)[1:], everybody(6)[:5])),
        lambda fleet: fleet.train_rejectors(round_for(learned, 6, 2, trains=[0, 1, 5])),
        lambda fleet: fleet.merge(Merge(2, everybody(6), everybody(6))),
    ]
    done = {"before": 0, "between": 1, "after": 2}[when]
    for step in steps[:done]:
        step(one)
    state = kept(one)
    expected = [step(one) for step in steps[done:]]
    other = opened.blank(wanted)
    other.restore(state)
    other.decide()
    other.restore(state)
    for step, update in zip(steps[done:], expected, strict=True):
        same_update(step(other), update)


def same_update(one: Update, other: Update) -> None:
    assert one.server_label is None
    assert other.server_label is None
    for mine, theirs in zip(one.score, other.score, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert repr(one.learning) == repr(other.learning)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bytes_on_any_number_of_workers(workers, opened):  # noqa: F811
    """70 clients are two blocks, which two workers share; the state is asked for between the rounds."""
    groups = (group(clients=70, model=model(variants=3)), group("others", clients=3))
    wanted, told = together(*groups, merge="laplace"), []
    for each in (0, workers):
        fleet, learned = opened(wanted, each)
        updates = [fleet.train_rejectors(round_for(learned, 73))]
        updates.append(fleet.merge(Merge(1, everybody(73), everybody(73))))
        fleet.state()
        updates.append(fleet.train_rejectors(round_for(learned, 73, 2)))
        told.append([fingerprint(one) for one in (learned, *updates)])
    assert told[0] == told[1]


@pytest.mark.ray
@pytest.mark.slow
def test_neighbours_and_unequal_devices_learn_the_same_on_any_number_of_workers(opened):  # noqa: F811
    """Clusters across blocks, samples that were handed over and condensed, and steps of each client."""
    near = {"size": 4, "hand_over": {"sample_bytes": 1}}
    wanted = together(
        group(clients=70, model=model(variants=3)), neighbours=near, holds=12, unequal={"step": 0.05}
    )
    told, who = [], everybody(70)
    for workers in (0, 2):
        fleet, learned = opened(wanted, workers)
        places = learned.traffic[0][0].positions[:70].astype(np.int32)
        chance, counts = np.full(70, 0.5, np.float32), np.full(70, 2.0)
        handed = HandedOver(who, places, places % 2 == 0, chance, counts)
        one = replace(round_for(learned, 70), handed=handed, steps=(who % 9 + 1).astype(np.int32))
        updates = [fleet.train_rejectors(one)]
        updates.append(fleet.merge(Merge(1, who, who, clusters=(who // 12 * 12 + who % 3).astype(np.int32))))
        fleet.state()
        updates.append(fleet.train_rejectors(replace(round_for(learned, 70, 2), handed=handed)))
        told.append([fingerprint(one) for one in (learned, *updates)])
    assert told[0] == told[1]


@pytest.mark.parametrize("how", ["average", "laplace"])
def test_neighbours_that_upload_as_one_give_what_all_would(opened, how):  # noqa: F811
    """Clusters of two give the scores of uploads one by one, and clusters of one their bytes."""
    found = []
    for neighbours in (None, {"size": 2}, {"size": 1}):
        fleet, learned = opened(together(merge=how, neighbours=neighbours))
        fleet.train_rejectors(round_for(learned, 6))
        whole = np.array([0, 1, 0, 1, 4, 5], dtype=np.int32)  # models take turns: 0, 2 and 4 have one
        clusters = {None: whole[:0], 2: whole, 1: everybody(6)}[neighbours and neighbours["size"]]
        update = fleet.merge(Merge(1, everybody(6), everybody(6), clusters=clusters))
        assert update.score[0] is not None
        found.append(update.score[0])
    each, pairs, single = found
    assert single.tobytes() == each.tobytes()
    np.testing.assert_allclose(pairs, each, rtol=1e-4, atol=1e-4)
