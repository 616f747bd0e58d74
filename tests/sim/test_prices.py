"""A request is sent iff its score exceeds the price in force."""

from __future__ import annotations

import numpy as np
import pytest

from sim.prices import decide, explore, fixed_price
from sim.scenario.fleet import Policy


def policy(score: str = "l2h", **price: object) -> Policy:
    return Policy.model_validate({"score": score, "price": price})


SCORES = np.array([-3.0, -0.5, 0.0, 0.5, np.inf, -np.inf], dtype=np.float32)


def test_a_threshold_sends_only_what_lies_above_it():
    """A score equal to the price is not sent."""
    found = decide(policy(kind="threshold", at=0.0), SCORES)
    assert found.deferred.tolist() == [False, False, False, True, True, False]
    assert decide(policy(kind="threshold", at=-0.5), SCORES).deferred.tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


def test_always_local_and_always_remote_are_prices_at_infinity():
    assert fixed_price(policy(kind="always_local")) == np.inf
    assert fixed_price(policy(kind="always_remote")) == -np.inf
    finite = SCORES[:4]
    assert not decide(policy(kind="always_local"), finite).deferred.any()
    assert decide(policy(kind="always_remote"), finite).deferred.all()


def test_a_threshold_is_not_rounded_to_the_scores_precision():
    """0.1 as float32 is larger than 0.1, so it exceeds a price of 0.1."""
    assert decide(policy(kind="threshold", at=0.1), np.array([0.1], np.float32)).deferred.tolist() == [True]


def test_propensity_of_a_fixed_decision_is_zero_or_one():
    found = decide(policy(kind="threshold", at=0.0), SCORES)
    assert found.propensity.tolist() == found.deferred.astype(float).tolist()
    assert found.propensity.dtype == np.float32


@pytest.mark.parametrize(("at", "share"), [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0), (-2.0, 1.0), (3.0, 0.0)])
def test_propensity_of_a_random_score_is_the_chance_to_exceed_the_price(at, share):
    draws = np.linspace(0.0005, 0.9995, 1000).astype(np.float32)
    found = decide(policy("random", kind="threshold", at=at), draws)
    assert np.unique(found.propensity).tolist() == [share]
    assert found.deferred.mean() == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(("price", "share"), [("always_local", 0.0), ("always_remote", 1.0)])
def test_propensity_of_a_random_score_under_an_infinite_price(price, share):
    found = decide(policy("random", kind=price), np.array([0.2, 0.9], np.float32))
    assert found.propensity.tolist() == [share, share]


def test_a_price_that_is_not_fixed_is_refused():
    with pytest.raises(TypeError, match="'bounded_rate' is not a fixed price"):
        fixed_price(policy(kind="bounded_rate", rate=0.2))


DRAWS = np.array([0.05, 0.2, 0.9], dtype=np.float64)


def test_exploring_sends_some_of_what_would_be_kept_and_says_how_likely_that_was():
    score = np.array([-1.0, -1.0, 1.0], dtype=np.float32)
    ruled = policy(kind="threshold", at=0.0)
    found = explore(ruled, decide(ruled, score), 0.1, DRAWS)
    assert found.deferred.tolist() == [True, False, True]
    assert found.propensity.tolist() == [np.float32(0.1), np.float32(0.1), 1.0]


def test_exploring_adds_to_the_chance_of_a_random_score():
    """It exceeds 0.75 with probability 1/4; of the rest an eighth is sent: 1/4 + 3/4 · 1/8."""
    ruled = policy("random", kind="threshold", at=0.75)
    found = explore(ruled, decide(ruled, np.array([0.5, 0.5, 0.8], np.float32)), 0.125, DRAWS)
    assert found.deferred.tolist() == [True, False, True]
    assert found.propensity.tolist() == [0.34375] * 3


def test_always_local_never_explores():
    """It is the baseline without a server, and may have clients that no timer protects."""
    ruled = policy(kind="always_local")
    found = explore(ruled, decide(ruled, SCORES[:3]), 1.0, DRAWS)
    assert not found.deferred.any()
    assert not found.propensity.any()
