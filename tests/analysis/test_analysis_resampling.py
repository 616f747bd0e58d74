"""Intervals: they cover the truth, take repeated samples for one, and follow from the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.resampling import resampling
from analysis.validity import LEAST_CLIENTS


def crossed(
    rng: np.random.Generator, clients: int, bases: int, count: int, client_spread: float = 0.1
) -> tuple[np.ndarray, ...]:
    """Requests of random clients about random samples; both differ in how often they are right (mean 0.7)."""
    client, base = rng.integers(0, clients, count), rng.integers(0, bases, count)
    ability = rng.uniform(-client_spread, client_spread, clients)
    chance = 0.7 + ability[client] + rng.uniform(-0.2, 0.2, bases)[base]
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
    low = [resampling(seed, client, base).mean(1.0 * right, everyone)["low"] for seed in (1, 2)]
    assert low[0] != low[1]


def test_mean_of_anything_agrees_with_weights_by_hand() -> None:
    client, base = np.append(np.zeros(10, int), [1, 1]), np.append(np.arange(10), [4, 4])
    draws = resampling(3, client, base, replicates=50)
    values = np.append(np.linspace(1, 5, 10), [-2.0, -8.0])
    weights = draws.client_weights[:, client] * draws.base_weights[:, base]
    totals = weights.sum(axis=1)
    by_hand = (weights @ values)[totals > 0] / totals[totals > 0]
    mean = draws.mean(values, np.ones(12, dtype=bool))
    assert mean["value"] == pytest.approx((30 - 10) / 12)
    assert (mean["n"], mean["samples"], mean["clients"]) == (12, 10, 2)
    assert (mean["low"], mean["high"]) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))


def test_weights_draw_as_many_as_there_are() -> None:
    draws = resampling(3, np.arange(7), np.arange(7) % 3, replicates=20)
    assert (draws.client_weights.sum(axis=1) == 7).all()
    assert (draws.base_weights.sum(axis=1) == 3).all()


def coverage(clients: int, bases: int, chance: float, worlds: int = 200) -> float:
    """The share of worlds whose interval holds `chance`; each client asks about each sample five times."""
    rng, hits = np.random.default_rng(8), 0
    client, base = np.repeat(np.arange(clients), 5 * bases), np.tile(np.arange(bases), 5 * clients)
    for world in range(worlds):
        # Half of what makes an answer wrong lies in the sample, for all clients alike.
        hard = rng.random(bases) < (1 - chance) / 2
        other = rng.random((clients, bases)) < 1 - chance / (1 - (1 - chance) / 2)
        right = ~(hard[base] | other[client, base])
        share = resampling(world, client, base, replicates=100).share(right, np.ones(right.size, dtype=bool))
        hits += share["low"] <= chance <= share["high"]
    return hits / worlds


# Nominal 95% in 200 worlds has a standard error of 1.5 points; 92% leaves two of them.
@pytest.mark.parametrize("chance", [0.99, 0.95])
def test_interval_covers_where_nearly_all_is_right(chance: float) -> None:
    assert coverage(clients=20, bases=30, chance=chance) >= 0.92


@pytest.mark.parametrize(("clients", "covers"), [(2, False), (LEAST_CLIENTS, True)])
def test_interval_covers_from_the_number_of_clients_that_a_valid_run_needs(
    clients: int, covers: bool
) -> None:
    rng, hits = np.random.default_rng(9), 0
    for world in range(200):
        client, base, right = crossed(rng, clients, 60, 600, client_spread=0.2)
        share = resampling(world, client, base, replicates=100).share(right, np.ones(600, dtype=bool))
        hits += share["low"] <= 0.7 <= share["high"]
        assert share["clients"] == clients
    assert (hits / 200 >= 0.92) == covers


def test_everything_right_still_leaves_doubt() -> None:
    # Wilson's interval for 30 of 30: 1 / (1 + 1.96^2 / 30)
    client, base = np.repeat(np.arange(10), 30), np.tile(np.arange(30), 10)
    share = resampling(1, client, base).share(np.ones(300, dtype=bool), np.ones(300, dtype=bool))
    assert (share["low"], share["high"]) == (pytest.approx(30 / (30 + 1.959963984540054**2)), 1.0)


@pytest.mark.parametrize(("samples", "has"), [(9, False), (10, True)])
def test_interval_needs_ten_distinct_samples(samples: int, has: bool) -> None:
    base = np.arange(100) % samples
    share = resampling(1, np.arange(100) % 7, base).share(base > 3, np.ones(100, dtype=bool))
    assert (share["low"] is not None) == (share["high"] is not None) == has
    assert (share["samples"], share["clients"]) == (samples, 7)


def test_nothing_and_a_single_sample_have_no_interval() -> None:
    draws = resampling(3, np.array([0, 1]), np.array([4, 4]))
    nothing = draws.share(np.array([True, False]), np.zeros(2, dtype=bool))
    assert nothing == {"value": None, "low": None, "high": None, "n": 0, "samples": 0, "clients": 0}
    one = draws.share(np.array([True, False]), np.ones(2, dtype=bool))
    assert one == {"value": 0.5, "low": None, "high": None, "n": 2, "samples": 1, "clients": 2}
