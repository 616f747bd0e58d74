"""The paper's coin in expectation: by hand, against tosses, and in the table of a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_fleets import MISSING, group, model, scenario

from agents.evaluation.bounded_rate import BOUNDS, bounded, coin
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet
from agents.fleet import open_fleet
from sim.results.columns import STUDY_BOUNDED

COSTS = CostModel(0.25, 1.0)


def one(client: list[bool], server: list[bool]) -> EvaluationSet:
    return EvaluationSet(np.array([client]), np.array(server), np.array([0]), np.array([1.0]))


def test_the_coin_by_hand() -> None:
    """Four tenths are sent: a bound of 0.1 keeps a quarter of them, one of 0.7 adds half of the rest."""
    add, keep = coin(np.array([0.4]))
    assert (add[0, 0], keep[0, 0]) == pytest.approx((0.0, 0.25))
    assert (add[0, 6], keep[0, 6]) == pytest.approx((0.5, 1.0))


@given(share=st.floats(0, 1))
def test_the_pool_that_it_was_set_on_is_sent_at_the_bound(share: float) -> None:
    add, keep = coin(np.array([share]))
    assert share * keep[0] + (1 - share) * add[0] == pytest.approx(BOUNDS, abs=1e-12)
    assert ((add >= 0) & (add <= 1) & (keep >= 0) & (keep <= 1)).all()


def test_what_comes_out_is_the_mean_of_many_tosses() -> None:
    draw = np.random.default_rng(3)
    client, server, sent = draw.random((3, 50)) < np.array([[0.5], [0.8], [0.4]])
    told = bounded(sent[None], np.array([0.3]), one(client.tolist(), server.tolist()), COSTS)
    add, keep = coin(np.array([0.3]))
    for at in (1, 6):
        chance = np.where(sent, keep[0, at], add[0, at])
        tosses = draw.random((20_000, 50)) < chance
        right = np.where(tosses, server, client)
        cost = np.where(tosses, 0.25 + (1.0 - server), 1.0 - client)
        assert told[:, at] == pytest.approx([tosses.mean(), right.mean(), cost.mean()], abs=0.005)


def test_parts_of_a_group_add_up() -> None:
    """Two clients that stand for a quarter and three quarters, together and one by one."""
    draw = np.random.default_rng(4)
    client, sent = draw.random((2, 2, 30)) < 0.5
    server, share, calibrated = draw.random(30) < 0.8, np.array([0.25, 0.75]), np.array([0.2, 0.6])
    whole = bounded(sent, calibrated, EvaluationSet(client, server, np.arange(2), share), COSTS)
    parts = [
        bounded(
            sent[row : row + 1],
            calibrated[row : row + 1],
            EvaluationSet(client, server, np.array([row]), share[row : row + 1]),
            COSTS,
        )
        for row in range(2)
    ]
    np.testing.assert_allclose(np.sum(parts, axis=0), whole)


def test_the_table_of_a_study(cache: Path) -> None:
    fleet = group(clients=2, partition=MISSING, model=model(variants=2))
    asked = scenario(fleet, study={"c_e": (0.1, 0.4)}, epochs=3)
    with open_fleet(asked, workers=0, cache=cache) as opened:
        opened.build()
        opened.learn()
        learned = opened.decide()
    table, study = pd.DataFrame(learned.study_bounded), pd.DataFrame(learned.study)
    assert list(table) == STUDY_BOUNDED.names
    assert len(table) == len(BOUNDS) * len(study)
    rows = table[(table["score"] == "oracle") & (table["c_e"] == 0.1)]
    ends = study[(study["score"] == "oracle") & (study["c_e"] == 0.1)].iloc[0]
    middle = (ends["risk_all_local"] + ends["risk_all_remote"]) / 2
    assert rows["risk_random"].to_numpy()[4] == pytest.approx(middle)
    assert (rows["risk"] < rows["risk_random"]).all()
