"""Blocks of rejectors: the same bits wherever and beside whom they are trained."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_fleets import MISSING, NOISY, group, model, scenario
from torch import nn

from agents.blocks import RejectorBlock, trace_row
from agents.frozen import live_model, recipe_for, train
from agents.losses import FORMS, rejector_loss, rejector_weights
from agents.plan import Block, Plan, make_plan
from agents.rejectors import FAMILIES, INPUTS
from agents.training import batch_order
from sim.errors import RunFailed
from sim.streams import stream

Learnt = tuple[RejectorBlock, NDArray[np.float64]]


@cache
def plan_of(clients: int, family: str = "mlp", looks: str = "raw+features", variants: int = 1) -> Plan:
    rejector = {"family": family, "input": looks}
    return make_plan(
        scenario(group(clients=clients, partition=MISSING, model=model(variants=variants), rejector=rejector))
    )


def outcome_weights(form: str = "nonnegative") -> torch.Tensor:
    client, server = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    return torch.stack(rejector_weights(client, server, 0.1, 1.0, form), dim=1)


def a_trace(plan: Plan, steps: int = 18) -> NDArray[np.bool_]:
    """A server that is right more and more often."""
    chance = np.linspace(0.1, 0.95, steps + 1)[:, None]
    return stream(7, "test trace").random((steps + 1, len(plan.pools.rejector))) < chance


def settled(plan: Plan) -> NDArray[np.bool_]:
    """A server that no longer changes: the loss then falls because the rejectors learn."""
    return np.repeat(a_trace(plan)[-1:], 19, axis=0)


def learn(
    plan: Plan,
    block: Block | None = None,
    form: str = "nonnegative",
    trace: NDArray[np.bool_] | None = None,
) -> Learnt:
    models = {v: live_model(plan, v, train(recipe_for(plan, v)).weights) for v in plan.variants}
    learner = RejectorBlock(plan, block or plan.blocks[0], models)
    return learner, learner.learn(a_trace(plan) if trace is None else trace, outcome_weights(form))


@pytest.mark.parametrize("looks", INPUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_from_every_input(family: str, looks: str) -> None:
    plan = plan_of(3, family, looks)
    learner, losses = learn(plan, trace=settled(plan))
    logits = learner.logits(plan.samples.sample_id)
    assert losses.shape == (2, 3)
    assert (losses[-1] < losses[0]).all()
    assert logits.shape == (3, len(plan.samples.sample_id), 2)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_trains(form: str) -> None:
    _, losses = learn(plan_of(3), form=form)
    assert np.isfinite(losses).all()


def test_training_again_gives_the_same_bytes_and_clients_differ() -> None:
    plan = plan_of(3)
    first, again = (learn(plan)[0].logits(plan.samples.sample_id) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first[0], first[1])


def test_a_client_learns_the_same_in_a_small_and_in_a_large_fleet() -> None:
    """Bit for bit: its block is cut differently, its draws and its arithmetic are its own."""
    small, large = plan_of(3, variants=2), plan_of(64, variants=2)
    first, first_losses = learn(small)
    among_many, losses = learn(large)
    ids = small.samples.sample_id
    assert np.array_equal(first.logits(ids), among_many.logits(ids)[:3])
    assert np.array_equal(first_losses, losses[:, :3])


def test_a_block_does_not_know_its_neighbours() -> None:
    """The second block of a group, trained without the first."""
    plan = plan_of(66)
    alone, _ = learn(plan, plan.blocks[1])
    assert alone.logits(plan.samples.sample_id).shape[0] == 2
    assert not np.array_equal(
        alone.logits(plan.samples.sample_id), learn(plan)[0].logits(plan.samples.sample_id)[:2]
    )


def test_it_equals_the_plain_algorithm() -> None:
    """One client, written out with torch's own modules: a batch, the server's present answers, a step."""
    plan = plan_of(1)
    (variant,) = plan.variants
    client = live_model(plan, variant, train(recipe_for(plan, variant)).weights)
    learner = RejectorBlock(plan, plan.blocks[0], {variant: client})
    (w1, b1), (w2, b2) = learner._rejectors.layers
    plain = nn.Sequential(nn.Linear(*w1.shape[1:]), nn.ReLU(), nn.Linear(*w2.shape[1:]))
    with torch.no_grad():
        for ours, theirs in zip((w1[0].T, b1[0, 0], w2[0].T, b2[0, 0]), plain.parameters(), strict=True):
            theirs.copy_(ours)
    (inputs,), (right,) = learner._pool_as_seen()
    optimiser = torch.optim.Adam(plain.parameters(), lr=1e-3)
    order = batch_order([stream(7, "rejector order", 0, 0)], len(inputs), 64)
    trace = torch.from_numpy(a_trace(plan))
    for step in range(18):
        chosen = torch.from_numpy(next(order)[0])
        server_now = trace[step + 1]
        weights = rejector_weights(right[chosen], server_now[chosen], 0.1, 1.0, "nonnegative")
        optimiser.zero_grad()
        rejector_loss(plain(inputs[chosen]), *weights).backward()
        optimiser.step()
    learner.learn(a_trace(plan), outcome_weights())
    torch.testing.assert_close(learner._rejectors.logits(inputs[None])[0], plain(inputs))


@pytest.mark.parametrize(("interval", "rows"), [(1, [1, 2, 3, 4, 5, 6]), (3, [0, 0, 3, 3, 3, 6])])
def test_a_stale_copy_is_an_earlier_row(interval: int, rows: list[int]) -> None:
    """Refreshed after every `interval` steps of the server; before the first refresh it is untrained."""
    assert [trace_row(step, interval) for step in range(6)] == rows


@pytest.mark.parametrize(("mix", "view"), [("own", 1), ("all", 0)])
def test_a_shifted_group_is_scored_on_what_it_sends(mix: str, view: int) -> None:
    """Its rejector's inputs are standardised over the rejector pool in the view that its requests come in."""
    plan = make_plan(scenario(group(partition=NOISY, traffic={"mix": mix})))
    learner, _ = learn(plan)
    inputs, _ = learner._pool_as_seen()
    torch.testing.assert_close(inputs.mean(dim=1), torch.zeros(1, 64 + 25), atol=1e-5, rtol=0)
    pixels = plan.images[plan.pools.rejector + view * plan.data.size].reshape(359, 64)
    np.testing.assert_allclose(learner._mean[0, 0, :64], pixels.mean(axis=0), atol=1e-5)


def test_a_loss_that_is_no_number_names_the_client() -> None:
    steep = {"pretrain": {"epochs": 2, "rejector_lr": 1e30}}
    plan = make_plan(scenario(group("meters"), training=steep))
    with pytest.raises(
        RunFailed, match=r"stage 'learn': group meters, rejector of client \d+: .* at step \d+"
    ):
        learn(plan)


def test_weights_that_are_no_numbers_name_the_client() -> None:
    """After the last step, when no loss is looked at any more."""
    plan = plan_of(3)
    learner, _ = learn(plan)
    with torch.no_grad():
        learner._rejectors.layers[-1][0][1] = torch.nan
    with pytest.raises(RunFailed, match=r"stage 'decide': group sensors, rejector of client 1: a score is"):
        learner.logits(plan.samples.sample_id)
