"""What clients got: the estimate from it is unbiased, exactly, and each rejector learns from its own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from agents.rejectors.feedback_buffer import FeedbackBuffer
from sim.messages import Feedback
from sim.streams import stream

EXPLORATION = 0.25
LOSS = np.array([0.9, 0.1, 2.0, 0.4, 1.3, 0.7])
SENT_ANYWAY = np.array([True, True, False, False, False, False])


def told(sample: np.ndarray, propensity: np.ndarray, decided: int) -> Feedback:
    n = len(sample)
    return Feedback(
        client=np.zeros(n, np.int32),
        sample=sample.astype(np.int32),
        server_correct=sample % 2 == 0,
        propensity=propensity.astype(np.float32),
        answered_at_s=np.zeros(n),
        decided=np.array([decided]),
    )


def estimate(sent: np.ndarray, self_normalised: bool = False) -> float:
    """The mean over draws of a batch's weighted loss, given which of the six requests were sent."""
    heard, place = FeedbackBuffer(np.array([0]), rows=1), np.flatnonzero(sent)
    propensity = np.where(SENT_ANYWAY, 1.0, EXPLORATION)[place]
    heard.add(told(place, propensity, decided=len(LOSS)))
    batch = heard.batch(400, [stream(1, "test")])
    at = [np.flatnonzero(batch.place[0] == one) for one in place]
    assert all(len(result) for result in at)  # each is drawn; its share of many draws is 1/f
    weight = np.array([batch.weight[0][result[0]] for result in at], dtype=np.float64)
    if self_normalised:
        return float((weight * LOSS[place]).sum() / weight.sum())
    return float((weight * LOSS[place]).mean())


def mean_over_coins(self_normalised: bool) -> float:
    total = 0.0
    for coins in product([False, True], repeat=int((~SENT_ANYWAY).sum())):
        sent = SENT_ANYWAY.copy()
        sent[~SENT_ANYWAY] = coins
        chance = np.prod(np.where(coins, EXPLORATION, 1 - EXPLORATION))
        total += chance * estimate(sent, self_normalised)
    return total


def test_the_mean_over_all_coins_is_the_loss_with_full_feedback() -> None:
    """Every set of explored requests, with its probability: no tolerance but that of float32."""
    assert mean_over_coins(self_normalised=False) == pytest.approx(LOSS.mean(), rel=1e-6)


def test_dividing_by_the_sum_of_the_weights_would_not_do() -> None:
    assert abs(mean_over_coins(self_normalised=True) - LOSS.mean()) > 0.02


def test_draws_with_replacement_are_uniform_over_what_was_heard() -> None:
    """4,000 draws from five: each count within four standard deviations of 800, 101: false alarm 3e-4."""
    heard = FeedbackBuffer(np.array([0]), rows=1)
    heard.add(told(np.arange(5), np.ones(5), decided=5))
    batch = heard.batch(4000, [stream(1, "test")])
    assert np.abs(np.bincount(batch.place[0], minlength=5) - 800).max() < 102
    assert set(batch.weight[0]) == {np.float32(1.0)}
    np.testing.assert_array_equal(batch.server_correct[0], batch.place[0] % 2 == 0)


def test_each_rejector_draws_from_the_clients_that_ask_it() -> None:
    """Clients 0 and 2 share rejector 1, client 1 asks nobody here, rejector 0 has got no answers."""
    heard = FeedbackBuffer(np.array([1, -1, 1]), rows=2)
    feedback = told(np.array([4, 5, 6]), np.array([1.0, 1.0, 0.5]), decided=0)
    feedback = Feedback(
        **vars(feedback) | {"client": np.array([0, 1, 2], np.int32), "decided": np.array([3, 9, 1])}
    )
    heard.add(feedback)
    heard.add(Feedback.nothing(3))
    assert heard.answers.tolist() == [0, 2]
    assert heard.decided.tolist() == [0, 4]
    batch = heard.batch(50, [stream(1, "test", row) for row in range(2)])
    assert set(batch.place[1]) == {4, 6}
    assert batch.weight[1][batch.place[1] == 4][0] == 0.5  # 2 heard of 4 decided
    assert batch.weight[1][batch.place[1] == 6][0] == 1.0
    assert not batch.weight[0].any()
