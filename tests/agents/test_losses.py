"""The losses: values worked out by hand, convexity, and agreement with the Bayes rule."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from bayes_rule import bayes_defers, generalised_risk
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor

from agents.rejectors.losses import FORMS, rejector_loss, rejector_weights, server_loss

# (client, server): both wrong, server right, client right, both right
CLIENT, SERVER = tensor([0.0, 0.0, 1.0, 1.0]), tensor([0.0, 1.0, 0.0, 1.0])
C_E, C_1 = 0.25, 2.0

costs = st.floats(0.0, 5.0)
chances = st.floats(0.0, 1.0)
logit = st.floats(-20.0, 20.0)


@pytest.mark.parametrize(
    ("form", "w_local", "w_remote"),
    [
        ("nonnegative", [1.25, 1.25, 2.25, 2.25], [0.0, 2.0, 0.0, 2.0]),  # K = 2.25
        ("paper", [0.0, 0.0, 1.0, 1.0], [-1.25, 0.75, -1.25, 0.75]),
        ("cost_sensitive", [2.25, 0.25, 2.25, 0.25], [1.0, 1.0, 0.0, 0.0]),
        ("released", [0.0, 0.0, 1.0, 1.0], [2.75, 0.75, 2.75, 0.75]),
    ],
)
def test_weights_by_hand(form: str, w_local: list[float], w_remote: list[float]) -> None:
    local, remote = rejector_weights(CLIENT, SERVER, C_E, C_1, form)
    torch.testing.assert_close(local, tensor(w_local))
    torch.testing.assert_close(remote, tensor(w_remote))


def test_a_given_remote_cost_raises_the_bound_to_what_it_can_reach() -> None:
    """With availability a, cost_remote = c_e*a + a*c_1*1[e!=y] + (1-a)*1[m!=y] can exceed c_e + c_1."""
    cost = tensor([0.9, 0.1, 0.5, 0.0])
    local, remote = rejector_weights(CLIENT, SERVER, 0.25, 0.5, "nonnegative", cost_remote=cost)
    torch.testing.assert_close(local, tensor([0.25, 0.25, 1.25, 1.25]))  # K = c_e + max(1, c_1)
    torch.testing.assert_close(remote, 1.25 - cost)


def test_a_remote_cost_that_nothing_can_reach_is_refused() -> None:
    """Clamped in silence, half the samples at cost 3 and half at 0 would look as if sending cost 0.55."""
    with pytest.raises(ValueError, match=r"3 is above K = 1.1"):
        rejector_weights(CLIENT, SERVER, 0.1, 0.5, "nonnegative", cost_remote=tensor([3.0, 0.0, 3.0, 0.0]))


@settings(deadline=None)
@given(c_e=st.floats(0.0, 1e6), c_1=st.floats(0.0, 1e6), bits=st.sampled_from((torch.float32, torch.float64)))
@example(c_e=1.26, c_1=3.71, bits=torch.float32)
def test_nonnegative_weights_are_not_negative_by_rounding(c_e: float, c_1: float, bits: torch.dtype) -> None:
    for weights in rejector_weights(CLIENT.to(bits), SERVER.to(bits), c_e, c_1, "nonnegative"):
        assert weights.min() >= 0.0


def test_boolean_and_numeric_answers_mean_the_same() -> None:
    for form in FORMS:
        numeric = rejector_weights(CLIENT, SERVER, C_E, C_1, form)
        boolean = rejector_weights(CLIENT.bool(), SERVER.bool(), C_E, C_1, form)
        torch.testing.assert_close(numeric, boolean)


def test_the_default_equals_the_paper_where_costs_stay_below_one() -> None:
    default = rejector_weights(CLIENT, SERVER, 0.3, 0.6, "nonnegative")
    torch.testing.assert_close(default, rejector_weights(CLIENT, SERVER, 0.3, 0.6, "paper"))


@pytest.mark.parametrize(("form", "cost"), [("wishful", None), ("released", CLIENT)])
def test_an_impossible_form_is_refused(form: str, cost: Tensor | None) -> None:
    with pytest.raises(ValueError, match="nonnegative"):
        rejector_weights(CLIENT, SERVER, C_E, C_1, form, cost_remote=cost)


def test_rejector_loss_by_hand() -> None:
    """Undecided logits cost log 2 per unit of weight; the mean is over samples."""
    loss = rejector_loss(torch.zeros(2, 2), tensor([1.0, 0.0]), tensor([0.0, 3.0]))
    torch.testing.assert_close(loss, tensor(4.0 / 2) * torch.log(tensor(2.0)))
    sure = rejector_loss(tensor([[0.0, 30.0]]), tensor([0.0]), tensor([1.0]))
    torch.testing.assert_close(sure, tensor(0.0))


def test_stacked_rejectors_keep_their_own_means() -> None:
    logits = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(1))
    w_local, w_remote = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(2))
    stacked = rejector_loss(logits, w_local, w_remote)
    single = [rejector_loss(logits[i], w_local[i], w_remote[i]) for i in range(3)]
    torch.testing.assert_close(stacked, torch.stack(single))


def test_each_stage_moves_its_own_model_only() -> None:
    """Stage 1 gives the rejector no gradient, stage 2 gives the server none."""
    server = torch.zeros(2, 3, requires_grad=True)
    rejector = torch.zeros(2, 2, requires_grad=True)
    labels = tensor([0, 1])
    server_loss(server, labels).backward()
    assert server.grad is not None
    assert rejector.grad is None
    server.grad = None
    weights = rejector_weights(tensor([1, 0]), server.argmax(dim=1) == labels, C_E, C_1, "nonnegative")
    rejector_loss(rejector, *weights).backward()
    assert rejector.grad is not None
    assert server.grad is None


def test_server_loss_is_the_cross_entropy() -> None:
    torch.testing.assert_close(server_loss(torch.zeros(4, 10), tensor([0, 1, 2, 3])), torch.log(tensor(10.0)))


def test_generalised_risk_by_hand() -> None:
    """Local errors cost 1; sending costs c_e, and c_1 more where the server errs."""
    local = generalised_risk(torch.zeros(4), CLIENT, SERVER, C_E, C_1)
    remote = generalised_risk(torch.ones(4), CLIENT, SERVER, C_E, C_1)
    mixed = generalised_risk(tensor([0, 1, 0, 1]), CLIENT, SERVER, C_E, C_1)
    assert (local.item(), remote.item(), mixed.item()) == (0.5, 1.25, 0.375)


def test_bayes_rule_by_hand() -> None:
    """Send iff P(m wrong) > c_e + c_1 * P(e wrong); equality stays local."""
    sends = bayes_defers(tensor([0.5, 0.75, 0.0]), tensor([1.0, 1.0, 0.5]), c_e=0.25, c_1=1.0)
    assert sends.tolist() == [True, False, True]


@pytest.mark.parametrize("form", ["nonnegative", "cost_sensitive"])
@settings(deadline=None)
@given(c_e=costs, c_1=costs, ends=st.tuples(logit, logit, logit, logit), outcome=st.integers(0, 3))
def test_default_and_cost_sensitive_are_convex(
    form: str, c_e: float, c_1: float, ends: tuple[float, float, float, float], outcome: int
) -> None:
    """Law: for every cost, the loss halfway is at most the mean of the losses at the ends."""
    weights = rejector_weights(CLIENT.double(), SERVER.double(), c_e, c_1, form)
    w_local, w_remote = (weight[outcome : outcome + 1] for weight in weights)
    assert min(w_local.item(), w_remote.item()) >= 0.0
    a, b = tensor([ends[:2]], dtype=torch.float64), tensor([ends[2:]], dtype=torch.float64)
    at_ends = (rejector_loss(a, w_local, w_remote) + rejector_loss(b, w_local, w_remote)) / 2
    assert rejector_loss((a + b) / 2, w_local, w_remote) <= at_ends + 1e-9


def test_the_paper_form_is_unbounded_where_costs_are_high() -> None:
    """Beyond c_e + c_1 = 1 a wrong server's weight is negative, and the loss falls without end."""
    weights = rejector_weights(tensor([0.0]), tensor([0.0]), C_E, C_1, "paper")
    losses = [rejector_loss(tensor([[scale, 0.0]]), *weights).item() for scale in (0.0, 10.0, 1000.0)]
    assert losses[0] > losses[1] > losses[2]


def best_free_choice(p_m: float, p_e: float, c_e: float, c_1: float, form: str) -> bool:
    """Whether the minimiser of the expected loss at one x sends, m and e being independent given x.

    The expected loss is that of the expected weights; with both non-negative its minimiser sets the
    softmax to their ratio, so it sends iff the remote one is larger.
    """
    w_local, w_remote = rejector_weights(CLIENT.double(), SERVER.double(), c_e, c_1, form)
    chances = tensor([(m * p_m + (1 - m) * (1 - p_m)) * (e * p_e + (1 - e) * (1 - p_e)) for m, e in OUTCOMES])
    return bool((chances.double() @ w_remote) > (chances.double() @ w_local))


OUTCOMES = list(product((0, 1), (0, 1)))


@pytest.mark.parametrize("form", ["nonnegative", "cost_sensitive", "paper"])
@settings(deadline=None)
@given(p_m=chances, p_e=chances, c_e=costs, c_1=costs)
def test_minimisers_follow_the_bayes_rule(form: str, p_m: float, p_e: float, c_e: float, c_1: float) -> None:
    if form == "paper":  # its weights stay non-negative, so that a minimiser exists, only below 1
        total = max(1.0, c_e + c_1)
        c_e, c_1 = c_e / total, c_1 / total
    if abs((1 - p_m) - c_e - c_1 * (1 - p_e)) < 1e-5:
        return  # a tie, which rounding may break either way
    bayes = bayes_defers(tensor(p_m).double(), tensor(p_e).double(), c_e, c_1).item()
    assert best_free_choice(p_m, p_e, c_e, c_1, form) == bayes


def test_training_on_a_finite_distribution_reaches_the_bayes_rule() -> None:
    """Gradient descent itself, a free r for each of four inputs, c_1 > 1."""
    p_m, p_e = tensor([0.9, 0.5, 0.2, 0.3]), tensor([0.9, 0.95, 0.5, 0.99])
    chances = torch.stack(
        [(m * p_m + (1 - m) * (1 - p_m)) * (e * p_e + (1 - e) * (1 - p_e)) for m, e in OUTCOMES]
    )
    w_local, w_remote = rejector_weights(CLIENT, SERVER, 0.1, C_1, "nonnegative")
    logits = torch.zeros(4, 2, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        rejector_loss(logits, w_local @ chances, w_remote @ chances).backward()
        optimiser.step()
    sends = logits[:, 1] > logits[:, 0]
    assert sends.tolist() == bayes_defers(p_m, p_e, 0.1, C_1).tolist() == [False, True, False, True]


def test_the_released_form_is_not_bayes_consistent() -> None:
    """A server that is always wrong attracts it."""
    assert best_free_choice(p_m=0.9, p_e=0.0, c_e=0.1, c_1=1.0, form="released")
    assert not bayes_defers(tensor(0.9), tensor(0.0), 0.1, 1.0)


def test_a_weighted_server_loss_is_a_weighted_mean() -> None:
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 2, 1, 1])
    each = torch.stack([server_loss(logits[i : i + 1], labels[i : i + 1]) for i in range(4)])
    weights = torch.tensor([1.0, 0.0, 2.0, 5.0])
    torch.testing.assert_close(server_loss(logits, labels, weights), (weights * each).sum() / 8)
    torch.testing.assert_close(server_loss(logits, labels, torch.ones(4)), server_loss(logits, labels))
