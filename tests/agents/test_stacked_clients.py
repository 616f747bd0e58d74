"""Frozen clients trained together: each becomes what it would be alone, to the bit."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from small_fleets import FEW, NOISY, group, model, model_of, scenario

from agents.backends.client_shard import ClientShard
from agents.models import stacked_clients
from agents.models.families import new_model
from agents.models.frozen import (
    FrozenClient,
    Recipe,
    learning_rate,
    recipe_for,
    stacks,
    train,
    weights_of,
)
from agents.models.stacked_clients import MOST_ROWS, rows_at_once
from agents.models.training import batch_order, classifier_step, to_tensor
from agents.plan import CLIENT_BATCH, Plan, make_plan
from sim.errors import RunFailed
from sim.streams import key, stream

MOST = 300
ONE_SIDED = {"kind": "dirichlet", "alpha": 0.001}  # few classes, which run out
SHAPES = {
    "linear": {"family": "linear"},
    "mlp": {"family": "mlp"},
    "one small batch": {"family": "linear", "train_samples": 21},
    "resized": {"family": "mlp", "train_samples": 37, "image_size": 11, "epochs": 1},
}


@cache
def recipes(shape: str) -> list[Recipe]:
    plan = make_plan(scenario(group(clients=MOST, model=model(variants=MOST, **SHAPES[shape]))))
    return [recipe_for(plan, variant) for variant in plan.variants]


@cache
def alone(shape: str, row: int) -> FrozenClient:
    return train([recipes(shape)[row]])[0]


def the_same(one: FrozenClient, other: FrozenClient) -> bool:
    curves = all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("steps", "loss", "accuracy")
    )
    return curves and one.weight_hash == other.weight_hash


@pytest.mark.parametrize("rows", [2, 7, 64, MOST])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_client_has_the_same_bits_in_every_company(shape: str, rows: int) -> None:
    summed = train(recipes(shape)[:rows])
    looked_at = {0, 1, rows // 2, rows - 1}
    assert all(the_same(summed[row], alone(shape, row)) for row in looked_at)
    assert len({client.weight_hash for client in summed}) == rows


@pytest.mark.parametrize("family", ["linear", "mlp"])
@pytest.mark.parametrize(
    ("picture", "classes", "samples"),
    [((3, 15, 7), 11, 5), ((3, 12, 10), 9, 31), ((1, 13, 13), 7, 1), ((3, 13, 11), 4, 2), ((1, 3, 3), 7, 32)],
)
def test_nor_where_rows_would_begin_anywhere_in_memory(
    family: str, picture: tuple[int, int, int], classes: int, samples: int
) -> None:
    rng = np.random.default_rng(1)
    of_size = [
        Recipe(
            owner="a client",
            family=family,
            image_size=None,
            classes=classes,
            epochs=4,
            seed=0,
            place=0,
            number=number,
            images=rng.normal(size=(samples, *picture)).astype(np.float32),
            labels=rng.integers(0, classes, samples).astype(np.int16),
        )
        for number in range(9)
    ]
    summed = train(of_size)
    assert all(the_same(client, train([recipe])[0]) for client, recipe in zip(summed, of_size, strict=True))
    shape = new_model(family, picture, classes, 0).state_dict()
    assert {name: array.shape for name, array in summed[0].weights.items()} == {
        name: tuple(tensor.shape) for name, tensor in shape.items()
    }


def test_nor_does_its_place_matter() -> None:
    few = recipes("mlp")[:5]
    assert all(map(the_same, train(few), reversed(train(few[::-1]))))


def one_by_one(recipe: Recipe) -> tuple[dict[str, np.ndarray], list[tuple[float, float]]]:
    """A client as one module trained by a plain loop; per step the loss and accuracy."""
    entity = (recipe.place, recipe.number)
    seed = key(recipe.seed, "client model", *entity)
    network = new_model(recipe.family, recipe.images.shape[1:], recipe.classes, seed, recipe.image_size)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate(recipe.family))
    images, labels = to_tensor(recipe.images), to_tensor(recipe.labels.astype(np.int64))
    order = batch_order([stream(recipe.seed, "client order", *entity)], len(labels), CLIENT_BATCH)
    told = []
    for _ in range(recipe.epochs * -(-len(labels) // CLIENT_BATCH)):
        chosen = torch.from_numpy(next(order)[0])
        told.append(classifier_step(network, optimiser, images[chosen], labels[chosen]))
    return weights_of(network), told


@pytest.mark.parametrize("family", ["linear", "mlp", "small_cnn", "lenet5"])
def test_a_plain_loop_over_modules_comes_to_the_same(family: str) -> None:
    """Up to rounding: initial draws, order of batches, steps and curves are the recipe's own."""
    plan = make_plan(scenario(group(model=model_of(family, variants=3))))
    of_plan = [recipe_for(plan, variant) for variant in plan.variants]
    for recipe, client in zip(of_plan, ClientShard(plan).train_clients(plan.variants), strict=True):
        weights, told = one_by_one(recipe)
        assert list(client.weights) == list(weights)
        for name, array in weights.items():
            np.testing.assert_allclose(client.weights[name], array, rtol=0, atol=1e-5)
        loss, accuracy = np.array(told).reshape(recipe.epochs, -1, 2).mean(axis=1).T
        np.testing.assert_allclose(client.loss, loss, rtol=1e-5)
        np.testing.assert_array_equal(client.accuracy, accuracy)


@cache
def a_mixed_fleet() -> Plan:
    """Models of one shape in two groups, of another family, with few or unequal numbers of samples."""
    return make_plan(
        scenario(
            group("plain", model=model(variants=3)),
            group("noisy", partition=NOISY, model=model(variants=2)),
            group("few", partition=FEW, model=model(variants=2)),
            group("skewed", partition=ONE_SIDED, model=model(variants=5, train_samples=200)),
            group("deep", model=model_of("small_cnn", variants=2, epochs=1)),
        )
    )


def test_those_of_one_shape_are_trained_together() -> None:
    plan = a_mixed_fleet()
    made = stacks(plan, plan.variants)
    samples = {v: len(plan.trains_on[v.group][v.number]) for v in plan.variants}
    assert sorted(variant for alike in made for variant in alike) == list(plan.variants)
    assert {v.group for v in made[0]} == {0, 1}
    assert len(made[0]) == 5
    assert all(len({samples[v] for v in alike}) == 1 for alike in made)
    assert len({samples[v] for v in plan.variants if v.group == 3}) > 1
    assert [len(alike) for alike in made if alike[0].group == 4] == [1, 1]


def test_whatever_a_shard_trains_comes_in_its_order_and_as_if_alone() -> None:
    plan = a_mixed_fleet()
    backwards = plan.variants[::-1]
    told: list[tuple[int, int]] = []
    made = ClientShard(plan).train_clients(backwards, lambda *each: told.append(each))
    for variant, client in zip(backwards, made, strict=True):
        assert the_same(client, train([recipe_for(plan, variant)])[0])
    assert all(early < late for (early, _), (late, _) in pairwise(told))
    assert told[-1] == (14, 14)


def test_a_stack_is_no_larger_than_memory_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (1, 8, 8)
    assert rows_at_once("linear", shape, 10, 200, None) == MOST_ROWS
    assert rows_at_once("small_cnn", shape, 10, 200, None) == 1
    weights, pixels = 4 * (64 * 10 + 10), 200 * 64  # with gradients and two moments
    monkeypatch.setattr(stacked_clients, "MOST_BYTES", 4 * 7 * (weights + pixels))
    assert rows_at_once("linear", shape, 10, 200, None) == 7
    assert rows_at_once("linear", shape, 10, 201, None) == 6
    assert rows_at_once("linear", shape, 10, 10_000, None) == 1


def test_a_client_that_diverges_is_named_among_the_others() -> None:
    plan = make_plan(scenario(group(model=model(variants=5))))
    of_plan = [recipe_for(plan, variant) for variant in plan.variants]
    of_plan[3].images[17] = np.inf
    said = []
    for stacked in (of_plan, of_plan[3:4]):
        with pytest.raises(
            RunFailed, match=r"'build': group sensors, client model 3: the loss is nan at step"
        ) as one:
            train(stacked)
        said.append(str(one.value))
    assert said[0] == said[1]
