"""Laws of the weights and of the surrogate, for any answers, costs and logits: what theorems start from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.rejectors.losses import FORMS, rejector_loss, rejector_weights

BAYES_FORMS = ("nonnegative", "paper", "cost_sensitive")

costs = st.floats(0.0, 100.0)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 20)


def draw_answers(seed: int, size: int) -> tuple[Tensor, Tensor]:
    """1[m=y] and 1[e=y], float64 (size,)."""
    client, server = torch.randint(0, 2, (2, size), generator=torch.Generator().manual_seed(seed)).double()
    return client, server


def draw_logits(seed: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 5.0 * torch.randn(size, 2, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("form", BAYES_FORMS)
@settings(deadline=None)
@given(seed=seeds, size=sizes, c_e=costs, c_1=costs)
def test_the_weights_differ_by_what_a_send_saves(
    form: str, seed: int, size: int, c_e: float, c_1: float
) -> None:
    """Lemma 1: w_remote - w_local = cost_local - cost_remote, whatever K; its mean at x is the margin."""
    client, server = draw_answers(seed, size)
    w_local, w_remote = rejector_weights(client, server, c_e, c_1, form)
    saved = (1.0 - client) - (c_e + c_1 * (1.0 - server))
    torch.testing.assert_close(w_remote - w_local, saved, rtol=0.0, atol=1e-12)


@settings(deadline=None)
@given(seed=seeds, size=sizes, c_e=costs, c_1=costs)
def test_the_released_weights_are_off_where_the_server_errs(
    seed: int, size: int, c_e: float, c_1: float
) -> None:
    """By 2*c_1 exactly: the sign of c_1 is the wrong way round."""
    client, server = draw_answers(seed, size)
    w_local, w_remote = rejector_weights(client, server, c_e, c_1, "released")
    saved = (1.0 - client) - (c_e + c_1 * (1.0 - server))
    torch.testing.assert_close(w_remote - w_local - saved, 2 * c_1 * (1.0 - server), rtol=0.0, atol=1e-12)


@settings(deadline=None)
@given(seed=seeds, size=sizes, c_e=st.floats(0.0, 1.0), share=st.floats(0.0, 1.0))
def test_up_to_one_the_default_is_the_paper_form(seed: int, size: int, c_e: float, share: float) -> None:
    answers = draw_answers(seed, size)
    c_1 = share * (1.0 - c_e)
    default = rejector_weights(*answers, c_e, c_1, "nonnegative")
    torch.testing.assert_close(default, rejector_weights(*answers, c_e, c_1, "paper"), rtol=0.0, atol=1e-15)


@settings(deadline=None)
@given(seed=seeds, size=sizes, c_e=costs, c_1=costs)
def test_beyond_one_they_differ_by_the_bound(seed: int, size: int, c_e: float, c_1: float) -> None:
    """The default adds max(1, c_e + c_1) - 1 to both weights: a pull to s = 1/2, which moves no decision."""
    answers = draw_answers(seed, size)
    default = torch.stack(rejector_weights(*answers, c_e, c_1, "nonnegative"))
    paper = torch.stack(rejector_weights(*answers, c_e, c_1, "paper"))
    added = torch.full_like(default, max(1.0, c_e + c_1) - 1.0)
    torch.testing.assert_close(default - paper, added, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(seed=seeds, size=sizes, c_e=costs, c_1=costs)
def test_a_samples_weights_do_not_know_its_batch(
    form: str, seed: int, size: int, c_e: float, c_1: float
) -> None:
    """So K cannot be the maximum of a batch, and order, splitting and shape change nothing."""
    answers = draw_answers(seed, size)
    summed = rejector_weights(*answers, c_e, c_1, form)
    for one in range(size):
        alone = rejector_weights(*(answer[one : one + 1] for answer in answers), c_e, c_1, form)
        assert [weight.item() for weight in alone] == [weight[one].item() for weight in summed]
    in_rows = rejector_weights(*(answer[None, :, None] for answer in answers), c_e, c_1, form)
    assert all(map(torch.equal, in_rows, (weight[None, :, None] for weight in summed)))


@settings(deadline=None)
@given(seed=seeds, size=sizes, c_e=costs, c_1=costs, by=st.floats(-50.0, 50.0), factor=st.floats(0.0, 50.0))
def test_the_surrogate_sees_differences_of_logits_and_is_linear_in_weights(
    seed: int, size: int, c_e: float, c_1: float, by: float, factor: float
) -> None:
    logits = draw_logits(seed, size)
    w_local, w_remote = rejector_weights(*draw_answers(seed, size), c_e, c_1, "nonnegative")
    loss = rejector_loss(logits, w_local, w_remote)
    nothing = torch.zeros_like(w_local)
    for same in (
        rejector_loss(logits + by, w_local, w_remote),
        rejector_loss(logits.flip(1), w_remote, w_local),
        rejector_loss(logits.flip(0), w_local.flip(0), w_remote.flip(0)),
        rejector_loss(logits, w_local, nothing) + rejector_loss(logits, nothing, w_remote),
    ):
        torch.testing.assert_close(same, loss)
    torch.testing.assert_close(rejector_loss(logits, factor * w_local, factor * w_remote), factor * loss)


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(seed=seeds, c_e=costs, c_1=costs)
def test_the_slope_is_the_sum_of_weights_times_sigma_less_the_remote_weight(
    form: str, seed: int, c_e: float, c_1: float
) -> None:
    """Lemma 2: in r_remote it is (w_local + w_remote)*s - w_remote, in r_local its opposite."""
    logits = draw_logits(seed, 1).requires_grad_()
    w_local, w_remote = rejector_weights(*draw_answers(seed, 1), c_e, c_1, form)
    rejector_loss(logits, w_local, w_remote).backward()
    share = torch.softmax(logits.detach(), dim=1)[:, 1]
    slope = (w_local + w_remote) * share - w_remote
    torch.testing.assert_close(logits.grad, torch.stack([-slope, slope], dim=1), rtol=1e-9, atol=1e-12)
