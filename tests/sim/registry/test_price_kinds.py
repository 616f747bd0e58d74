"""What holds for every kind of price: its code is there, and it keeps to what its entry says of it."""

from __future__ import annotations

from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from worlds import group_of, scenario_of

from sim.policy.controllers import CONTROLLERS, moving_price
from sim.policy.outcomes import Outcome, Request
from sim.policy.prices import FIXED, fixed_price, is_calibrated
from sim.registry.prices import PRICES
from sim.registry.scores import SCORES
from sim.results.columns import OUTCOMES
from sim.scenario.rules.prices import prices_suit_their_scores
from sim.scenario.schema.fleet import Policy

ASKED = Request(0, 0, 0.0, 0.0, inf, 0, 0.5)


def heard(outcome: int, backlog: int) -> Outcome:
    return Outcome(7, 1, 0.3, 0, 0.0, outcome, backlog, server_label=-1, client_label=1)


every_price = pytest.mark.parametrize("written", PRICES.examples().values(), ids=str)


def test_every_price_has_its_code_and_nothing_else_has() -> None:
    """What keeps state has a controller; of the others only the coin has no price of its own."""
    assert set(CONTROLLERS) == {name for name, price in PRICES.items() if price.keeps_state}
    fixed = {name for name, price in PRICES.items() if not price.keeps_state and not price.needs_bayes_price}
    assert set(FIXED) == fixed


@every_price
@pytest.mark.parametrize("score", SCORES)
def test_costs_are_held_against_gains_alone(written: dict[str, Any], score: str) -> None:
    made = scenario_of(fleet=(group_of(policy={"score": "plug_in", "price": {"kind": "always_local"}}),))
    ruled = Policy.model_validate({"score": score, "price": written})
    group = made.fleet[0].model_copy(update={"policy": ruled})
    told = list(prices_suit_their_scores(made.model_copy(update={"fleet": (group,)})))
    price, known = PRICES[written["kind"]], SCORES[score]
    lacks_gain = price.unit == "cost" and known.unit == "rank"
    lacks_rule = price.needs_bayes_price and not known.has_bayes_price
    lacks_calibration = price.is_chosen and known.made_from == "draw"
    assert len(told) == (lacks_gain or lacks_rule or lacks_calibration)
    assert is_calibrated(ruled) == (price.needs_calibration and score != "random")


@every_price
def test_what_a_price_remembers_is_its_clients_own_few_numbers(written: dict[str, Any]) -> None:
    """It says the same whoever else asked before, and is a number whatever it heard."""
    made = scenario_of(fleet=(group_of(policy={"score": "plug_in", "price": written}, timeout_s=1.0),))
    kind, price = PRICES[written["kind"]], moving_price(made, made.fleet[0])
    assert (price is not None) == kind.keeps_state
    if price is None:
        assert kind.needs_bayes_price or not isnan(fixed_price(made.fleet[0].policy))
        return
    p, first = price.parameters(), np.array(price.begin())
    one, other = first.copy(), first.copy()
    for at_s, outcome in enumerate(("remote", "refused", "timed_out", "remote"), start=1):
        told = []
        for m in (one, other):
            told.append(price.threshold(p, m, at_s, ASKED))
            price.on_decision(p, m, at_s, at_s % 2 == 1)
            before = m.tolist()
            price.on_outcome(p, m, at_s + 0.5, heard(OUTCOMES.index(outcome), at_s - 1))
            assert kind.uses_feedback or m.tolist() == before
        assert told[0] == told[1]
        assert not isnan(told[0])
    assert one.tolist() == other.tolist()
    assert price.begin() == tuple(first.tolist())
