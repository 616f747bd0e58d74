"""Convexity of stage 2 in the rejector's logits, for costs of any size: midpoints and Hessians; and where
the paper's form loses it."""

from __future__ import annotations

import pytest
import torch
from distributions import BAYES_CONSISTENT
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.rejectors.losses import rejector_loss, rejector_weights

# Rounding of the softmax, relative to the weights: a few times 1e-16 was seen, -4e-17 in an eigenvalue.
RELATIVE = 1e-14

any_share = st.just(0.0) | st.floats(1e-6, 1.0)
any_cost = st.just(0.0) | st.floats(1e-6, 1e3)  # products of tinier ones have no digits left
batch = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1)


def draw_batch(seed: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two points of logits (size, 2) within +-20 or so, and the answers of m and e, 0/1 (size,)."""
    generator = torch.Generator().manual_seed(seed)
    a, b = 8.0 * torch.randn(2, size, 2, generator=generator, dtype=torch.float64)
    client, server = torch.randint(0, 2, (2, size), generator=generator).double()
    return a, b, client, server


def hessian(logits: Tensor, w_local: Tensor, w_remote: Tensor) -> Tensor:
    """Of the loss in all its 2n logits, (2n, 2n)."""
    full = torch.autograd.functional.hessian(lambda at: rejector_loss(at, w_local, w_remote), logits)
    return full.reshape(logits.numel(), logits.numel())


def is_semidefinite(logits: Tensor, w_local: Tensor, w_remote: Tensor) -> bool:
    """Whether no eigenvalue of the Hessian is negative by more than rounding."""
    least = torch.linalg.eigvalsh(hessian(logits, w_local, w_remote)).min()
    return bool(least >= -RELATIVE * (w_local.abs() + w_remote.abs()).sum())


@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@settings(deadline=None)
@given(seed=seeds, size=batch, c_e=any_cost, c_1=any_cost, share=any_share)
def test_every_chord_lies_above_the_loss(
    form: str, seed: int, size: int, c_e: float, c_1: float, share: float
) -> None:
    a, b, *answers = draw_batch(seed, size)
    weights = rejector_weights(*answers, c_e, c_1, form)
    chord = share * rejector_loss(a, *weights) + (1 - share) * rejector_loss(b, *weights)
    between = rejector_loss(share * a + (1 - share) * b, *weights)
    assert between <= chord + RELATIVE * (sum(weights).sum() + chord.abs()) * 40  # logits reach 40


@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@settings(deadline=None)
@given(seed=seeds, size=batch, c_e=any_cost, c_1=any_cost)
def test_the_hessian_is_positive_semidefinite(
    form: str, seed: int, size: int, c_e: float, c_1: float
) -> None:
    logits, _, *answers = draw_batch(seed, size)
    assert is_semidefinite(logits, *rejector_weights(*answers, c_e, c_1, form))


@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@settings(deadline=None)
@given(
    seed=seeds,
    size=batch,
    c_e=any_cost,
    c_1=any_cost,
    availability=any_share,
    charged=any_share,
)
def test_availability_leaves_the_loss_convex(
    form: str, seed: int, size: int, c_e: float, c_1: float, availability: float, charged: float
) -> None:
    logits, _, client, server = draw_batch(seed, size)
    remote = c_e * charged + availability * c_1 * (1 - server) + (1 - availability) * (1 - client)
    assert is_semidefinite(logits, *rejector_weights(client, server, c_e, c_1, form, cost_remote=remote))


@settings(deadline=None)
@given(logits=st.tuples(*[st.floats(-5.0, 5.0)] * 2), c_e=any_cost, c_1=any_cost)
def test_the_hessian_is_the_sum_of_weights_times_the_logistic_slope(
    logits: tuple[float, float], c_e: float, c_1: float
) -> None:
    """Lemma: at one x it is (w_local + w_remote)*s*(1-s) * [[1, -1], [-1, 1]], s = sigma_remote."""
    for form in ("nonnegative", "paper", "cost_sensitive", "released"):
        weights = rejector_weights(torch.zeros(1).double(), torch.zeros(1).double(), c_e, c_1, form)
        at = torch.tensor([logits], dtype=torch.float64)
        share = torch.softmax(at, dim=1)[0, 1]
        slope = (weights[0] + weights[1]) * share * (1 - share)
        expected = slope * torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
        torch.testing.assert_close(hessian(at, *weights), expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(c_e=any_cost, c_1=any_cost, a=st.floats(-5.0, 5.0), apart=st.floats(0.1, 5.0))
def test_the_paper_form_is_not_convex_beyond_one(c_e: float, c_1: float, a: float, apart: float) -> None:
    """Where both answers are wrong w_local + w_remote = 1 - c_e - c_1, so it is concave beyond 1."""
    c_e += max(0.0, 1.01 - c_e - c_1)
    wrong = torch.zeros(1, dtype=torch.float64)
    weights = rejector_weights(wrong, wrong, c_e, c_1, "paper")
    ends = torch.tensor([[[0.0, a]], [[0.0, a + apart]]], dtype=torch.float64)
    halfway = rejector_loss(ends.mean(dim=0), *weights)
    assert halfway > (rejector_loss(ends[0], *weights) + rejector_loss(ends[1], *weights)) / 2
    assert torch.linalg.eigvalsh(hessian(ends[0], *weights)).min() < 0.0


@settings(deadline=None)
@given(
    seed=seeds,
    size=batch,
    c_e=any_share,
    share=any_share,
)
def test_the_paper_form_is_convex_up_to_one(seed: int, size: int, c_e: float, share: float) -> None:
    logits, _, *answers = draw_batch(seed, size)
    assert is_semidefinite(logits, *rejector_weights(*answers, c_e, share * (1.0 - c_e), "paper"))
