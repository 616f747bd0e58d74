"""Blocks of rejectors: the same bits wherever and beside whom they are trained."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_fleets import MISSING, NOISY, group, model, scenario
from torch import nn

from agents.models.families import new_model
from agents.models.frozen import live_model, recipe_for, train
from agents.models.training import batch_order
from agents.plan import Block, Plan, make_plan
from agents.rejectors.block_answers import Scored, own_scores, pieces_met
from agents.rejectors.blocks import RejectorBlock
from agents.rejectors.client_predictions import ClientPredictions, temperature
from agents.rejectors.inputs import INPUTS
from agents.rejectors.losses import FORMS, rejector_loss, rejector_weights
from agents.server.model import ServerModel
from agents.server.steps import rejector_batches
from sim.errors import RunFailed
from sim.registry.scores import SCORES
from sim.scenario import Scenario
from sim.streams import key, stream

Learnt = tuple[RejectorBlock, NDArray[np.float64]]


@cache
def plan_of(clients: int, family: str = "mlp", looks: str = "raw+features", variants: int = 1) -> Plan:
    rejector = {"family": family, "input": looks}
    return make_plan(
        scenario(group(clients=clients, partition=MISSING, model=model(variants=variants), rejector=rejector))
    )


def a_server(plan: Plan) -> NDArray[np.bool_]:
    """Answers that are right more and more often, as `Trajectory.correct`."""
    chance = np.linspace(0.1, 0.95, plan.steps)[:, None, None]
    shape = (len(plan.intervals), plan.steps, len(plan.rejector_views), 64)
    return stream(7, "test answers").random(shape) < chance


def settled(plan: Plan) -> NDArray[np.bool_]:
    """A server that is always right: the loss then falls because the rejectors learn."""
    return np.ones_like(a_server(plan))


def learn(plan: Plan, block: Block | None = None, correct: NDArray[np.bool_] | None = None) -> Learnt:
    learner = fresh(plan, block)
    return learner, learner.learn(a_server(plan) if correct is None else correct)


def fresh(plan: Plan, block: Block | None = None) -> RejectorBlock:
    models = {v: live_model(plan, v, train([recipe_for(plan, v)])[0].weights) for v in plan.variants}
    return RejectorBlock(plan, block or plan.blocks[0], ClientPredictions(plan, models))


@pytest.mark.parametrize("score", ["compare_confidence", "l2h"])
def test_a_score_that_believes_the_client_is_told_calibrated_probabilities(score: str) -> None:
    """By a temperature from the calibration pool alone; for other scores the client is left as it is."""
    policy = {"score": score, "price": {"kind": "threshold", "at": 0.1}}
    plan = make_plan(scenario(group(clients=2, model=model(variants=1), policy=policy)))
    (variant,) = plan.variants
    client = live_model(plan, variant, train([recipe_for(plan, variant)])[0].weights)
    pool = plan.samples.sample_id[plan.calibration(0)]
    logits = client(torch.from_numpy(plan.images[pool]))[0].detach()
    expected = temperature(logits, torch.from_numpy(plan.labels(pool))) if score != "l2h" else 1.0
    found = ClientPredictions(plan, {variant: client}).of([variant], pool).uncertainty[0]
    torch.testing.assert_close(found, 1 - torch.softmax(logits / expected, dim=1).max(dim=1).values)
    assert (expected == 1.0) == (score == "l2h")


@pytest.mark.parametrize("looks", INPUTS)
@pytest.mark.parametrize("family", ["linear", "mlp"])
def test_every_family_learns_from_every_input(family: str, looks: str) -> None:
    plan = plan_of(3, family, looks)
    learner, losses = learn(plan, correct=settled(plan))
    outputs = learner.outputs(plan.samples.sample_id)
    assert losses.shape == (2, 3)
    assert (losses[-1] < losses[0]).all()
    assert outputs.shape == (3, len(plan.samples.sample_id), 2)
    assert outputs.dtype == torch.float32
    assert outputs.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_trains(form: str) -> None:
    _, losses = learn(make_plan(scenario(form=form)))
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("score", [name for name, score in SCORES.items() if score.needs_rejector])
def test_every_trained_score_learns(score: str) -> None:
    policy = {"score": score, "price": {"kind": "threshold", "at": 0.0}}
    plan = make_plan(scenario(group(policy=policy), epochs=6))
    _, losses = learn(plan, correct=settled(plan))
    assert (losses[-1] < losses[0]).all()


def test_training_again_gives_the_same_bytes_and_clients_differ() -> None:
    plan = plan_of(3)
    first, again = (learn(plan)[0].outputs(plan.samples.sample_id) for _ in range(2))
    assert first.numpy().tobytes() == again.numpy().tobytes()
    assert not torch.equal(first[0], first[1])


def test_a_client_learns_the_same_in_a_small_and_in_a_large_fleet() -> None:
    """Bit for bit: its block is cut differently, its draws and its arithmetic are its own."""
    small, large = plan_of(3, variants=2), plan_of(64, variants=2)
    first, first_losses = learn(small)
    among_many, losses = learn(large)
    ids = small.samples.sample_id
    assert torch.equal(first.outputs(ids), among_many.outputs(ids)[:3])
    assert np.array_equal(first_losses, losses[:, :3])


def test_a_block_does_not_know_its_neighbours() -> None:
    """The second block of a group, trained without the first."""
    plan = plan_of(66)
    alone, _ = learn(plan, plan.blocks[1])
    ids = plan.samples.sample_id
    assert alone.outputs(ids).shape[0] == 2
    assert not torch.equal(alone.outputs(ids), learn(plan)[0].outputs(ids)[:2])


def test_a_setting_learns_the_same_alone_and_in_a_study() -> None:
    """Bit for bit, and on common random numbers: two settings of one client start from the same weights."""
    alone = make_plan(scenario(costs={"c_e": 0.3}))
    grid = make_plan(scenario(study={"c_e": (0.1, 0.3), "form": ("nonnegative", "paper")}))
    single, losses = learn(alone, correct=a_server(grid))
    among_others, all_losses = learn(grid)
    rows = [row for row, each in enumerate(among_others.settings) if each == single.settings[0]]
    ids = alone.samples.sample_id
    assert torch.equal(single.outputs(ids), among_others.outputs(ids)[rows])
    assert np.array_equal(losses, all_losses[:, rows])
    before = RejectorBlock(grid, grid.blocks[0], among_others._predictions).outputs(ids)
    assert torch.equal(before[0], before[rows[0]])


@pytest.mark.parametrize("interval", [1, 3, "epoch"])
@pytest.mark.parametrize("shared_batch", [False, True])
def test_it_equals_the_plain_algorithm(interval: int | str, shared_batch: bool) -> None:
    """One client, written out with torch's own modules: a batch and a step of the server, now and then a copy
    to the client side, a batch and a step of the rejector with that copy's answers."""
    asked = synchronised(
        scenario(
            group(clients=1, partition=MISSING),
            training={"form": "nonnegative", "shared_batch": shared_batch, "pretrain": {"epochs": 2}},
        ),
        interval,
    )
    plan = make_plan(asked)
    (variant,) = plan.variants
    client = live_model(plan, variant, train([recipe_for(plan, variant)])[0].weights)
    learner = RejectorBlock(plan, plan.blocks[0], ClientPredictions(plan, {variant: client}))
    inputs = learner._scale.apply(learner._inputs(learner._pool))
    (w1, b1), (w2, b2) = learner._rejectors.layers
    rejector = nn.Sequential(nn.Linear(*w1.shape[1:]), nn.ReLU(), nn.Linear(*w2.shape[1:]))
    with torch.no_grad():
        for ours, theirs in zip((w1[0].T, b1[0, 0], w2[0].T, b2[0, 0]), rejector.parameters(), strict=True):
            theirs.copy_(ours)

    server_ids, rejector_ids = plan.pools.server, plan.pools.rejector
    if shared_batch:
        server_ids = rejector_ids = np.sort(np.concatenate([server_ids, rejector_ids]))
    pixels, told = inputs.pixels.flatten(1), inputs.features[0]
    images, labels = (
        torch.from_numpy(plan.images[np.arange(plan.data.size * len(plan.shifts))]),
        torch.from_numpy(plan.data.labels.astype(np.int64)),
    )
    server = new_model("mlp", (1, 8, 8), 10, key(7, "server model"))
    copy = deepcopy(server)
    server_steps = torch.optim.Adam(server.parameters(), lr=1e-3)
    rejector_steps = torch.optim.Adam(rejector.parameters(), lr=1e-3)
    server_order = batch_order([stream(7, "server order")], len(server_ids), 64)
    rejector_order = batch_order([stream(7, "rejector order")], len(rejector_ids), 64)
    per_epoch = -(-len(server_ids) // 64)
    refreshed_every = per_epoch if interval == "epoch" else interval
    for step in range(2 * per_epoch):
        at = next(server_order)[0]
        ids = torch.from_numpy(server_ids[at]).long()
        server_steps.zero_grad()
        nn.functional.cross_entropy(server(images[ids])[0], labels[ids]).backward()
        server_steps.step()
        if (step + 1) % refreshed_every == 0:
            copy.load_state_dict(server.state_dict())
        if not shared_batch:
            at = next(rejector_order)[0]
        ids = torch.from_numpy(rejector_ids[at]).long()
        with torch.no_grad():
            client_correct = client(images[ids])[0].argmax(dim=1) == labels[ids]
            server_correct = copy(images[ids])[0].argmax(dim=1) == labels[ids]
        weights = rejector_weights(client_correct, server_correct, 0.1, 1.0, "nonnegative")
        rejector_steps.zero_grad()
        at_pool = torch.from_numpy(at)
        rejector_loss(rejector(torch.cat([pixels[at_pool], told[at_pool]], dim=1)), *weights).backward()
        rejector_steps.step()

    untrained = learner._rejectors.outputs(inputs).detach()
    learner.learn(ServerModel(plan).pretrain().correct)
    trained = learner._rejectors.outputs(inputs).detach()
    assert (trained - untrained).abs().max() > 0.1
    plain = rejector(torch.cat([pixels, told], dim=1)).detach()
    torch.testing.assert_close(trained[0], plain, atol=1e-4, rtol=1e-4)


def synchronised(asked: Scenario, interval: int | str) -> Scenario:
    """The scenario with any interval, also one that the vocabulary does not offer."""
    pretrain = asked.training.pretrain.model_copy(update={"sync_every": interval})
    return asked.model_copy(update={"training": asked.training.model_copy(update={"pretrain": pretrain})})


@pytest.mark.parametrize(("mix", "view"), [("own", 1), ("all", 0)])
def test_a_shifted_group_is_scored_on_what_it_sends(mix: str, view: int) -> None:
    """Its rejector's inputs are standardised over the rejector pool in the view that its requests come in."""
    plan = make_plan(scenario(group(partition=NOISY, traffic={"mix": mix})))
    learner, _ = learn(plan)
    pixels = plan.images[plan.pools.rejector + view * plan.data.size]
    np.testing.assert_allclose(learner._scale.of_pixels[0][0], pixels.mean(axis=0), atol=1e-5)


def test_a_rejector_learns_from_what_its_clients_meet_alone() -> None:
    """Under mix `own` it does not look at what the server makes of classes that never come."""
    for mix, is_same in (("own", True), ("all", False)):
        plan = make_plan(scenario(group(partition=MISSING, traffic={"mix": mix})))
        labels = plan.labels(plan.rejector_pool)[rejector_batches(plan)]
        right = np.broadcast_to(labels[None, :, None] < 9, a_server(plan).shape)
        other = right ^ (labels > 6)[None, :, None]
        (one, _), (two, _) = learn(plan, correct=right.copy()), learn(plan, correct=other.copy())
        outputs = [learner.outputs(plan.samples.sample_id) for learner in (one, two)]
        assert torch.equal(*outputs) == is_same


def test_a_loss_that_is_no_number_names_the_client() -> None:
    sound = scenario(group("meters"))
    pretrain = sound.training.pretrain.model_copy(update={"rejector_lr": 1e30})  # the schema forbids it
    steep = sound.training.model_copy(update={"pretrain": pretrain})
    plan = make_plan(sound.model_copy(update={"training": steep}))
    with pytest.raises(
        RunFailed, match=r"stage 'learn': group meters, rejector of client \d+: .* at step \d+"
    ):
        learn(plan)


def no_number(outputs: torch.Tensor) -> torch.Tensor:
    return outputs[..., 0] * 0.0 - torch.inf


def no_slope(outputs: torch.Tensor) -> torch.Tensor:
    """A loss of 0 whose gradient is no number: seen when the next loss is."""
    return (outputs[..., 0] - outputs[..., 0]).sqrt()


@pytest.mark.parametrize(
    ("bad", "at", "told"),
    [
        (no_number, 0, r"the loss is -inf at step 0, of outputs up to \d\S*$"),
        (no_number, 2, r"the loss is -inf at step 2, of outputs up to \d\S*; a smaller learning rate"),
        (no_slope, 2, r"the loss is nan at step 3, broken by step 2; a smaller learning rate"),
    ],
)
def test_a_loss_that_is_no_number_is_told_of_the_batch_that_it_comes_from(
    bad: Callable[[torch.Tensor], torch.Tensor], at: int, told: str
) -> None:
    plan = plan_of(3)
    learner = fresh(plan)
    sound, steps = learner._surrogate, count()

    def loss(outputs: torch.Tensor, batch: Any) -> torch.Tensor:
        each = sound.loss(outputs, batch)
        return each + bad(outputs) if next(steps) == at else each

    learner._surrogate = replace(sound, loss=loss)
    with pytest.raises(RunFailed, match=f"stage 'learn': group sensors, rejector of client 0: {told}"):
        learner.learn(a_server(plan))


def test_weights_that_are_no_numbers_name_the_client() -> None:
    """After the last step, when no loss is looked at any more."""
    plan = plan_of(3)
    learner, _ = learn(plan)
    with torch.no_grad():
        learner._rejectors.parameters[-1][1] = torch.nan
    with pytest.raises(RunFailed, match=r"stage 'decide': group sensors, rejector of client 1: a score is"):
        learner.outputs(plan.samples.sample_id)


@pytest.mark.parametrize("chosen", [False, True])
def test_samples_that_a_group_never_meets_are_not_scored_and_the_others_as_ever(monkeypatch, chosen):
    """Unless thresholds are chosen, which look at all. The sample axis has two views here."""
    monkeypatch.setattr("agents.rejectors.block_answers.CHUNK", 64)
    monkeypatch.setattr("agents.rejectors.blocks.SCORED_AT_ONCE", 32)
    monkeypatch.setattr("agents.models.training.CHUNK", 64)
    policy = {"score": "l2h"} if chosen else {"score": "l2h", "price": {"kind": "threshold", "at": 0.0}}
    noisy = {"kind": "domain_shift", "noise": 0.3}
    other = group("noisy", partition=noisy, traffic={"mix": "own"}, policy=policy)
    plan = make_plan(scenario(group("clean", policy=policy), other))
    n, half = len(plan.samples.label), len(plan.samples.label) // 2
    for place, block in enumerate(plan.blocks):
        learner, right = fresh(plan, block), np.ones(n, dtype=np.bool_)
        found = own_scores(plan, block, learner, right)
        everywhere = Scored.of(plan, block, learner, np.arange(n), right).in_run(plan, block)
        made = pieces_met(plan, place)
        assert set(np.flatnonzero(plan.samples.view == place)) <= set(made)
        assert len(made) == n if chosen else len(made) < half + 2 * 64
        assert found[:, made].tobytes() == everywhere[:, made].tobytes()
        assert np.isnan(np.delete(found, made, axis=1)).all()
