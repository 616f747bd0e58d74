"""A request is sent iff its score exceeds the price in force: prices that remember nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import group_of, scenario_of, uniform

from sim.messages import Phase
from sim.policy.calibration import Curve, curve
from sim.policy.decision import decide
from sim.policy.prices import (
    Decisions,
    asked,
    bayes_price,
    decide_all,
    explored,
    fixed_price,
    is_calibrated,
)
from sim.scenario.schema.fleet import Policy
from sim.world.world import World


def policy(score: str = "l2h", **price: object) -> Policy:
    return Policy.model_validate({"score": score, "price": price})


def decided(
    ruled: Policy,
    score: Any,
    luck: Any = None,
    curve: Curve | None = None,
    coin: Any = 1.0,
    exploration: float = 0.0,
) -> Decisions:
    score = np.asarray(score, dtype=np.float32)
    luck = np.full(len(score), 0.5) if luck is None else np.asarray(luck)
    curves = () if curve is None else ((np.arange(len(score)), curve),)
    return decide_all(asked(ruled, score, luck, curves), coin, explored(ruled, exploration))


def calibrated(*scores: float) -> Curve:
    """The curve of one client with these calibration scores."""
    table = np.array([scores], dtype=np.float32)
    return curve(
        table, np.array([0], np.int32), uniform(np.arange(len(scores), dtype=np.int32)), np.array([0])
    )


SCORES = np.array([-3.0, -0.5, 0.0, 0.5, np.inf, -np.inf], dtype=np.float32)


def test_a_threshold_sends_only_what_lies_above_it():
    """A score equal to the price is not sent."""
    found = decided(policy(kind="threshold", at=0.0), SCORES)
    assert found.deferred.tolist() == [False, False, False, True, True, False]
    assert decided(policy(kind="threshold", at=-0.5), SCORES).deferred.tolist() == [
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
    assert not decided(policy(kind="always_local"), finite).deferred.any()
    assert decided(policy(kind="always_remote"), finite).deferred.all()


def test_a_threshold_is_not_rounded_to_the_scores_precision():
    """0.1 as float32 is larger than 0.1, so it exceeds a price of 0.1."""
    assert decided(policy(kind="threshold", at=0.1), [0.1]).deferred.tolist() == [True]


def test_propensity_of_a_fixed_decision_is_zero_or_one():
    found = decided(policy(kind="threshold", at=0.0), SCORES)
    assert found.propensity.tolist() == found.deferred.astype(float).tolist()
    assert found.propensity.dtype == np.float32


@pytest.mark.parametrize(("at", "share"), [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0), (-2.0, 1.0), (3.0, 0.0)])
def test_propensity_of_a_random_score_is_the_chance_to_exceed_the_price(at, share):
    draws = np.linspace(0.0005, 0.9995, 1000).astype(np.float32)
    found = decided(policy("random", kind="threshold", at=at), draws)
    assert np.unique(found.propensity).tolist() == [share]
    assert found.deferred.mean() == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(("price", "share"), [("always_local", 0.0), ("always_remote", 1.0)])
def test_propensity_of_a_random_score_under_an_infinite_price(price, share):
    found = decided(policy("random", kind=price), [0.2, 0.9])
    assert found.propensity.tolist() == [share, share]


def test_a_price_that_is_not_fixed_is_refused():
    with pytest.raises(TypeError, match="'rate_controller' is not a fixed price"):
        fixed_price(policy(kind="rate_controller", rate=0.2, gain=0.1))


# Holding a rate.


def test_a_bounded_rate_sends_what_lies_above_the_quantile_of_calibration():
    known = calibrated(1, 2, 3, 4)
    found = decided(policy(kind="bounded_rate", rate=0.5), [0.0, 2.0, 2.5, 3.0, 9.0], curve=known)
    assert found.deferred.tolist() == [False, False, False, True, True]
    assert found.propensity.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_ties_at_the_quantile_are_spread_by_luck():
    """Of ten requests two score 5 and six score 3; to send four in ten, a third of the latter go."""
    known = calibrated(1, 1, 3, 3, 3, 3, 3, 3, 5, 5)
    luck = (np.arange(600) + 0.5) / 600
    found = decided(policy(kind="bounded_rate", rate=0.4), np.full(600, 3.0), luck, known)
    assert found.deferred.sum() == 200
    assert found.propensity == pytest.approx(1 / 3)
    assert decided(policy(kind="bounded_rate", rate=0.4), [1.0, 5.0], curve=known).propensity.tolist() == [
        0,
        1,
    ]


@settings(deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    st.floats(0, 1),
    st.sampled_from(["bounded_rate", "bounded_rate_thinned"]),
)
def test_the_rate_holds_exactly_where_it_was_calibrated(scores, rate, kind):
    """Over luck, the mean chance to be sent of the calibration scores themselves is the rate, ties or not."""
    ruled = policy(kind=kind, rate=rate)
    found = decided(ruled, scores, curve=calibrated(*scores))
    assert found.propensity.mean() == pytest.approx(rate, abs=1e-6)


@settings(deadline=None)
@given(st.integers(1, 20), st.lists(st.integers(-3, 3), min_size=3, max_size=20), st.floats(0, 1))
def test_the_chance_is_the_share_of_luck_that_sends(seed, scores, rate):
    known, luck = calibrated(*scores), (np.arange(2000) + 0.5) / 2000
    for kind in ("bounded_rate", "bounded_rate_thinned"):
        found = decided(policy(kind=kind, rate=rate), np.full(2000, scores[seed % 3]), luck, known)
        assert found.deferred.mean() == pytest.approx(found.propensity[0], abs=1e-3)


def test_a_higher_rate_sends_whatever_a_lower_one_sends():
    """The luck of a request is its own, so that policies are compared on common random numbers."""
    scores, luck = [0.0, 1.0, 1.0, 1.0, 2.0, 2.0], [0.9, 0.1, 0.5, 0.8, 0.3, 0.6]
    known, before = calibrated(*scores), np.zeros(6, bool)
    for rate in np.linspace(0, 1, 21):
        sent = decided(policy(kind="bounded_rate", rate=rate), scores, luck, known).deferred
        assert not (before & ~sent).any()
        before = sent


def test_the_papers_coin_keeps_some_sends_or_adds_some():
    known = calibrated(-2, -1, 1, 2, 3)  # the rule sends 0.6
    fewer = decided(policy(kind="bounded_rate_thinned", rate=0.3), [-1.0, 2.0], curve=known)
    assert fewer.propensity.tolist() == [0.0, 0.5]
    more = decided(policy(kind="bounded_rate_thinned", rate=0.7), [-1.0, 2.0], curve=known)
    assert more.propensity.tolist() == [np.float32(0.25), 1.0]


def test_a_random_score_is_its_own_standing():
    found = decided(policy("random", kind="bounded_rate", rate=0.3), [0.69, 0.71])
    assert found.deferred.tolist() == [False, True]
    assert found.propensity.tolist() == [np.float32(0.3)] * 2
    assert not is_calibrated(policy("random", kind="bounded_rate", rate=0.3))


def test_calibration_counts_every_client_and_every_class_as_it_is_met():
    """Two clients of one variant and one of another: 2/3 and 1/3. Of two strata the second client meets only
    the one that holds position 1, the others both alike."""
    table = np.array([[1.0, 3.0], [2.0, 4.0]], dtype=np.float32)
    row, member = np.array([0, 1, 0], np.int32), np.arange(3)
    alike = curve(table, row, uniform(np.arange(2, dtype=np.int32)), member)
    assert alike.score.tolist() == [1, 2, 3, 4]
    assert alike.upto == pytest.approx([0, 1 / 3, 1 / 2, 5 / 6, 1])
    shares = np.array([[0.5, 1.0], [0.0, 1.0], [0.5, 1.0]])
    met = Phase(0.0, np.arange(2, dtype=np.int32), np.array([0, 1, 2]), shares)
    assert curve(table, row, met, member).upto == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("score", "training", "charge_on", "price"),
    [
        ("l2h", {}, "send", 0.0),
        ("plug_in", {}, "send", 0.1),
        ("plug_in", {"availability": 0.5}, "send", 0.2),
        ("plug_in", {"availability": 0.5}, "answer", 0.1),
        ("plug_in", {"availability": "observed"}, "send", 0.125),  # down for 4 s of 20
    ],
)
def test_the_bayes_price_is_that_of_the_rejectors_stakes(score, training, charge_on, price):
    outages = ({"when": {"kind": "intervals", "at": ((2.0, 6.0),)}, "target": {"kind": "server"}},)
    server = {"service": {"kind": "affine", "base_s": 1.0}, "outages": outages}
    scenario = scenario_of(
        fleet=(group_of(timeout_s=1.0),),
        server=server,
        training=training,
        costs={"c_e": 0.1, "charge_on": charge_on},
    )
    assert bayes_price(World(scenario), score, World(scenario).options[0][0]) == pytest.approx(price)


# Exploration.

DRAWS = np.array([0.05, 0.2, 0.9], dtype=np.float64)


def test_exploring_sends_some_of_what_would_be_kept_and_says_how_likely_that_was():
    ruled = policy(kind="threshold", at=0.0)
    found = decided(ruled, [-1.0, -1.0, 1.0], coin=DRAWS, exploration=0.1)
    assert found.deferred.tolist() == [True, False, True]
    assert found.propensity.tolist() == [np.float32(0.1), np.float32(0.1), 1.0]


def test_exploring_adds_to_the_chance_of_a_random_score():
    """It exceeds 0.75 with probability 1/4; of the rest an eighth is sent: 1/4 + 3/4 · 1/8."""
    ruled = policy("random", kind="threshold", at=0.75)
    found = decided(ruled, [0.5, 0.5, 0.8], coin=DRAWS, exploration=0.125)
    assert found.deferred.tolist() == [True, False, True]
    assert found.propensity.tolist() == [0.34375] * 3


def test_always_local_never_explores():
    """It is the baseline without a server, and may have clients that no timer protects."""
    ruled = policy(kind="always_local")
    found = decided(ruled, SCORES[:3], coin=DRAWS, exploration=1.0)
    assert not found.deferred.any()
    assert not found.propensity.any()


NUMBERS = st.floats(-3, 3, width=32)


@given(NUMBERS, st.sampled_from([0.0, 0.5]), NUMBERS, st.floats(0, 1), st.sampled_from([0.0, 0.25, 1.0]))
def test_one_request_is_decided_as_among_others(score, width, threshold, coin, exploration):
    """One function of numbers or of columns: the same bits."""
    value, low, high = score + width / 3, score, score + width
    alone = decide(value, low, high, threshold, coin, exploration)
    columns = (np.array([one, one]) for one in (value, low, high, threshold, coin))
    sent, chance = decide(*columns, exploration)
    assert (sent[0], chance[0]) == (bool(alone[0]), alone[1])
    assert chance.dtype == np.float32
