"""One request told alone is the request told among others, bit for bit: by chance, by table, by version."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from worlds import MadeUpLearner, group_of, made_up, scenario_of

from sim.engine.asking import asking
from sim.engine.decisions import decide_due, new_rows
from sim.engine.learning import Learning
from sim.engine.state import at_start
from sim.messages import Deferred, Feedback, TrainingRound
from sim.scenario import Scenario
from sim.world.parameters import rules
from sim.world.population import CLIENT_SHIFT

REQUESTS = 300
PRICES = [
    {"kind": "threshold", "at": 0.2},
    {"kind": "always_local"},
    {"kind": "always_remote"},
    {"kind": "bounded_rate", "rate": 0.4},
    {"kind": "rate_controller", "rate": 0.4, "gain": 0.2},
    {"kind": "drift_plus_penalty", "v": 2.0, "rate_hz": 0.5},
]
POLICIES = [(score, price) for score in ("l2h", "random", "entropy") for price in PRICES]
POLICIES += [("l2h", {"kind": "bounded_rate_thinned", "rate": 0.4})]
ONLINE = {"every_s": 2.0, "steps": 1, "step_s": 0.5, "rejector_steps": 1, "rejector_step_s": 0.75}


def world(policy: dict[str, Any], exploration: float, per: str) -> Scenario:
    drift = ({"at_s": 4.0, "classes": (1.0, 0.0, 2.0, 1.0, 1.0, 1.0, 0.0, 3.0, 1.0, 1.0)},)
    parts = {"clients": 4, "model": {"variants": 2}, "rejector": {"per": per}, "deadline_s": 1.5}
    first = group_of("first", clients=3)
    second = group_of("second", policy=policy, traffic={"mix": "dirichlet", "alpha": 0.5}, **parts)
    third = group_of("third", policy=policy, traffic={"mix": "all", "drift": drift}, **parts)
    training = {"online": ONLINE, "exploration": exploration}
    return scenario_of(fleet=(first, second, third), training=training)


def learned(scenario: Scenario) -> Learning:
    """As a run has it whose rounds have all been held."""
    tables = made_up(scenario)
    learner, learning = (
        MadeUpLearner(scenario, tables),
        Learning(scenario, tables, MadeUpLearner(scenario, tables)),
    )
    nobody = np.empty(0, np.int32)
    for version, at_s in enumerate(learning.schedule.in_force_at_s[1:].tolist(), start=1):
        deferred, feedback = Deferred(nobody, nobody, np.empty(0)), Feedback.nothing(scenario.clients)
        learning.models.add(
            version, learner.train_round(TrainingRound(version, at_s, at_s, deferred, feedback, nobody))
        )
    return learning


@pytest.mark.parametrize("per", ["client", "variant"])
@pytest.mark.parametrize("exploration", [0.0, 0.3])
@pytest.mark.parametrize(
    ("score", "price"), POLICIES, ids=lambda part: part if isinstance(part, str) else part["kind"]
)
def test_one_request_is_the_same_alone_and_among_others(score, price, exploration, per):
    scenario = world({"score": score, "price": price}, exploration, per)
    laid_down, learning, random = rules(scenario), learned(scenario), np.random.default_rng(0)
    client = np.sort(random.integers(0, scenario.clients, REQUESTS)).astype(np.int32)
    request_id = client.astype(np.int64) << CLIENT_SHIFT | np.arange(REQUESTS)
    at = random.integers(0, 40, REQUESTS) / 4.0
    at = at[np.lexsort((at, client))]
    decided = at + random.integers(0, 8, scenario.clients)[client] / 4.0
    due = random.random(REQUESTS) < 0.8
    assert len(np.unique(learning.schedule.rejectors.of(client, decided))) > 2
    summed = new_rows(laid_down, learning, request_id, client, at, decided)
    decide_due(laid_down, learning, at_start(scenario, 1), summed, due)
    ask = asking(laid_down, learning, at_start(scenario, 1))
    asked = zip(*(column.tolist() for column in (request_id, client, at, decided, due)), strict=True)
    alone = [ask(*one) for one in asked]
    for name, column in summed.items():
        np.testing.assert_array_equal(np.array([row[name] for row in alone], column.dtype), column, name)
