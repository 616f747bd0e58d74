"""Policy evaluation: thresholds, sides and costs, by hand and against the public risk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bayes_rule import generalised_risk
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet
from agents.evaluation.policy_evaluation import evaluate, measures, prices, summed

FOUR = EvaluationSet(
    client_correct=np.array([[False, False, True, True]]),
    server_correct=np.array([False, True, False, True]),
    variant_of_row=np.array([0]),
    share=np.array([1.0]),
)
COSTS = CostModel(0.25, 1.0)
HALF = np.array([0.5])  # sent of the calibration pool


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def test_both_sides_by_hand() -> None:
    """The first two are sent: the server has one of them right, the client none."""
    told = measures(evaluate(row(0.9, 0.8, 0.1, 0.2), np.array([0.5]), FOUR, COSTS, HALF), COSTS)
    assert (told["samples_local"], told["samples_remote"], told["deferral_rate"]) == (2.0, 2.0, 0.5)
    assert (told["client_accuracy_local"], told["server_accuracy_local"]) == (1.0, 0.5)
    assert (told["client_accuracy_remote"], told["server_accuracy_remote"]) == (0.0, 0.5)
    assert (told["server_gain_local"], told["server_gain_remote"]) == (-0.5, 0.5)
    assert told["accuracy"] == 0.75
    assert told["risk"] == pytest.approx((0.25 + 1.25) / 4)
    assert (told["risk_all_local"], told["risk_all_remote"]) == pytest.approx((0.5, 0.75))
    assert told["risk_oracle"] == pytest.approx((1.0 + 0.25) / 4)
    assert told["excess_over_oracle"] == pytest.approx(told["risk"] - told["risk_oracle"])


def test_a_side_without_samples_has_no_accuracy() -> None:
    told = measures(evaluate(row(0.9, 0.8, 0.1, 0.2), np.array([np.inf]), FOUR, COSTS, HALF), COSTS)
    assert np.isnan(told["server_gain_remote"])
    assert told["risk"] == told["risk_all_local"]


samples = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.floats(0, 1, width=16)), min_size=1, max_size=30
)


@given(samples=samples, c_e=st.floats(0, 1), c_1=st.floats(0, 2), price=st.floats(0, 1, width=32))
def test_the_risk_is_the_public_one_and_parts_add_up(
    samples: list[tuple[bool, bool, float]], c_e: float, c_1: float, price: float
) -> None:
    client, server, values = (np.array(column) for column in zip(*samples, strict=True))
    cost_model, scores = CostModel(c_e, c_1), row(*values)

    def of_clients(share: float) -> EvaluationSet:
        return EvaluationSet(client[None], server, np.array([0]), np.array([share]))

    whole = evaluate(scores, np.array([price]), of_clients(1.0), cost_model, HALF)
    deferred = torch.from_numpy(scores[0] > price)
    risk = generalised_risk(deferred, torch.from_numpy(client), torch.from_numpy(server), c_e, c_1)
    assert measures(whole, cost_model)["risk"] == pytest.approx(float(risk), abs=1e-6)
    parts = [
        evaluate(scores, np.array([price]), of_clients(share), cost_model, HALF) for share in (0.25, 0.75)
    ]
    assert measures(summed(parts), cost_model) == pytest.approx(measures(whole, cost_model), nan_ok=True)


@given(samples=samples, c_e=st.floats(0, 1), c_1=st.floats(0, 2))
def test_no_threshold_does_better_than_the_best(
    samples: list[tuple[bool, bool, float]], c_e: float, c_1: float
) -> None:
    client, server, values = (np.array(column) for column in zip(*samples, strict=True))
    cost_model, scores = CostModel(c_e, c_1), row(*values)
    evaluation_set = EvaluationSet(client[None], server, np.array([0]), np.array([1.0]))

    def risk(price: float) -> float:
        return measures(evaluate(scores, np.array([price]), evaluation_set, cost_model, HALF), cost_model)[
            "risk"
        ]

    best = risk(float(prices("confidence", cost_model, scores, evaluation_set)[0]))
    assert all(best <= risk(other) + 1e-9 for other in [-np.inf, *scores[0].tolist(), np.inf])


def test_a_threshold_sends_nothing_for_nothing() -> None:
    """Client and server agree, and a send is free: any threshold is as good, the highest is taken."""
    right = np.array([True, True, False])
    alike = EvaluationSet(right[None], right, np.array([0]), np.array([1.0]))
    free, scores = CostModel(0.0, 1.0), row(0.1, 0.9, 0.5)
    assert prices("confidence", free, scores, alike) == pytest.approx([0.9])


def test_a_price_is_known_or_found() -> None:
    scores = row(0.9, 0.8, 0.1, 0.2)
    assert prices("l2h", COSTS, scores, FOUR).tolist() == [0.0]
    assert prices("plug_in", COSTS, scores, FOUR).tolist() == [0.25]
    assert prices("confidence", COSTS, row(0.1, 0.8, 0.5, 0.2), FOUR) == pytest.approx(
        [0.5]
    )  # the second alone
