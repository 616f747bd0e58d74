"""Frozen clients: they learn what they are shown, and then nothing can change them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_fleets import PARTITIONS, SMALL_FAMILIES, group, model, model_of, scenario

from agents.backends.client_shard import ClientShard
from agents.models import families, frozen
from agents.models.frozen import Recipe, hash_of, live_model, recipe_for, train, weights_of
from agents.models.training import batch_order, read
from agents.plan import Variant, make_plan
from sim.errors import RunFailed
from sim.streams import stream

FIRST = Variant(0, 0)
OF_TORCHVISION = "torchvision:mobilenet_v3_small"  # with batch norm, and a dropout that draws


def recipe_of(epochs: int = 2, **changes: object) -> Recipe:
    return recipe_for(make_plan(scenario(group(model=model(epochs=epochs, **changes)))), FIRST)


@pytest.mark.parametrize("family", [*SMALL_FAMILIES, OF_TORCHVISION])
def test_training_again_gives_the_same_bytes(family: str) -> None:
    recipe = recipe_for(make_plan(scenario(group(model=model_of(family)))), FIRST)
    first, again = train([recipe])[0], train([recipe])[0]
    assert first.weight_hash == again.weight_hash == hash_of(first.weights)
    assert first.loss.tobytes() == again.loss.tobytes()


@pytest.mark.parametrize("kind", PARTITIONS)
@pytest.mark.parametrize("family", SMALL_FAMILIES)
def test_every_family_learns_from_every_partition(family: str, kind: str) -> None:
    plan = make_plan(scenario(group(partition=PARTITIONS[kind], model=model_of(family, epochs=10))))
    client = train([recipe_for(plan, FIRST)])[0]
    assert client.loss[-1] < client.loss[0]
    assert client.accuracy[-1] > client.accuracy[0]
    assert client.steps[-1] == 10 * -(-len(plan.trains_on[0][0]) // 32)


def test_a_client_knows_what_it_was_shown_only() -> None:
    plan = make_plan(
        scenario(group(partition=PARTITIONS["missing"], model=model(train_samples=200, epochs=30)))
    )
    live = live_model(plan, FIRST, train([recipe_for(plan, FIRST)])[0].weights)
    unseen = plan.pools.traffic[plan.labels(plan.pools.traffic) >= 7]
    seen = plan.pools.traffic[plan.labels(plan.pools.traffic) < 7]
    right = [
        (read(live, plan.images[ids]).logits.argmax(dim=1).numpy() == plan.labels(ids)).mean()
        for ids in (seen, unseen)
    ]
    assert right[0] > 0.85
    assert right[1] == 0.0


def test_nothing_can_train_a_live_model() -> None:
    plan = make_plan(scenario())
    live = live_model(plan, FIRST, train([recipe_for(plan, FIRST)])[0].weights)
    before = hash_of(weights_of(live))
    logits, _ = live(torch.ones(1, 1, 8, 8))
    assert not live.training
    assert not logits.requires_grad
    assert hash_of(weights_of(live)) == before


def test_the_hash_sees_every_bit_name_and_shape() -> None:
    weights = {"a": np.zeros(4, dtype=np.float32), "b": np.ones(2, dtype=np.float32)}
    changed = [
        {**weights, "a": np.array([0, 0, 0, 1e-45], dtype=np.float32)},
        {**weights, "a": np.zeros((2, 2), dtype=np.float32)},
        {**weights, "a": np.zeros(4, dtype=np.int32)},
        {"a": weights["a"], "c": weights["b"]},
    ]
    assert len({hash_of(each) for each in (weights, *changed)}) == 5
    assert hash_of(dict(reversed(weights.items()))) == hash_of(weights)


def test_a_recipe_differs_with_whatever_changes_the_client() -> None:
    recipe = recipe_of()
    brighter = recipe.images.copy()
    brighter[0, 0, 0, 0] += 0.5
    others = [
        replace(recipe, family="mlp"),
        replace(recipe, image_size=9),
        replace(recipe, epochs=3),
        replace(recipe, seed=8),
        replace(recipe, number=1),
        replace(recipe, place=1),
        replace(recipe, images=brighter),
        replace(recipe, labels=recipe.labels[::-1].copy()),
    ]
    assert len({each.digest for each in (recipe, *others)}) == 9
    assert replace(recipe, owner="somebody else").digest == recipe.digest


def test_a_loss_that_is_no_number_names_its_client() -> None:
    recipe = recipe_of()
    recipe.images[3] = np.nan
    with pytest.raises(
        RunFailed, match=r"stage 'build': group sensors, client model 0: the loss is nan at step"
    ):
        train([recipe])


def test_weights_that_are_no_numbers_are_never_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch, so that its loss is seen before the step that breaks the weights."""
    monkeypatch.setattr(frozen, "learning_rate", lambda _family: float("inf"))
    with pytest.raises(
        RunFailed, match=r"stage 'build': group sensors, client model 0: .* weight that is not"
    ):
        train([recipe_of(epochs=1, train_samples=20)])


def test_a_live_model_that_answers_nonsense_is_named() -> None:
    plan = make_plan(scenario())
    weights = train([recipe_for(plan, FIRST)])[0].weights
    weights["head.bias"][2] = np.nan
    shard = ClientShard(plan)
    shard.adopt([FIRST], {FIRST: weights})
    with pytest.raises(RunFailed, match=r"stage 'decide': group sensors, client model 0: an answer is not"):
        shard.answer([FIRST], np.zeros(540, dtype=np.int16))


def test_a_live_model_draws_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(scenario())
    weights = train([recipe_for(plan, FIRST)])[0].weights
    monkeypatch.setattr(families, "initialise", lambda *_: pytest.fail("weights were drawn"))
    assert hash_of(weights_of(live_model(plan, FIRST, weights))) == hash_of(weights)


@pytest.mark.parametrize("fact", ["platform.machine", "torch.backends.cpu.get_cpu_capability"])
def test_another_processor_is_another_recipe(fact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels may differ in the last bit, and a cache may lie on a shared disk."""
    here = recipe_of().digest
    monkeypatch.setattr(fact, lambda: "another")
    assert recipe_of().digest != here


def test_batches_walk_through_permutations() -> None:
    """Law: after each whole pass every sample was drawn equally often, by every row."""
    order = batch_order([stream(7, "test", row) for row in range(3)], size=10, batch=4)
    batches = [next(order) for _ in range(5)]
    drawn = np.concatenate(batches, axis=1)
    assert drawn.shape == (3, 20)
    for row in drawn:
        assert sorted(row[:10]) == sorted(row[10:]) == list(range(10))
    assert not np.array_equal(drawn[0], drawn[1])


def test_a_batch_is_never_larger_than_the_pool() -> None:
    assert next(batch_order([stream(7, "test")], size=3, batch=64)).shape == (1, 3)


def test_a_client_of_torchvision_answers_the_same_from_its_weights() -> None:
    """Batch norm's running numbers and its integer count are part of what is frozen."""
    plan = make_plan(scenario(group(model=model(family=OF_TORCHVISION))))
    client = train([recipe_for(plan, FIRST)])[0]
    counts = [array for name, array in client.weights.items() if name.endswith("num_batches_tracked")]
    assert counts
    assert all(count.dtype == np.int64 and count == client.steps[-1] for count in counts)
    live = live_model(plan, FIRST, client.weights)
    assert hash_of(weights_of(live)) == client.weight_hash
    logits = [read(live, plan.images[plan.pools.traffic]).logits for _ in range(2)]
    assert torch.equal(*logits)
    assert hash_of(weights_of(live)) == client.weight_hash
