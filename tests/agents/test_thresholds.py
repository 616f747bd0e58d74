"""Thresholds chosen on labels: never worse than a constant decision, and risk held, by hand and by law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.thresholds import CHOSEN, Known, mean_and_error, risk_controlled, safe, told_less
from sim.registry.prices import PRICES, RiskControlled, Safe

DRAW = np.random.Generator(np.random.Philox(key=18))


def known(score, client, server, c_e: float = 0.1, c_1: float = 1.0, weight=None, bayes: float = 0.0):
    """A row's calibration pool; client, server: whether they are right."""
    local, remote = 1.0 - np.asarray(client, float), c_e + c_1 * (1.0 - np.asarray(server, float))
    weight = np.ones(len(local)) if weight is None else np.asarray(weight, float)
    score = np.asarray(score, dtype=np.float32)
    return Known(score, local, remote, local, weight, c_e + c_1, c_e, bayes)


def test_every_chosen_price_has_its_code_and_no_other():
    assert list(CHOSEN) == [name for name, price in PRICES.items() if price.is_chosen]


def test_a_score_that_pays_is_believed():
    """The client is wrong on ten of twenty samples; the score knows them, and the server is right."""
    client = [True] * 10 + [False] * 10
    assert safe(Safe(), known([-1] * 10 + [1] * 10, client, [True] * 20)) == 0.0


@pytest.mark.parametrize("c_1", [1.0, 128.0])
def test_a_score_that_costs_more_than_it_saves_sends_nothing(c_1):
    """It sends what the client has right, and the server wrong."""
    client, server = [True] * 18 + [False] * 2, [False] * 4 + [True] * 16
    assert safe(Safe(), known([1] * 4 + [-1] * 16, client, server, c_1=c_1)) == np.inf


def test_where_sending_everything_is_best_everything_is_sent():
    assert safe(Safe(), known([-1.0] * 40, [False] * 40, [True] * 40)) == -np.inf


def test_a_server_that_never_erred_on_few_samples_is_not_trusted_at_any_cost():
    """Twenty samples, ten of which the server saves: at c_1 = 8 that is enough, at 128 it is not."""
    client, score = [True] * 10 + [False] * 10, [-1] * 10 + [1] * 10
    assert safe(Safe(), known(score, client, [True] * 20, c_1=8.0)) == 0.0
    assert safe(Safe(), known(score, client, [True] * 20, c_1=128.0)) == np.inf


def test_standard_errors_ask_for_more():
    """A gain of three samples in forty, at two losses, is not three standard errors."""
    client = [True] * 30 + [False] * 10
    pool = known([-1] * 30 + [1] * 10, client, [True] * 40, c_e=0.5)
    assert safe(Safe(), pool) == 0.0
    assert safe(Safe(standard_errors=10.0), pool) == np.inf


def test_samples_that_are_never_asked_do_not_count():
    """The rejector is wrong on the classes that the client never meets."""
    client, server = [False] * 10 + [True] * 30, [True] * 10 + [False] * 30
    score, weight = [1] * 10 + [1] * 30, [4.0] * 10 + [0.0] * 30
    assert safe(Safe(), known(score, client, server, weight=weight)) in (0.0, -np.inf)
    assert safe(Safe(), known(score, client, server)) == np.inf


def test_a_rank_without_a_price_of_its_own_is_cross_fitted():
    right = DRAW.random(200) > 0.4
    good = np.where(right, 0.1, 0.9) + 0.05 * DRAW.random(200)
    found = safe(Safe(), known(good, right, [True] * 200, bayes=np.nan))
    assert ((good.astype(np.float32) > found) == ~right).all()
    noise = known(DRAW.random(200), DRAW.random(200) > 0.1, DRAW.random(200) > 0.3, c_1=8.0, bayes=np.nan)
    assert safe(Safe(), noise) == np.inf


@given(
    st.lists(st.tuples(st.floats(-3, 3, width=16), st.booleans(), st.booleans()), min_size=2, max_size=40),
    st.floats(0, 1),
    st.floats(0, 100),
)
def test_on_its_own_pool_it_never_pays_more_than_the_better_constant(samples, c_e, c_1):
    """But for the imagined sample, by which the two constants may change places."""
    score, client, server = (np.array(column) for column in zip(*samples, strict=True))
    pool = known(score, client, server, c_e, c_1)
    sent = pool.score > safe(Safe(), pool)
    paid = np.where(sent, pool.cost_remote, pool.cost_local).sum()
    best = min(pool.cost_local.sum(), pool.cost_remote.sum())
    assert paid <= best + max(1.0, c_e + c_1) + 1e-6


def test_risk_is_held_with_the_confidence_that_is_stated():
    """400 calibration pools of a score whose error rate is known at any threshold: P(wrong | u) = u / 2, so
    keeping u <= t is wrong in t / 4. Of 400 pools 20 may exceed alpha by delta = .05,
    and 34 or more come in under one of a thousand."""
    exceeded, kept = 0, []
    for _ in range(400):
        u = DRAW.random(300)
        pool = known(u, DRAW.random(300) > u / 2, np.ones(300))
        at = risk_controlled(RiskControlled(kind="risk_controlled", alpha=0.15, delta=0.05), pool)
        exceeded += max(at, 0.0) / 4 > 0.15
        kept.append(max(at, 0.0))
    assert exceeded < 34
    assert np.mean(kept) > 0.1  # 0.6 would be the most


def test_where_no_threshold_shows_the_risk_everything_is_sent():
    pool = known(DRAW.random(50), DRAW.random(50) > 0.5, np.ones(50))
    assert risk_controlled(RiskControlled(kind="risk_controlled", alpha=0.05), pool) == -np.inf
    sure = known(DRAW.random(500), np.ones(500), np.ones(500))
    assert risk_controlled(RiskControlled(kind="risk_controlled", alpha=0.05), sure) == sure.score.max()


def test_weights_take_hoeffdings_bound():
    pool = known(DRAW.random(500), np.ones(500), np.ones(500), weight=DRAW.random(500))
    held = RiskControlled(kind="risk_controlled", alpha=0.2)
    assert risk_controlled(held, pool) == pool.score.max()


def test_scores_are_told_less_their_threshold():
    """Signs are those of the comparison, and the order stays, whatever the threshold."""
    score = DRAW.normal(size=(4, 50)).astype(np.float32) * 1e4
    threshold = np.array([float(score[0, 7]), np.inf, -np.inf, 0.1])
    less = told_less(score, threshold)
    assert ((less > 0) == (score > threshold[:, None])).all()
    assert np.isfinite(less).all()
    assert (np.argsort(less[0]) == np.argsort(score[0])).all()


def test_the_error_of_a_weighted_mean():
    values, weight = np.array([0.0, 1.0, 1.0, 0.0]), np.ones(4)
    assert mean_and_error(values, weight) == pytest.approx((0.5, np.std(values, ddof=1) / 2))
    assert mean_and_error(values, np.array([2.0, 0.0, 0.0, 0.0])) == (0.0, np.inf)
