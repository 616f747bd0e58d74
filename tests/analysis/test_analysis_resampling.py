"""Intervals: they cover the truth, take repeated samples for one, and follow from the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.resampling import resampling


def crossed(rng: np.random.Generator, clients: int, bases: int, count: int) -> tuple[np.ndarray, ...]:
    """Requests of random clients about random samples; both differ in how often they are right (mean 0.7)."""
    client, base = rng.integers(0, clients, count), rng.integers(0, bases, count)
    chance = 0.7 + rng.uniform(-0.1, 0.1, clients)[client] + rng.uniform(-0.2, 0.2, bases)[base]
    # An answer is a look-up: the same client gives the same answer to the same sample.
    luck = rng.random((clients, bases))
    return client, base, luck[client, base] < chance


def test_interval_covers_the_mean_of_the_population() -> None:
    # 200 worlds; a nominal coverage of 95% gives 190 +- 3.1, and the method may only be too wide.
    rng = np.random.default_rng(5)
    hits = 0
    for world in range(200):
        client, base, right = crossed(rng, 30, 60, 1500)
        share = resampling(world, client, base, replicates=200).share(right, np.ones(1500, dtype=bool))
        hits += share["low"] <= 0.7 <= share["high"]
    assert hits >= 180


def test_repeating_samples_does_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(6)
    client, base, right = crossed(rng, 20, 40, 400)
    once = resampling(1, client, base).share(right, np.ones(400, dtype=bool))
    again = [np.tile(column, 25) for column in (client, base, right)]
    often = resampling(1, again[0], again[1]).share(again[2], np.ones(10_000, dtype=bool))
    assert often["value"] == pytest.approx(once["value"])
    assert (often["low"], often["high"]) == pytest.approx((once["low"], once["high"]))
    assert (often["n"], often["samples"]) == (10_000, once["samples"])


def test_interval_is_a_function_of_seed_and_cells() -> None:
    rng = np.random.default_rng(7)
    client, base, right = crossed(rng, 20, 40, 400)
    everyone = np.ones(400, dtype=bool)
    order = rng.permutation(400)
    first = resampling(1, client, base).share(right, everyone)
    assert first == resampling(1, client[order], base[order]).share(right[order], everyone)
    assert first != resampling(2, client, base).share(right, everyone)


def test_mean_of_anything_agrees_with_weights_by_hand() -> None:
    client, base = np.array([0, 0, 1]), np.array([0, 1, 1])
    draws = resampling(3, client, base, replicates=50)
    values = np.array([1.0, 5.0, -2.0])
    weights = draws.client_weights[:, client] * draws.base_weights[:, base]
    totals = weights.sum(axis=1)
    by_hand = (weights @ values)[totals > 0] / totals[totals > 0]
    mean = draws.mean(values, np.ones(3, dtype=bool))
    assert mean["value"] == pytest.approx(4 / 3)
    assert (mean["low"], mean["high"]) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))


def test_weights_draw_as_many_as_there_are() -> None:
    draws = resampling(3, np.arange(7), np.arange(7) % 3, replicates=20)
    assert (draws.client_weights.sum(axis=1) == 7).all()
    assert (draws.base_weights.sum(axis=1) == 3).all()


def test_nothing_and_a_single_sample_have_no_interval() -> None:
    draws = resampling(3, np.array([0, 1]), np.array([4, 4]))
    nothing = draws.share(np.array([True, False]), np.zeros(2, dtype=bool))
    assert nothing == {"value": None, "low": None, "high": None, "n": 0, "samples": 0}
    one = draws.share(np.array([True, False]), np.ones(2, dtype=bool))
    assert one == {"value": 0.5, "low": None, "high": None, "n": 2, "samples": 1}
