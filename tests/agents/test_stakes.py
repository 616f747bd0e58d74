"""What is at stake: the cost of a send, with availability where it counts, and its Bayes price."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_fleets import group, scenario

from agents.evaluation.cost_model import CostModel
from agents.fleet import open_fleet
from agents.rejectors.losses import outcome_weights, rejector_weights

costs = st.floats(0, 3)
shares = st.floats(0.05, 1)
CLIENT, SERVER = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])


def test_a_send_costs_its_price_and_the_servers_mistakes() -> None:
    assert CostModel(0.25, 2.0).cost_remote(CLIENT, SERVER).tolist() == [2.25, 0.25, 2.25, 0.25]


def test_what_is_not_answered_costs_the_clients_mistakes() -> None:
    sent = CostModel(0.25, 2.0, availability=0.5).cost_remote(CLIENT, SERVER)
    assert sent.tolist() == [1.75, 0.75, 1.25, 0.25]
    answered = CostModel(0.25, 2.0, availability=0.5, charge_on="answer").cost_remote(CLIENT, SERVER)
    assert answered.tolist() == [1.625, 0.625, 1.125, 0.125]


@given(
    chance=st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    c_e=costs,
    c_1=costs,
    a=shares,
    charge_on=st.sampled_from(["send", "accept", "answer"]),
)
def test_the_cheaper_side_is_told_by_the_gain_and_its_price(
    chance: list[float], c_e: float, c_1: float, a: float, charge_on: str
) -> None:
    """Law: a send is cheaper in expectation iff P(m!=y) - c_1*P(e!=y) > c_e*P(charged)/a."""
    p = np.array(chance) / sum(chance)
    cost_model = CostModel(c_e, c_1, a, charge_on)
    gain = p @ (1 - CLIENT) - c_1 * (p @ (1 - SERVER))
    saved = p @ (1 - CLIENT) - p @ cost_model.cost_remote(CLIENT, SERVER)
    assert saved == pytest.approx(a * (gain - cost_model.bayes_price), abs=1e-9)


@given(c_e=costs, c_1=costs, a=shares)
def test_availability_changes_nothing_if_only_answers_are_charged(c_e: float, c_1: float, a: float) -> None:
    assert CostModel(c_e, c_1, a, "answer").bayes_price == pytest.approx(CostModel(c_e, c_1).bayes_price)


def test_a_server_that_never_answers_is_never_worth_its_price() -> None:
    assert CostModel(0.1, 1.0, 0.0).bayes_price == math.inf


@given(c_e=costs, c_1=costs, a=shares, charge_on=st.sampled_from(["send", "answer"]))
def test_weights_of_outcomes_are_those_of_the_public_function(
    c_e: float, c_1: float, a: float, charge_on: str
) -> None:
    """And never negative: K follows the costs that availability makes."""
    client, server = torch.tensor(CLIENT), torch.tensor(SERVER)
    cost_model = CostModel(c_e, c_1, a, charge_on)
    given_cost = cost_model.cost_remote(client, server)
    local, remote = rejector_weights(client, server, c_e, c_1, "nonnegative", given_cost)
    ours = outcome_weights(cost_model, "nonnegative")
    torch.testing.assert_close(ours[:, 0].double(), local, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[:, 1].double(), remote, atol=1e-5, rtol=1e-5)
    assert (ours >= 0).all()


def deferral_rate(cache: Path, observed: float | None = None, **training: object) -> float:
    asked = scenario(
        group(), epochs=20, training={"pretrain": {"epochs": 20}, **training}, costs={"c_e": 0.3}
    )
    with open_fleet(asked, workers=0, cache=cache, availability=observed) as fleet:
        fleet.build()
        fleet.learn()
        return fleet.decide().study["deferral_rate"][0]


def test_who_learns_with_outages_sends_less(cache: Path) -> None:
    always, seldom = deferral_rate(cache), deferral_rate(cache, availability=0.4)
    assert seldom < always
    assert deferral_rate(cache, availability="observed", observed=0.4) == seldom
