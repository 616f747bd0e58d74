"""Stage 2 for several options: that of one option to the last bit, convex, least at the Bayes choice."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.evaluation.cost_model import CostModel
from agents.rejectors.losses import outcome_weights, rejector_losses
from agents.rejectors.option_losses import (
    OptionBatch,
    OptionTargets,
    bound_of,
    option_losses,
    option_weights,
)
from agents.rejectors.option_surrogates import option_surrogate
from agents.rejectors.surrogates import SURROGATES, Batch, Client

FORMS = ("nonnegative", "paper", "cost_sensitive")
CONVEX = ("nonnegative", "cost_sensitive")
COSTS = list(product((0.0, 0.1, 0.37), (0.25, 1.0, 4.0), (None, 0.3, 1.0)))  # c_e, c_1, availability
PER_OPTION = ("l2h", "plug_in", "l2h_priced", "compare_confidence", "mozannar_sontag")
RELATIVE = 1e-13

seeds = st.integers(0, 2**32 - 1)
options = st.integers(1, 5)
costs = st.floats(0.0, 1e3)


def outcomes(rows: int, n: int, j: int, seed: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """m (rows, n) and e (rows, n, j), bool, and outputs (rows, n, 1 + j)."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(rows, n, generator=generator) < 0.6,
        torch.rand(rows, n, j, generator=generator) < 0.8,
        3.0 * torch.randn(rows, n, 1 + j, generator=generator),
    )


def one_option(cost_model: CostModel, form: str, m: Tensor, e: Tensor) -> Batch:
    """The batch that a block of one option is told."""
    w_local, w_remote, cost = outcome_weights(cost_model, form)[2 * m.long() + e.long()].unbind(dim=-1)
    labels, draws = torch.arange(m.shape[1]) % 4, torch.linspace(0.05, 0.95, m.shape[1])
    c_1 = torch.full((len(m), 1), cost_model.c_1)
    return Batch(m.float(), e.float(), labels, w_local, w_remote, cost, c_1, draws)


def as_options(cost_models: list[CostModel], form: str, m: Tensor, e: Tensor) -> OptionBatch:
    """The batch that a block is told, made by `OptionTargets` itself; e (rows, n, options)."""
    of_m, of_e = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    remote = torch.stack([one.cost_remote(of_m, of_e) for one in cost_models])
    rows = len(m)
    targets = OptionTargets(
        m,
        e[None],
        torch.arange(m.shape[1]) % 4,
        remote.expand(rows, -1, -1),
        None,
        torch.full((rows, 1, 1), bound_of(cost_models)),
        [form] * rows,
        torch.full((rows, 1), cost_models[0].c_1),
        np.random.default_rng(0),
    )
    return targets.batch(0, torch.arange(m.shape[1]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("costs", COSTS)
def test_of_one_option_it_is_the_loss_of_one_option_to_the_last_bit(
    form: str, costs: tuple[float, float, float | None]
) -> None:
    m, e, outputs = outcomes(2, 50, 1)
    cost_model = CostModel(*costs, "accept")
    one, several = one_option(cost_model, form, m, e[..., 0]), as_options([cost_model], form, m, e)
    assert torch.equal(torch.stack([one.w_local, one.w_remote], dim=-1), several.weights)
    at_one, at_several = (outputs.clone().requires_grad_() for _ in range(2))
    losses = rejector_losses(at_one, one.w_local, one.w_remote), option_losses(at_several, several.weights)
    assert torch.equal(*losses)
    for loss in losses:
        loss.sum().backward()
    assert torch.equal(at_one.grad, at_several.grad)


@pytest.mark.parametrize("name", PER_OPTION)
def test_of_one_option_every_surrogate_is_that_of_one_option(name: str) -> None:
    m, e, _ = outcomes(2, 50, 1)
    cost_model, form = CostModel(0.2, 1.3), "nonnegative" if name == "l2h" else ""
    one, several = one_option(cost_model, form, m, e[..., 0]), as_options([cost_model], form, m, e)
    several = OptionBatch(**(vars(several) | {"draws": one.draws[:, None]}))
    surrogate, again = SURROGATES[name], option_surrogate(name, 1)
    assert surrogate.outputs(4) == again.outputs(4)
    outputs = torch.randn(2, 50, again.outputs(4), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        surrogate.loss(outputs, one), again.loss(outputs, several), rtol=1e-6, atol=1e-6
    )
    client = Client(one.labels.expand(2, -1), torch.linspace(0, 0.7, 50).expand(2, -1))
    for c_1 in (1.3, torch.full((2, 1), 1.3)):
        scores = surrogate.score(outputs, client, c_1), again.score(outputs, client, c_1)
        assert scores[1].shape == (2, 1, 50)
        assert torch.equal(scores[0], scores[1][:, 0])


@pytest.mark.parametrize("form", CONVEX)
@settings(deadline=None)
@given(
    seed=seeds, j=options, prices=st.lists(costs, min_size=5, max_size=5), c_1=costs, share=st.floats(0, 1)
)
def test_every_chord_lies_above_the_loss(
    form: str, seed: int, j: int, prices: list[float], c_1: float, share: float
) -> None:
    """Weights are never negative, whatever the costs, so that the loss is convex in the outputs."""
    generator = torch.Generator().manual_seed(seed)
    m, e = (torch.rand(6, 1 + j, generator=generator, dtype=torch.float64) < 0.5).split([1, j], dim=1)
    remote = torch.tensor(prices[:j], dtype=torch.float64) + c_1 * (~e).double()
    of_all = torch.cat([(~m).double(), remote], dim=1)
    weights = option_weights(of_all, form, bound_of([CostModel(price, c_1) for price in prices[:j]]))
    assert (weights >= 0).all()
    a, b = 8.0 * torch.randn(2, 6, 1 + j, generator=generator, dtype=torch.float64)
    chord = share * option_losses(a, weights) + (1 - share) * option_losses(b, weights)
    between = option_losses(share * a + (1 - share) * b, weights)
    assert (between <= chord + RELATIVE * 50 * (1.0 + weights.sum(dim=1))).all()


@pytest.mark.parametrize("form", CONVEX)
@settings(deadline=None)
@given(seed=seeds, j=options, prices=st.lists(st.floats(0, 3), min_size=5, max_size=5), c_1=st.floats(0.1, 5))
def test_the_minimiser_shares_by_what_choices_save_so_that_its_largest_output_is_the_bayes_choice(
    form: str, seed: int, j: int, prices: list[float], c_1: float
) -> None:
    """At an input whose outcomes are drawn, r_j = log(K - E[cost_j]) has no slope; the loss being convex, it
    is the minimiser, unique up to a constant. K of `cost_sensitive` is the sum of all costs.
    """
    generator = torch.Generator().manual_seed(seed)
    m, e = (torch.rand(200, 1 + j, generator=generator, dtype=torch.float64) < 0.6).split([1, j], dim=1)
    remote = torch.tensor(prices[:j], dtype=torch.float64) + c_1 * (~e).double()
    of_all = torch.cat([(~m).double(), remote], dim=1)
    expected = of_all.mean(dim=0)
    bound = bound_of([CostModel(price, c_1) for price in prices[:j]])
    saved = (bound if form == "nonnegative" else expected.sum()) - expected
    outputs = torch.log(saved).requires_grad_()
    weights = option_weights(of_all, form, bound)
    option_losses(outputs.expand(200, -1), weights).mean().backward()
    assert outputs.grad.abs().max() <= 1e-9 * (1.0 + weights.sum(dim=1).max())
    assert expected[outputs.argmax()] == expected.min()


def test_a_price_of_each_option_is_drawn_and_estimates_are_right_at_all_of_them() -> None:
    """`l2h_priced` has no slope at the true logits, on average over outcomes, at any prices."""
    chances = torch.tensor([0.3, 0.9, 0.6, 0.75], dtype=torch.float64)  # of m, and of three options
    grid = torch.tensor(list(product((0.0, 1.0), repeat=4)), dtype=torch.float64)
    weight = torch.where(grid == 1, chances, 1 - chances).prod(dim=1)
    outputs = torch.logit(chances).requires_grad_()
    for draws in torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64):
        c_1 = torch.full((1, 1), 1.4, dtype=torch.float64)
        nothing = torch.empty(0)
        batch = OptionBatch(
            grid[None, :, 0], grid[None, :, 1:], nothing, nothing, nothing, c_1, draws.expand(16, 3)
        )
        each = option_surrogate("l2h_priced", 3).loss(outputs.expand(1, 16, 4), batch)
        (slope,) = torch.autograd.grad((each * weight).sum(), outputs)
        assert slope.abs().max() < 1e-12


def test_grades_weigh_between_their_ends() -> None:
    """Costs are linear in both grades, so that a mean of outcomes is the outcome of mean grades."""
    models = [CostModel(0.1, 2.0, 0.7), CostModel(0.4, 2.0, 0.7)]
    m, e, _ = outcomes(1, 400, 2)
    graded = as_options(
        models, "nonnegative", m.float().mean(1, keepdim=True), e.float().mean(1, keepdim=True)
    )
    ended = as_options(models, "nonnegative", m, e)
    expected = torch.stack(
        [one.cost_remote(m.float().mean(), e[..., k].float().mean()) for k, one in enumerate(models)]
    )
    assert torch.allclose(graded.costs[0, 0, 1:], expected)
    as_numbers = as_options(models, "nonnegative", m.float(), e.float())
    torch.testing.assert_close(as_numbers.weights, ended.weights)


def test_the_public_form_is_of_one_option() -> None:
    with pytest.raises(ValueError, match="released"):
        option_weights(torch.zeros(3, 3), "released")
    with pytest.raises(ValueError, match="above K"):
        option_weights(torch.full((3, 3), 2.0), "nonnegative", 1.0)
