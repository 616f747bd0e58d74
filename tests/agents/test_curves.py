"""Curves: accuracy and risk against the deferral rate, by hand and by law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried import tried

from agents.evaluation import curves
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import (
    RATES,
    EvaluationSet,
    LearningCurve,
    deferral_curve,
    deferral_table,
    learning_table,
    random_curve,
)
from sim.results.columns import DEFERRAL, LEARNING

FOUR = EvaluationSet(
    client_correct=np.array([[False, False, True, True]]),
    server_correct=np.array([False, True, False, True]),
    variant_of_row=np.array([0]),
    share=np.array([1.0]),
)
AT_HALF = int(np.flatnonzero(np.isclose(RATES, 0.5))[0])


def one_row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def test_a_curve_by_hand() -> None:
    """Half sent: the two samples with the highest scores, of which the server has one right."""
    accuracy, risk = deferral_curve(one_row(0.9, 0.8, 0.1, 0.2), FOUR, CostModel(0.25, 2.0))
    assert accuracy[[0, AT_HALF, -1]].tolist() == [0.5, 0.75, 0.5]
    assert risk[[0, AT_HALF, -1]].tolist() == [0.5, (2.25 + 0.25) / 4, 1.25]


def test_ties_are_sent_in_the_order_of_samples() -> None:
    accuracy, _ = deferral_curve(one_row(0.0, 0.0, 0.0, 0.0), FOUR, CostModel(0.0, 1.0))
    assert accuracy[AT_HALF] == 0.75


def test_rows_count_by_their_share_of_clients() -> None:
    """Three of four clients send the first sample first, one sends the last."""
    evaluation_set = EvaluationSet(
        FOUR.client_correct, FOUR.server_correct, np.array([0, 0]), np.array([0.75, 0.25])
    )
    scores = np.array([[0.9, 0.8, 0.1, 0.2], [0.1, 0.2, 0.9, 0.8]], dtype=np.float32)
    accuracy, _ = deferral_curve(scores, evaluation_set, CostModel(0.0, 1.0))
    assert accuracy[AT_HALF] == pytest.approx(0.75 * 0.75 + 0.25 * 0.25)


def test_many_rows_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.Generator(np.random.Philox(key=1)).random((7, 4), dtype=np.float32)
    evaluation_set = EvaluationSet(
        FOUR.client_correct, FOUR.server_correct, np.zeros(7, dtype=np.int64), np.full(7, 1 / 7)
    )
    whole = deferral_curve(scores, evaluation_set, CostModel(0.25, 2.0))
    monkeypatch.setattr(curves, "ROWS_AT_ONCE", 3)
    np.testing.assert_allclose(deferral_curve(scores, evaluation_set, CostModel(0.25, 2.0)), whole)


def test_random_sending_is_a_straight_line() -> None:
    accuracy, risk = random_curve(FOUR, CostModel(0.25, 2.0))
    np.testing.assert_allclose(accuracy, 0.5)
    np.testing.assert_allclose(risk, 0.5 + 0.75 * RATES)


answers = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=40
)


@tried(50)
@given(answers=answers, c_e=st.floats(0, 1), c_1=st.floats(0, 2))
def test_no_score_beats_the_oracle(answers: list[tuple[bool, bool, float]], c_e: float, c_1: float) -> None:
    """Law: at every deferral rate the oracle's risk is a lower bound, and all curves share both ends."""
    client, server, score = (np.array(column) for column in zip(*answers, strict=True))
    evaluation_set = EvaluationSet(client[None], server, np.array([0]), np.array([1.0]))
    gain = (~client).astype(np.float32) - np.float32(c_1) * (~server)
    bound = deferral_curve(gain[None], evaluation_set, CostModel(c_e, c_1))[1]
    line = random_curve(evaluation_set, CostModel(c_e, c_1))[1]
    any_score = deferral_curve(score.astype(np.float32)[None], evaluation_set, CostModel(c_e, c_1))[1]
    assert (bound <= any_score + 1e-6).all()
    np.testing.assert_allclose(bound[[0, -1]], any_score[[0, -1]], atol=1e-9)
    np.testing.assert_allclose(line[[0, -1]], any_score[[0, -1]], atol=1e-9)


def test_the_table_weighs_groups_by_their_clients() -> None:
    low, high = np.zeros((2, 21)), np.ones((2, 21))
    table = deferral_table({"confidence": {"a": low, "b": high}}, {"a": 30, "b": 10})
    assert list(table) == DEFERRAL.names
    assert {len(column) for column in table.values()} == {3 * 21}
    assert table["group"][::21] == ["a", "b", "all"]
    assert table["accuracy"][::21] == [0.0, 1.0, 0.25]
    assert table["deferral_rate"][:21] == pytest.approx(np.arange(21) / 20)


def test_all_speaks_of_the_whole_fleet_or_not_at_all() -> None:
    curve = np.zeros((2, 21))
    table = deferral_table({"l2h": {"a": curve}}, {"a": 30, "b": 10})
    assert set(table["group"]) == {"a"}


def test_the_learning_table_keeps_its_columns() -> None:
    curve = LearningCurve(
        "server", "", np.array([9, 18]), np.array([2.0, 1.0]), np.array([0.1, 0.5]), np.full(2, np.nan)
    )
    table = learning_table([curve])
    assert list(table) == LEARNING.names
    assert table["step"] == [9, 18]
    assert np.isnan(table["at_s"]).all()
    assert np.isnan(table["staleness"]).all()


def test_groups_whose_traffic_is_too_seldom_to_be_told_count_alike() -> None:
    """As of an MMPP with rates of 5e-324 and 0, whose mean is none."""
    low, high = np.zeros((2, len(RATES))), np.ones((2, len(RATES)))
    table = deferral_table({"confidence": {"a": low, "b": high}}, {"a": 0.0, "b": 0.0})
    whole = [value for group, value in zip(table["group"], table["accuracy"], strict=True) if group == "all"]
    assert whole == [0.5] * len(RATES)
