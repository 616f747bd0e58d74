"""Availability in the loss: with cost_remote = c_e*P(charged) + a*c_1*1[e!=y] + (1-a)*1[m!=y] the minimiser
sends iff gain > c_e*P(charged)/a, the gain being P(m!=Y|x) - c_1*P(e!=Y|x)."""

from __future__ import annotations

import pytest
import torch
from bayes_rule import bayes_defers
from distributions import BAYES_CONSISTENT, draw_population, free_minimiser
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.rejectors.losses import rejector_weights

TIE = 1e-9  # as in test_consistency.py, of a margin that is multiplied by a >= 0.05
AVAILABILITY = (0.05, 0.3, 0.7, 1.0)
COSTS = [(0.0, 1.0), (0.1, 0.6), (0.4, 0.25), (0.1, 1.6), (0.4, 4.0)]
WORLD = draw_population(seed=0)
P_CORRECT = WORLD.p_correct(WORLD.client), WORLD.p_correct(WORLD.server)

shares = st.floats(0.0, 1.0)
costs = st.floats(0.0, 1e3)
precision = st.sampled_from((torch.float32, torch.float64))


def cost_remote(
    client_correct: Tensor, server_correct: Tensor, c_e: float, c_1: float, available: float, charged: float
) -> Tensor:
    """What a send costs on the average: unanswered, the client's own answer stands in for the server's."""
    unanswered = (1.0 - available) * (1.0 - client_correct)
    return c_e * charged + available * c_1 * (1.0 - server_correct) + unanswered


def minimiser(c_e: float, c_1: float, available: float, charged: float, form: str) -> Tensor:
    """r_remote - r_local over all functions r, (inputs,)."""
    answers = WORLD.correct(WORLD.client), WORLD.correct(WORLD.server)
    remote = cost_remote(*answers, c_e, c_1, available, charged)
    weights = rejector_weights(*answers, c_e, c_1, form, cost_remote=remote)
    return free_minimiser(WORLD.input_of_row, *weights)


@pytest.mark.slow
@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@pytest.mark.parametrize("available", AVAILABILITY)
def test_sends_iff_the_gain_exceeds_the_price_of_an_answer(form: str, available: float) -> None:
    """Charged on the send (P = 1), on the answer (P = a), and sometimes: the price is c_e*P(charged)/a."""
    for c_e, c_1 in COSTS:
        for charged in (1.0, (1.0 + available) / 2, available):
            price = c_e * charged / available
            decided = WORLD.margin(price, c_1).abs() > TIE
            result = minimiser(c_e, c_1, available, charged, form)
            assert torch.equal((result > 0)[decided], bayes_defers(*P_CORRECT, price, c_1)[decided])


@pytest.mark.slow
@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@pytest.mark.parametrize("available", AVAILABILITY[:-1])
def test_availability_changes_nothing_if_one_pays_for_answers_only(form: str, available: float) -> None:
    for c_e, c_1 in COSTS:
        decided = WORLD.margin(c_e, c_1).abs() > TIE
        outages = minimiser(c_e, c_1, available, available, form) > 0
        always_up = minimiser(c_e, c_1, 1.0, 1.0, form) > 0
        assert torch.equal(outages[decided], always_up[decided])


@pytest.mark.parametrize("form", BAYES_CONSISTENT)
def test_paying_for_the_send_keeps_what_a_bad_server_is_not_worth(form: str) -> None:
    """The rarer the answer, the fewer are sent, and at a = 0.05 and c_e = 0.1 (price 2) none."""
    sent = [(minimiser(0.1, 0.6, a, 1.0, form) > 0).sum().item() for a in AVAILABILITY]
    assert sent == sorted(sent)
    assert sent[0] == 0
    assert sent[1] < sent[-1]


@settings(deadline=None)
@given(c_e=costs, c_1=costs, available=shares, charged=shares, bits=precision)
def test_the_bound_follows_availability(
    c_e: float, c_1: float, available: float, charged: float, bits: torch.dtype
) -> None:
    """K = max(1, c_e + max(1, c_1)) is enough for every a and P(charged): weights are not negative, and
    what is clamped is rounding alone, so that w_remote - w_local still is cost_local - cost_remote.
    """
    client, server = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]], dtype=bits)
    remote = cost_remote(client, server, c_e, c_1, available, charged)
    w_local, w_remote = rejector_weights(client, server, c_e, c_1, "nonnegative", cost_remote=remote)
    assert min(w_local.min(), w_remote.min()) >= 0.0
    rounding = 8 * torch.finfo(bits).eps * (1.0 + c_e + c_1)
    assert (w_remote - w_local - ((1 - client) - remote)).abs().max() <= rounding


def test_the_bound_without_availability_would_not_do() -> None:
    """Both wrong, c_e = 0.5, c_1 = 0.1, a = 0.1: a send costs 0.5 + 0.01 + 0.9, above max(1, c_e + c_1)."""
    wrong = torch.zeros(1)
    remote = cost_remote(wrong, wrong, 0.5, 0.1, available=0.1, charged=1.0)
    torch.testing.assert_close(remote, torch.tensor([1.41]))
    w_local, w_remote = rejector_weights(wrong, wrong, 0.5, 0.1, "nonnegative", cost_remote=remote)
    torch.testing.assert_close((w_local, w_remote), (torch.tensor([0.5]), torch.tensor([0.09])))


@settings(deadline=None)
@given(c_e=costs, c_1=costs)
def test_full_availability_is_the_plain_loss(c_e: float, c_1: float) -> None:
    """a = P(charged) = 1: the same cost, so the same difference of weights in every form that takes it."""
    client, server = torch.tensor([[0.0, 0, 1, 1], [0, 1, 0, 1]], dtype=torch.float64)
    remote = cost_remote(client, server, c_e, c_1, available=1.0, charged=1.0)
    for form in ("nonnegative", "paper", "cost_sensitive"):
        plain = rejector_weights(client, server, c_e, c_1, form)
        given_cost = rejector_weights(client, server, c_e, c_1, form, cost_remote=remote)
        torch.testing.assert_close(given_cost[1] - given_cost[0], plain[1] - plain[0])
