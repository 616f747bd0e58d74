"""How much risk a rejector may have whose surrogate loss is nearly least: the bound, that it is sharp, and
the laws of the risk that it rests on. All exact, on finite populations."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from bayes_rule import bayes_defers, generalised_risk
from distributions import BAYES_CONSISTENT, Population, draw_population
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.rejectors.losses import rejector_loss, rejector_weights

ROUNDING = 1e-12  # sums of a few hundred numbers of size 1 to 10 in float64 differ by a hundredth of it

seeds = st.integers(0, 2**32 - 1)
costs = st.floats(0.0, 5.0)
small_worlds = st.builds(draw_population, seeds, inputs=st.integers(1, 6), classes=st.integers(2, 4))


def bayes_of(world: Population, c_e: float, c_1: float) -> Tensor:
    return bayes_defers(world.p_correct(world.client), world.p_correct(world.server), c_e, c_1)


@settings(deadline=None)
@given(world=small_worlds, c_e=costs, c_1=costs)
def test_no_rule_has_a_lower_risk_than_the_bayes_rule(world: Population, c_e: float, c_1: float) -> None:
    """Every one of the up to 64 rules is tried."""
    rules = [torch.tensor(rule) for rule in product((False, True), repeat=len(world.counts))]
    best = min(world.risk(rule, c_e, c_1) for rule in rules)
    assert abs(world.risk(bayes_of(world, c_e, c_1), c_e, c_1) - best) < ROUNDING


@settings(deadline=None)
@given(world=small_worlds, c_e=costs, c_1=costs)
def test_no_pair_of_server_and_rule_beats_the_bayes_pair(world: Population, c_e: float, c_1: float) -> None:
    """The risk of any e with its own best rule is at least that of e* = argmax eta with the Bayes rule."""
    best = world.with_bayes_server()
    of_pair = world.risk(bayes_of(world, c_e, c_1), c_e, c_1)
    assert best.risk(bayes_of(best, c_e, c_1), c_e, c_1) <= of_pair + ROUNDING


@settings(deadline=None)
@given(world=small_worlds, seed=seeds, c_e=costs, c_1=costs)
def test_excess_risk_is_the_margin_where_a_rule_is_wrong(
    world: Population, seed: int, c_e: float, c_1: float
) -> None:
    """R(rule) - R(Bayes) = E[|margin(x)| * 1[rule(x) is not the Bayes decision]]."""
    rule = torch.rand(len(world.counts), generator=torch.Generator().manual_seed(seed)) < 0.5
    bayes = bayes_of(world, c_e, c_1)
    lost = (world.margin(c_e, c_1).abs() * (rule != bayes))[world.input_of_row].mean().item()
    assert abs(world.risk(rule, c_e, c_1) - world.risk(bayes, c_e, c_1) - lost) < ROUNDING


@pytest.mark.parametrize("form", BAYES_CONSISTENT)
@settings(deadline=None)
@given(world=small_worlds, seed=seeds, scale=st.floats(0.0, 20.0), c_e=costs, c_1=costs)
def test_a_small_surrogate_regret_bounds_the_excess_risk(
    form: str, world: Population, seed: int, scale: float, c_e: float, c_1: float
) -> None:
    """Theorem 5: R(r) - R* <= sqrt(2*S*(L_2(r) - L_2*)), S the largest E[w_local + w_remote | x]."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(len(world.counts), 2, generator=generator, dtype=torch.float64)
    sends = logits[:, 1] > logits[:, 0]
    excess = world.risk(sends, c_e, c_1) - world.risk(bayes_of(world, c_e, c_1), c_e, c_1)
    regret, largest_sum = surrogate_regret(world, logits, c_e, c_1, form)
    assert regret >= -ROUNDING
    assert excess <= (2 * largest_sum * max(regret, 0.0)) ** 0.5 + 1e-6  # the root of ROUNDING


@pytest.mark.parametrize("form", BAYES_CONSISTENT)
def test_the_bound_on_the_excess_risk_is_sharp(form: str) -> None:
    """An undecided rejector, which stays local, where sending would have been better by 0.001."""
    world = Population(torch.tensor([[600, 400]]), client=torch.tensor([1]), server=torch.tensor([0]))
    c_e, c_1 = 0.199, 1.0
    torch.testing.assert_close(world.margin(c_e, c_1), torch.tensor([0.001], dtype=torch.float64))
    regret, largest_sum = surrogate_regret(world, torch.zeros(1, 2, dtype=torch.float64), c_e, c_1, form)
    excess = world.risk(torch.tensor([False]), c_e, c_1) - world.risk(torch.tensor([True]), c_e, c_1)
    assert 0.999 < excess / (2 * largest_sum * regret) ** 0.5 <= 1.0


def surrogate_regret(
    world: Population, logits: Tensor, c_e: float, c_1: float, form: str
) -> tuple[float, float]:
    """(L_2(r) - L_2*, max E[w_local + w_remote | x]) of logits (inputs, 2).

    L_2* = E[S*H(w_remote/S)] with S = w_local + w_remote in the mean at x, and H the entropy in nats.
    """
    rows, answers = world.input_of_row, (world.correct(world.client), world.correct(world.server))
    weights = torch.stack(rejector_weights(*answers, c_e, c_1, form), dim=1)
    sums = torch.zeros(len(logits), 2, dtype=torch.float64).index_add(0, rows, weights)
    mean = sums / world.counts.sum(dim=1, keepdim=True)
    total = mean.sum(dim=1)
    least = (torch.xlogy(total, total) - torch.xlogy(mean, mean).sum(dim=1))[rows].mean()
    loss = rejector_loss(logits[rows], weights[:, 0], weights[:, 1])
    return (loss - least).item(), total.max().item()


bits = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=30)


@settings(deadline=None)
@given(rows=bits, c_e=costs, c_1=costs)
def test_a_rule_and_its_opposite_share_out_the_two_extremes(
    rows: list[tuple[bool, bool, bool]], c_e: float, c_1: float
) -> None:
    """R(rule) + R(not rule) = R(all local) + R(all remote), and both extremes are plain means."""
    sends, client, server = torch.tensor(rows).T
    client, server = client.double(), server.double()
    none, every = torch.zeros_like(sends), torch.ones_like(sends)

    def risk(rule: Tensor) -> float:
        return generalised_risk(rule, client, server, c_e, c_1).item()

    assert abs(risk(none) - (1.0 - client.mean().item())) < ROUNDING
    assert abs(risk(every) - (c_e + c_1 * (1.0 - server.mean().item()))) < ROUNDING
    assert abs(risk(sends) + risk(~sends) - risk(none) - risk(every)) < ROUNDING


@settings(deadline=None)
@given(rows=bits, c_e=costs, c_1=costs, seed=seeds)
def test_the_risk_does_not_know_the_order_of_samples(
    rows: list[tuple[bool, bool, bool]], c_e: float, c_1: float, seed: int
) -> None:
    table = torch.tensor(rows)
    mixed = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))]
    before, after = (generalised_risk(*part.double().T, c_e, c_1).item() for part in (table, mixed))
    assert abs(before - after) < ROUNDING


@settings(deadline=None)
@given(rows=bits, c_e=costs, c_1=costs)
def test_the_oracle_is_a_lower_bound_for_every_rule(
    rows: list[tuple[bool, bool, bool]], c_e: float, c_1: float
) -> None:
    """Who knows both answers sends where 1[m!=y] > c_e + c_1*1[e!=y], the Bayes rule at chances 0 and 1."""
    sends, client, server = torch.tensor(rows).double().T
    oracle = bayes_defers(client, server, c_e, c_1)
    best = generalised_risk(oracle, client, server, c_e, c_1)
    assert best <= generalised_risk(sends, client, server, c_e, c_1) + ROUNDING


chance = st.floats(0.0, 1.0)


@settings(deadline=None)
@given(p_m=st.tuples(chance, chance), p_e=st.tuples(chance, chance), price=st.tuples(costs, costs), c_1=costs)
def test_the_bayes_rule_is_monotone(
    p_m: tuple[float, float], p_e: tuple[float, float], price: tuple[float, float], c_1: float
) -> None:
    """A worse client, a better server and a lower price never turn a send into a local answer."""
    reluctant = bayes_defers(torch.tensor(max(p_m)), torch.tensor(min(p_e)), max(price), c_1)
    eager = bayes_defers(torch.tensor(min(p_m)), torch.tensor(max(p_e)), min(price), c_1)
    assert eager or not reluctant


def test_a_tie_stays_local() -> None:
    """P(m!=Y|x) = 0.5 = c_e + c_1*P(e!=Y|x), in numbers that are exact in binary; one bit more sends."""
    half = torch.tensor([0.5, 0.5 - 2**-24])
    assert bayes_defers(half, torch.tensor([0.75, 0.75]), 0.25, 1.0).tolist() == [False, True]
