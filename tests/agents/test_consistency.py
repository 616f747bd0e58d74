"""Bayes consistency where eta is known: what minimises each form over all functions, and how it decides.
Minimisers come from `rejector_loss` itself, by Newton's method, and from the closed form of its weights."""

from __future__ import annotations

import pytest
import torch
from bayes_rule import bayes_defers
from distributions import (
    BAYES_CONSISTENT,
    COSTS,
    Population,
    draw_mixture,
    draw_population,
    free_minimiser,
    mixture_eta,
)
from torch import Tensor

from agents.rejectors.losses import rejector_loss, rejector_weights, server_loss

# A margin, P(m!=Y|x) - c_e - c_1*P(e!=Y|x), closer to 0 than this is a tie, which rounding may break either
# way: weights of a few units carry errors of 1e-15, so a thousand times the largest error seen is still less.
TIE = 1e-9
SEEDS = range(3)
BEYOND_ONE = [costs for costs in COSTS if sum(costs) > 1.0]
WITHIN_ONE = [costs for costs in COSTS if sum(costs) <= 1.0]
WORLDS = [draw_population(seed) for seed in SEEDS]
WORLDS += [world.with_bayes_server() for world in WORLDS]


def weights_of(world: Population, c_e: float, c_1: float, form: str) -> tuple[Tensor, Tensor]:
    """The weights row by row."""
    return rejector_weights(world.correct(world.client), world.correct(world.server), c_e, c_1, form)


def expected(world: Population, of_rows: Tensor) -> Tensor:
    """E[. | x], float64 (inputs,), of a number per row."""
    sums = torch.zeros(len(world.counts), dtype=torch.float64).index_add(0, world.input_of_row, of_rows)
    return sums / world.counts.sum(dim=1)


def bayes_of(world: Population, c_e: float, c_1: float) -> Tensor:
    return bayes_defers(world.p_correct(world.client), world.p_correct(world.server), c_e, c_1)


@pytest.mark.slow
@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@pytest.mark.parametrize("costs", COSTS)
def test_the_minimiser_is_the_bayes_rule(form: str, costs: tuple[float, float]) -> None:
    """Theorem 1, for the Bayes server and for arbitrary ones, below and above c_e + c_1 = 1."""
    for world in WORLDS:
        weights = weights_of(world, *costs, form)
        decided = world.margin(*costs).abs() > TIE
        result = free_minimiser(world.input_of_row, *weights)
        assert torch.equal((result > 0)[decided], bayes_of(world, *costs)[decided])


@pytest.mark.slow
@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@pytest.mark.parametrize("costs", COSTS)
def test_newton_finds_the_closed_form(form: str, costs: tuple[float, float]) -> None:
    """sigma_remote of the minimiser is E[w_remote|x] / (E[w_local|x] + E[w_remote|x]); 0/0 is free.

    1e-12 is what the last Newton step leaves at most; a difference of weights in the tests' worlds is 1e-3.
    """
    for world in WORLDS:
        weights = weights_of(world, *costs, form)
        w_local, w_remote = (expected(world, weight) for weight in weights)
        share = torch.sigmoid(free_minimiser(world.input_of_row, *weights))
        closed = w_remote / (w_local + w_remote)
        free = w_local + w_remote < TIE
        assert (share - closed)[~free].abs().max() < 1e-12


def test_the_worlds_ask_for_both_decisions_at_every_cost() -> None:
    """Else the two tests above would pass with a rule that always answers the same."""
    for costs in COSTS:
        sent = torch.cat([bayes_of(world, *costs) for world in WORLDS]).double().mean().item()
        assert 0.02 < sent < 0.99, (costs, sent)


@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@pytest.mark.parametrize("costs", COSTS)
def test_the_minimiser_on_a_mixture_of_gaussians(form: str, costs: tuple[float, float]) -> None:
    """Theorem 1 at 500 points of a continuous x: a row per point and class, weighted by eta."""
    points = draw_mixture(500, seed=4).points
    eta = mixture_eta(points)
    client = (points[:, 0] > 0).long()  # half a plane each, and never class 2
    server = eta.argmax(dim=1)
    labels = torch.arange(3).repeat(500)
    rows = torch.arange(500).repeat_interleave(3)
    correct = [(answers[rows] == labels).double() for answers in (client, server)]
    weights = [eta.flatten() * weight for weight in rejector_weights(*correct, *costs, form)]
    p_correct = [eta.gather(1, answers[:, None])[:, 0] for answers in (client, server)]
    bayes = bayes_defers(*p_correct, *costs)
    result = free_minimiser(rows, *weights)
    margin = (1 - p_correct[0]) - costs[0] - costs[1] * (1 - p_correct[1])
    decided = margin.abs() > TIE
    assert decided.double().mean() > 0.4  # at costs (0, 1) every point where m and e agree is a tie
    assert bayes.any()
    assert torch.equal((result > 0)[decided], bayes[decided])


@pytest.mark.slow
@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@pytest.mark.parametrize("costs", [(0.1, 0.6), (0.1, 1.6), (0.1, 4.0)])
def test_alternating_stages_end_at_the_bayes_rule(form: str, costs: tuple[float, float]) -> None:
    """Theorem 2: one step of L_1, one of L_2 on the current e, over all functions: e* = argmax eta, r* Bayes.

    1,000 steps of Adam with a falling rate bring every margin above 0.005 to its side.
    """
    world = draw_population(seed=7)
    server, rejector = alternate(world, *costs, form)
    learned = server.argmax(dim=1)
    best = world.eta.max(dim=1).values
    torch.testing.assert_close(world.p_correct(learned), best, atol=0.0, rtol=0.0)
    torch.testing.assert_close(torch.softmax(server, dim=1), world.eta, atol=0.01, rtol=0.0)
    bayes = bayes_defers(world.p_correct(world.client), best, *costs)
    decided = world.with_bayes_server().margin(*costs).abs() > 0.005
    assert torch.equal((rejector[:, 1] > rejector[:, 0])[decided], bayes[decided])
    assert decided.double().mean() > 0.9


def alternate(world: Population, c_e: float, c_1: float, form: str) -> tuple[Tensor, Tensor]:
    """e's logits (inputs, classes) and r's (inputs, 2), free at each input, after stage-switching steps."""
    rows, labels = world.input_of_row, world.label_of_row
    server = torch.zeros(world.counts.shape, dtype=torch.float64, requires_grad=True)
    rejector = torch.zeros(len(world.counts), 2, dtype=torch.float64, requires_grad=True)
    optimisers = [torch.optim.Adam([table], lr=0.1) for table in (server, rejector)]
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(one, 1000) for one in optimisers]
    client_correct = world.correct(world.client)
    for _ in range(1000):
        server_correct = server.argmax(dim=1)[rows] == labels
        weights = rejector_weights(client_correct, server_correct, c_e, c_1, form)
        losses = server_loss(server[rows], labels), rejector_loss(rejector[rows], *weights)
        for optimiser, schedule, loss in zip(optimisers, schedules, losses, strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return server.detach(), rejector.detach()


@pytest.mark.parametrize("costs", WITHIN_ONE)
def test_the_paper_form_is_consistent_up_to_one(costs: tuple[float, float]) -> None:
    for world in WORLDS:
        decided = world.margin(*costs).abs() > TIE
        result = free_minimiser(world.input_of_row, *weights_of(world, *costs, "paper"))
        assert torch.equal((result > 0)[decided], bayes_of(world, *costs)[decided])


@pytest.mark.parametrize("costs", BEYOND_ONE)
def test_the_paper_form_is_unbounded_below_beyond_one(costs: tuple[float, float]) -> None:
    """Theorem 3: where c_e + c_1*P(e!=Y|x) > 1 the loss falls along r_local - r_remote = t, without end, at
    a rate that tends to |E[w_remote|x]|; so no minimiser exists. One such input among many is enough.
    """
    unbounded = 0
    for world in WORLDS:
        weights = weights_of(world, *costs, "paper")
        sinking = expected(world, weights[1]) < -TIE
        if not sinking.any():  # costs near 1 and a server that is never that wrong: still bounded
            continue
        per_unit = (weights[1] * sinking[world.input_of_row]).mean().item()
        at = [ray(world, weights, sinking, t) for t in (0.0, 1e2, 1e4, 1e6)]
        assert at[0] > at[2] > at[3]
        assert (at[3] - at[2]) / (1e6 - 1e4) == pytest.approx(per_unit, rel=1e-6)
        unbounded += 1
    assert unbounded >= len(SEEDS)


@pytest.mark.parametrize("costs", BEYOND_ONE)
def test_every_sample_where_the_server_errs_sinks_the_paper_form(costs: tuple[float, float]) -> None:
    """On a sample, where each x is seen once, c_e + c_1 > 1 is all that it takes."""
    for client_correct in (0.0, 1.0):
        weights = rejector_weights(torch.tensor([client_correct]), torch.tensor([0.0]), *costs, "paper")
        losses = [rejector_loss(torch.tensor([[t, 0.0]]), *weights).item() for t in (1e2, 1e4, 1e6)]
        assert losses[0] > losses[1] > losses[2]
        assert losses[2] < -1e6 * (sum(costs) - 1.0) * 0.99


def ray(world: Population, weights: tuple[Tensor, Tensor], along: Tensor, t: float) -> float:
    """The loss where r_local - r_remote = t on the inputs `along`, and 0 on the others."""
    halves = (along * t / 2)[world.input_of_row]
    return rejector_loss(torch.stack([halves, -halves], dim=1), *weights).item()


@pytest.mark.parametrize("costs", BEYOND_ONE)
def test_the_paper_form_still_decides_as_bayes_with_a_free_r(costs: tuple[float, float]) -> None:
    """Theorem 3: where it is unbounded its slope is positive everywhere, so every descent ends at LOCAL, as
    the Bayes rule does there; elsewhere its weights are not negative, and it has the Bayes minimiser.
    """
    world = WORLDS[0]
    weights = weights_of(world, *costs, "paper")
    w_local, w_remote = (expected(world, weight) for weight in weights)
    bayes = bayes_of(world, *costs)
    sinking = w_remote < -TIE
    assert not bayes[sinking].any()
    for start in torch.linspace(-30.0, 30.0, 61, dtype=torch.float64).tolist():
        rejector = torch.zeros(len(sinking), 2, dtype=torch.float64)
        rejector[:, 1] = start
        rejector.requires_grad_()
        rejector_loss(rejector[world.input_of_row], *weights).backward()
        assert (rejector.grad[sinking, 1] > 0).all()
    decided = (world.margin(*costs).abs() > TIE) & ~sinking
    assert torch.equal((w_remote > w_local)[decided], bayes[decided])


def test_the_released_form_is_not_consistent() -> None:
    """Theorem 4: one input, m right with chance 0.6, e with 0.25. Sending costs 0.1 + 0.75 against 0.4."""
    world = Population(torch.tensor([[12, 5, 3]]), client=torch.tensor([0]), server=torch.tensor([1]))
    assert world.p_correct(world.client).item() == 0.6
    assert world.p_correct(world.server).item() == 0.25
    assert not bayes_of(world, 0.1, 1.0).item()
    result = free_minimiser(world.input_of_row, *weights_of(world, 0.1, 1.0, "released"))
    torch.testing.assert_close(result.exp(), torch.tensor([1.65 / 0.6], dtype=torch.float64))  # sends
    risks = [world.risk(torch.tensor([sends]), 0.1, 1.0) for sends in (False, True)]
    assert risks == pytest.approx([0.4, 0.85])


def test_the_released_form_sends_more_where_the_server_is_worse() -> None:
    """The sign of c_1 is the wrong way round: among equal clients, its pull grows with P(e!=Y|x)."""
    counts = torch.tensor([[10, 9, 1]] * 3)
    world = Population(counts, client=torch.tensor([0, 0, 0]), server=torch.tensor([0, 1, 2]))
    pulls = {
        form: free_minimiser(world.input_of_row, *weights_of(world, 0.1, 1.0, form)).tolist()
        for form in ("released", *BAYES_CONSISTENT)
    }
    assert pulls["released"] == sorted(pulls["released"])
    for form in BAYES_CONSISTENT:
        assert pulls[form] == sorted(pulls[form], reverse=True)


def test_how_often_the_released_form_disagrees() -> None:
    """Over these worlds and costs, at 39% of the inputs; at costs (0.1, 4), where few are worth it, 87%."""
    shares = {costs: disagreement("released", costs) for costs in COSTS}
    assert 0.35 < sum(shares.values()) / len(shares) < 0.45
    assert shares[(0.1, 4.0)] > 0.8
    for form in BAYES_CONSISTENT:
        assert max(disagreement(form, costs) for costs in COSTS) == 0.0


def disagreement(form: str, costs: tuple[float, float]) -> float:
    """The share of inputs, of all worlds, whose closed-form decision is not the Bayes rule's."""
    wrong, evaluation_set = 0, 0
    for world in WORLDS:
        w_local, w_remote = (expected(world, weight) for weight in weights_of(world, *costs, form))
        decided = world.margin(*costs).abs() > TIE
        wrong += int(((w_remote > w_local) != bayes_of(world, *costs))[decided].sum())
        evaluation_set += int(decided.sum())
    return wrong / evaluation_set
