"""Servers that begin with what their clients together say: laws of the ensemble, and of who imitates it.

Unless a test says otherwise: digits, ten clients with a linear model each, trained on 60 samples, and a
server that sees no label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_fleets import MISSING, SKEWED, group, learn, model, scenario

from agents.backends.client_shard import ClientShard
from agents.backends.in_process import InProcess
from agents.backends.scattering import scatter
from agents.evaluation.answers import server_right
from agents.federation.ensemble import Ensemble, Teacher, chances_of
from agents.fleet import Fleet, open_fleet
from agents.plan import Plan, make_plan
from agents.server.model import ServerModel
from agents.server.steps import labelled
from agents.warm_start import teacher_of, wrong_of
from sim.errors import BadInput
from sim.messages import hash_of
from sim.scenario import Scenario, read

CLASSES = 10


def imitating(*groups: dict[str, Any], share: float = 0.0, server: str = "mlp", **keys: Any) -> Scenario:
    """share: of the server's pool that has labels."""
    groups = groups or (group(clients=10, model=model(variants=10, epochs=20, train_samples=60)),)
    asked = scenario(*groups, server=server)
    training = {"form": "nonnegative", "pretrain": {"epochs": 2, "labelled": share}, "warm_start": keys}
    return Scenario.model_validate(asked.model_dump() | {"training": training})


@contextmanager
def built(asked: Scenario, cache: Path, **brought: Any) -> Iterator[Fleet]:
    with open_fleet(asked, workers=0, cache=cache, **brought) as fleet:
        fleet.build()
        yield fleet


def taught(asked: Scenario, cache: Path, **brought: Any) -> Teacher:
    with built(asked, cache, **brought) as fleet:
        return teacher_of(fleet._plan, fleet._backend)


# The ensemble.

logits = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(2, 7)).flatmap(
    lambda shape: st.tuples(
        arrays(np.float32, shape, elements=st.floats(-30, 30, width=32)),
        arrays(np.float64, shape[0], elements=st.floats(0.01, 100)),
        arrays(np.int64, shape[1], elements=st.integers(0, shape[2] - 1)),
    )
)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@given(logits)
def test_together_they_are_no_less_likely_right_than_on_average(average, drawn):
    said, weights, label = drawn
    together = Ensemble(average)
    for one, weight in zip(said, weights, strict=True):
        together.add(one, weight)
    rows = np.arange(len(label))
    each = [-np.log(chances_of(one)[rows, label]).mean() for one in said]
    assert -np.log(together.chances()[rows, label]).mean() <= np.average(each, weights=weights) + 1e-9


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_one_model_is_its_own_ensemble_and_weights_are_shares(average):
    said = np.random.default_rng(0).normal(size=(2, 5, 3))
    alone, uneven, thrice = Ensemble(average), Ensemble(average), Ensemble(average)
    alone.add(said[0], 0.3)
    assert np.allclose(alone.chances(), chances_of(said[0]), atol=1e-12)
    uneven.add(said[0], 3.0)
    uneven.add(said[1], 1.0)
    for place in (0, 1, 0, 0):
        thrice.add(said[place], 1.0)
    assert np.allclose(uneven.chances(), thrice.chances(), atol=1e-12)
    with pytest.raises(ValueError, match="nobody"):
        Ensemble(average).chances()


# What the clients upload.


def test_the_teacher_is_the_mean_over_clients_each_through_its_own_sensor(cache):
    """Five clients share three models: two of them count twice. Noisy ones are asked about noisy pictures."""
    noisy = {"kind": "domain_shift", "noise": 0.4}
    asked = imitating(
        group("clear", clients=5, model=model(variants=3)),
        group("noisy", clients=1, model=model(family="mlp"), partition=noisy, traffic={"mix": "own"}),
    )
    with built(asked, cache) as fleet:
        plan = fleet._plan
        found = teacher_of(plan, fleet._backend)
        shard = fleet._backend._shard
        said = {one: shard.says([one], plan.server_pool)[0] for one in plan.variants}
        live = {one: shard._models[one] for one in plan.variants}
    expected = np.average([chances_of(one) for one in said.values()], axis=0, weights=[2, 2, 1, 1])
    assert np.allclose(found.pool, expected, atol=1e-6)
    assert found.clients == 6
    seen = plan.images[plan.in_view(plan.server_pool, plan.view_of[1])]
    direct = live[plan.variants[3]](torch_of(seen))[0].detach().numpy()
    assert plan.view_of[1] != 0
    assert np.allclose(said[plan.variants[3]], direct, atol=1e-4)


def torch_of(images: np.ndarray) -> Any:
    from agents.models.training import to_tensor  # noqa: PLC0415

    return to_tensor(images)


def test_who_is_right_more_often_counts_more_if_so_asked(cache):
    good, bad = model(epochs=40, train_samples=120), model(epochs=1, train_samples=10)
    groups = (group("good", clients=1, model=good), group("bad", clients=1, model=bad))
    with built(imitating(*groups, weigh="accuracy"), cache) as fleet:
        plan = fleet._plan
        found = teacher_of(plan, fleet._backend)
        base = np.concatenate([plan.server_pool, plan.pools.calibration])
        said = [fleet._backend._shard.says([one], base)[0] for one in plan.variants]
    label = plan.labels(plan.pools.calibration)
    right = [(one[len(plan.server_pool) :].argmax(axis=1) == label).sum() for one in said]
    assert right[0] > 2 * right[1]
    expected = np.average([chances_of(one) for one in said], axis=0, weights=np.add(right, 1))
    assert np.allclose(found.pool, expected[: len(plan.server_pool)], atol=1e-6)


def test_networks_do_not_matter_to_the_teacher_only_what_they_say(cache):
    """A fleet of three kinds of networks, and one of plain functions that say what these do."""
    kinds = ("linear", "mlp", "small_cnn")
    asked = imitating(*(group(kind, clients=1, model=model(family=kind)) for kind in kinds))
    with built(asked, cache) as fleet:
        networks = {v.group: m for v, m in fleet._backend._shard._models.items()}
        first = teacher_of(fleet._plan, fleet._backend)

    def says(place: int) -> Any:
        return lambda images: networks[place](torch_of(images))[0].detach().numpy()

    functions = {f"fleet.{kind}": says(place) for place, kind in enumerate(kinds)}
    others = imitating(*(group(kind, clients=1, model=model()) for kind in kinds))
    second = taught(others, cache, models=functions)
    assert np.allclose(first.pool, second.pool, atol=1e-5)
    assert np.allclose(first.calibration, second.calibration, atol=1e-5)


class Shards(InProcess):
    """Several shards in one process."""

    def __init__(self, shards: int) -> None:
        self.shards = shards

    def start(self, plan: Plan) -> None:
        self._all = [ClientShard(plan) for _ in range(self.shards)]

    def ask_shards(self, method: str, calls: Sequence[Any], _tick: Any = None) -> list[Any]:
        return [getattr(one, method)(*given) for one, given in zip(self._all, calls, strict=True)]


@pytest.mark.parametrize("shards", [1, 3, 4])
def test_the_number_of_shards_moves_no_bit_of_the_teacher(shards, cache):
    asked = imitating(group(clients=10, model=model(variants=10)))
    with built(asked, cache) as fleet:
        expected = teacher_of(fleet._plan, fleet._backend)
        weights = {variant: frozen.weights for variant, frozen in fleet._frozen.items()}
    backend = Shards(shards)
    backend.start(fleet._plan)
    shares = scatter(fleet._plan.variants, shards)
    backend.ask_shards("adopt", [(list(share), weights) for share in shares])
    assert teacher_of(fleet._plan, backend).pool.tobytes() == expected.pool.tobytes()


def test_brought_clients_are_asked_about_the_pool_of_a_server_that_specialises(cache):
    """Whom specialising takes for wrong: they had never been asked about that pool."""
    asked = scenario(training={"specialise": True, "pretrain": {"epochs": 1}})
    with built(
        asked, cache, models={"fleet.sensors": lambda images: images.reshape(len(images), -1)[:, :10]}
    ) as fleet:
        plan = fleet._plan
        (wrong,) = wrong_of(plan, fleet._backend)
    answer = plan.images[plan.server_pool].reshape(len(plan.server_pool), -1)[:, :10].argmax(axis=1)
    assert (wrong == (answer != plan.labels(plan.server_pool))).all()


# Who imitates.


def test_what_is_uploaded_is_four_bytes_a_class_and_sample_of_each_client(cache):
    found = learn(imitating(), cache).warm_start
    plan = make_plan(imitating())
    samples = len(plan.server_pool) + len(plan.pools.calibration)
    assert found["bytes_up"] == [10 * 4 * CLASSES * samples]
    assert found["samples"] == [len(plan.server_pool)]
    assert found["labelled"] == [0]
    assert "warm_start" not in {k for k, v in vars(learn(scenario(), cache)).items() if v}


@pytest.mark.slow
def test_one_client_can_be_imitated_to_nothing(cache):
    """A linear student of a linear client: KL falls with the passes, to next to nothing."""
    one = group(clients=1, model=model(epochs=20))
    fell = [
        learn(imitating(one, server="linear", epochs=epochs, lr=0.01, patience=epochs), cache).warm_start
        for epochs in (3, 30, 300)
    ]
    kl = [found["kl"][0] for found in fell]
    assert kl[0] > 3 * kl[1] > 9 * kl[2]
    assert kl[2] < 2e-3
    assert fell[2]["agreement"][0] > 0.97


@pytest.mark.parametrize("partition", [{"kind": "iid"}, SKEWED])
def test_while_it_imitates_asking_wins_what_all_together_know_better(partition, cache):
    """At most P(client wrong and all together right), but for four standard errors of where both differ."""
    some = model(variants=10, epochs=20, train_samples=60)
    asked = imitating(group(clients=10, model=some, partition=partition))
    with built(asked, cache) as fleet:
        plan = fleet._plan
        fleet.learn()
        learned = fleet.decide()
        at = plan.samples.sample_id[plan.samples.held_out & (plan.samples.view == 0)]
        together = Ensemble("probabilities")
        for one in plan.variants:
            together.add(fleet._backend._shard.says([one], at)[0], 1.0)
    held_out = plan.samples.held_out
    wrong = learned.tables.groups[0].client_label[:, held_out] != plan.samples.label[held_out]
    right = server_right(plan, learned.tables.server_label)[held_out]
    best = together.chances().argmax(axis=1) == plan.samples.label[held_out]
    wins, bound = (wrong & right).mean(), (wrong & best).mean()
    assert bound > 0.05
    assert wins <= bound + 4 * np.sqrt((right != best).mean() / len(best))
    assert wins > 0.5 * bound  # it does imitate them


def test_a_class_that_no_client_knows_stays_unknown(cache):
    """0 of those classes would be right; by chance one in ten, here with four standard errors."""
    some = group(clients=10, model=model(variants=10, epochs=20), partition=MISSING)
    learned = learn(imitating(some), cache)
    samples = learned.samples
    right = learned.tables.server_label == samples.label
    unknown = samples.held_out & np.isin(samples.label, MISSING["classes"])
    known = samples.held_out & ~np.isin(samples.label, MISSING["classes"])
    n = unknown.sum()
    assert right[unknown].mean() <= 1 / CLASSES + 4 * np.sqrt(0.1 * 0.9 / n)
    assert right[known].mean() > 0.7


def test_no_label_of_the_pool_is_looked_at():
    """Other labels of the server's pool, the same student."""
    plan = make_plan(imitating())
    draw = np.random.default_rng(3)
    teacher = Teacher(
        *(
            chances_of(draw.normal(size=(len(p), CLASSES))).astype(np.float32)
            for p in (plan.server_pool, plan.pools.calibration)
        ),
        clients=10,
    )
    answers = []
    for shift in (0, 1):
        other = make_plan(imitating())
        other.data.labels.flags.writeable = True
        kept = other.data.labels[other.server_pool].copy()
        other.data.labels[other.server_pool] = (kept + shift) % CLASSES
        student = ServerModel(other)
        student.imitate(teacher)
        student.pretrain()
        answers.append(student.labels())
        other.data.labels[other.server_pool] = kept
    assert answers[0].tobytes() == answers[1].tobytes()


def test_the_best_weights_are_kept_and_it_ends_when_nothing_gets_better():
    plan = make_plan(imitating(lr=1.0, patience=3, epochs=50))
    draw = np.random.default_rng(3)
    pool, calibration = (
        chances_of(draw.normal(size=(len(p), CLASSES))).astype(np.float32)
        for p in (plan.server_pool, plan.pools.calibration)
    )
    student = ServerModel(plan)
    before = student.labels()
    found = student.imitate(Teacher(pool, calibration, 10))["model"]
    assert found.epochs == found.kept + 3 < 50
    assert found.kl <= found.kl_before
    if not found.kept:
        assert student.labels().tobytes() == before.tobytes()


# Labels.


def test_shares_of_labels_are_nested_and_all_of_them_are_all():
    few, more, every = (labelled(make_plan(imitating(share=share))) for share in (0.1, 0.4, 1.0))
    size = len(make_plan(imitating()).server_pool)
    assert (len(few), len(more)) == (np.ceil(0.1 * size), np.ceil(0.4 * size))
    assert set(few) < set(more)
    assert every.tolist() == list(range(size))


def test_a_server_learns_from_its_labels_alone():
    """Other labels of the rest change nothing, other labels of these do."""
    plans = [make_plan(imitating(share=0.2)) for _ in range(3)]
    mine = plans[0].server_pool[labelled(plans[0])]
    rest = np.setdiff1d(plans[0].server_pool, mine)
    curves = []
    for plan, changed in zip(plans, (mine[:0], rest, mine), strict=True):
        plan.data.labels.flags.writeable = True
        kept = plan.data.labels.copy()
        plan.data.labels[changed] = (kept[changed] + 1) % CLASSES
        curves.append(ServerModel(plan).pretrain().loss.tolist())
        plan.data.labels[:] = kept
    assert curves[0] == curves[1] != curves[2]


def test_labels_count_for_more_beside_what_clients_say(cache):
    """54 labels, after the clients together or without them; ten clients of 78%."""
    warm = imitating(share=0.1)
    cold = warm.model_copy(update={"training": warm.training.model_copy(update={"warm_start": None})})
    found = []
    for asked in (warm, cold):
        learned = learn(asked, cache)
        held_out = learned.samples.held_out
        found.append((learned.tables.server_label == learned.samples.label)[held_out].mean())
    assert found[0] > found[1] + 0.05


def test_a_restored_fleet_tells_the_same(cache):
    asked = imitating(share=0.1)
    with built(asked, cache) as fleet:
        fleet.learn()
        first, state = fleet.decide(), fleet.state()
    with built(asked, cache) as again:
        again.restore(state)
        second = again.decide()
    assert hash_of(first.tables) == hash_of(second.tables)
    assert second.warm_start == first.warm_start


@pytest.mark.ray
@pytest.mark.slow
def test_workers_change_nothing_of_a_warm_start(cache):
    asked = imitating(share=0.1)
    alone = learn(asked, cache)
    with open_fleet(asked, workers=2, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        scattered = fleet.decide()
    assert hash_of(alone.tables) == hash_of(scattered.tables)
    pd.testing.assert_frame_equal(pd.DataFrame(alone.warm_start), pd.DataFrame(scattered.warm_start))


# Bad input.


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (["training.warm_start.average=logit"], "did you mean.*logits|logits"),
        (["training.warm_start.epoch=3"], "did you mean epochs"),
        (["training.warm_start.patience=0"], "training.warm_start.patience"),
        (["training.warm_start.lr=0"], "training.warm_start.lr"),
        (["training.pretrain.labelled=1.5"], "training.pretrain.labelled"),
        (["training.warm_start=null", "training.pretrain.labelled=0"], "or set warm_start"),
        (["training.shared_batch=true"], "rejectors need the labels of a shared_batch: must be 1"),
        (["training.pretrain.labelled=0", "training.specialise=true"], "must be greater than 0"),
        (["server.model.file=a.onnx"], "no model of the servers is trained: must be null"),
        (
            [
                "training.pretrain.labelled=0",
                "training.online={every_s: 50, steps: 1, step_s: 0, rejector_steps: 1, rejector_step_s: 0}",
            ],
            "learns from source: pool: must be greater than 0",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes, line):
    with pytest.raises(BadInput, match=line) as refused:
        read("warm_start", changes)
    assert "\n" not in str(refused.value)


def test_an_object_in_place_of_the_server_is_not_warm_started(cache):
    with (
        pytest.raises(BadInput, match=r"training\.warm_start: is for models that are trained"),
        open_fleet(
            imitating(), workers=0, cache=cache, models={"server": lambda images: np.ones((len(images), 10))}
        ),
    ):
        pass
