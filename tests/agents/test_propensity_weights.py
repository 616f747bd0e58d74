"""The law behind `feedback: deferred_only`: who learns 1[e=y] for sent samples alone weighs each whole sample
loss by 1[known]/propensity, and in expectation loses nothing. By enumeration, by simulation, by effect."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from bayes_rule import bayes_defers
from distributions import Population
from torch import Tensor

from agents.rejectors.losses import rejector_loss, rejector_weights

COSTS = (0.1, 1.6)
EXPLORATION = 0.2
FORMS = ("nonnegative", "paper", "cost_sensitive")
CLIENT = torch.tensor([1.0, 0, 0, 1, 0, 1, 0, 0], dtype=torch.float64)
SERVER = torch.tensor([1.0, 1, 0, 0, 1, 1, 1, 0], dtype=torch.float64)
SENT = torch.tensor([0.0, 1, 0, 0, 1, 0, 1, 1], dtype=torch.float64)  # by the rejector in force
PROPENSITY = EXPLORATION + (1.0 - EXPLORATION) * SENT  # with chance 0.2 one is sent whatever it says
INPUTS = torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def loss_and_slope(sample_weight: Tensor, form: str) -> Tensor:
    """The loss of a linear rejector that all samples share, and its gradient, as one vector."""
    generator = torch.Generator().manual_seed(2)
    shared = torch.randn(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    w_local, w_remote = rejector_weights(CLIENT, SERVER, *COSTS, form)
    loss = rejector_loss(INPUTS @ shared, sample_weight * w_local, sample_weight * w_remote)
    (slope,) = torch.autograd.grad(loss, shared)
    return torch.cat([loss.detach()[None], slope.flatten()])


def expectation(form: str, weigh_by: Tensor) -> Tensor:
    """Of the loss and its gradient, over all 256 sets of known samples, each with its chance."""
    total = torch.zeros(7, dtype=torch.float64)
    for pattern in product((0.0, 1.0), repeat=len(CLIENT)):
        known = torch.tensor(pattern, dtype=torch.float64)
        chance = torch.where(known > 0, PROPENSITY, 1.0 - PROPENSITY).prod()
        total += chance * loss_and_slope(known * weigh_by, form)
    return total


@pytest.mark.parametrize("form", FORMS)
def test_inverse_propensity_weights_are_unbiased(form: str) -> None:
    """Law: E[loss and gradient] over what happens to be known is that of full feedback; 1e-12 is rounding."""
    full = loss_and_slope(torch.ones(8, dtype=torch.float64), form)
    assert (expectation(form, 1.0 / PROPENSITY) - full).abs().max() < 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_without_the_weights_what_is_known_misleads(form: str) -> None:
    """The mean over the known samples stands for the rejector's own choice of them, not for the world."""
    full = loss_and_slope(torch.ones(8, dtype=torch.float64), form)
    known_only = expectation(form, torch.full((8,), 1.0 / PROPENSITY.mean().item()).double())
    assert (known_only - full).abs().max() > 0.05


def test_without_exploration_a_part_of_the_world_is_never_seen() -> None:
    """A propensity of 0 is met by no weight: the expectation is the loss of the sent samples alone."""
    full = loss_and_slope(torch.ones(8, dtype=torch.float64), "nonnegative")
    seen = loss_and_slope(SENT, "nonnegative")  # known = sent, propensity 1
    assert (seen - full).abs().max() > 0.05


@pytest.mark.parametrize("form", FORMS)
def test_simulated_feedback_agrees_with_full_feedback(form: str) -> None:
    """4,000 draws of who is known: the mean within five standard errors, in each of 7 numbers; the chance of
    a false alarm is 7 * 6e-7. The spread is what 1/propensity costs.
    """
    generator = torch.Generator().manual_seed(3)
    drawn = torch.rand(4_000, 8, generator=generator, dtype=torch.float64) < PROPENSITY
    values = torch.stack([loss_and_slope(known / PROPENSITY, form) for known in drawn.double()])
    full = loss_and_slope(torch.ones(8, dtype=torch.float64), form)
    error = values.std(dim=0) / len(values) ** 0.5
    assert ((values.mean(dim=0) - full).abs() <= 5 * error).all()


def test_weighing_the_whole_sample_keeps_the_weights_non_negative() -> None:
    """Law: so the loss stays convex. 1[known]/propensity on 1[e!=y] inside the cost would be unbiased too,
    but takes the cost past K: the remote weight turns negative in one case and would be clamped.
    """
    whole = [weight / EXPLORATION for weight in rejector_weights(CLIENT, SERVER, *COSTS, "nonnegative")]
    assert min(weight.min() for weight in whole) >= 0.0
    bound = max(1.0, sum(COSTS))
    inside = COSTS[0] + COSTS[1] * (1.0 - SERVER) / EXPLORATION
    assert (bound - inside).min() < 0.0


def test_a_shared_decision_is_right_with_the_weights_and_wrong_without() -> None:
    """One decision for two kinds of input; e is right 9 times in 10 on both. On 300 of 400 rows, rarely sent
    so far, m is as good; on 100 rows, always sent, m is right 1 time in 10. Together they are best kept.
    """
    world = Population(torch.tensor([[270, 30], [10, 90]]), torch.tensor([0, 0]), torch.tensor([0, 1]))
    propensity = torch.tensor([EXPLORATION, 1.0], dtype=torch.float64)[world.input_of_row]
    c_e, c_1 = 0.3, 1.0
    client, server = world.correct(world.client), world.correct(world.server)
    assert not bayes_defers(client.mean(), server.mean(), c_e, c_1)
    weights = rejector_weights(client, server, c_e, c_1, "nonnegative")
    assert not sends(weights, torch.ones_like(propensity))
    assert sends(weights, propensity)  # E[1[known]]
    generator = torch.Generator().manual_seed(4)
    known = (torch.rand(len(propensity), generator=generator) < propensity).double()
    assert not sends(weights, known / propensity)
    assert sends(weights, known)


def sends(weights: tuple[Tensor, Tensor], sample_weight: Tensor) -> bool:
    """The decision of the best constant rejector: the slope at 0 tells on which side its minimum is."""
    shared = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    logits = shared.expand(len(sample_weight), 2)
    rejector_loss(logits, *(sample_weight * weight for weight in weights)).backward()
    return bool(shared.grad[1] < shared.grad[0])
