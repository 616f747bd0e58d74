"""Prototypes of classes: laws of their means, of merges, and of the nearest one.

On `gaussian_mixture` the features are the points themselves, of unit covariance a class, so what theory says
is exact.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_fleets import scenario
from tried import tried

from agents.data.mixtures import GaussianMixture, mixture_of
from agents.federation.prototypes import ClassMeans, Prototypes, merged_prototypes, nearest


def told(clients: int, classes: int, seed: int, each: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    n = clients * each
    label = draw.integers(classes, size=n)
    return draw.integers(clients, size=n), label, draw.normal(size=(n, 5)).astype(np.float32)


def means_of(clients: int, classes: int, *rows: np.ndarray) -> ClassMeans:
    known = ClassMeans(clients, classes, rows[-1].shape[1])
    known.add(*rows)
    return known


# Laws of a merge.


@tried(60)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 6))
def test_an_average_is_the_mean_of_all_samples_together(seed, clients, classes):
    """And counts say of how many samples, of how many clients, and how few of one at least (law 5)."""
    client, label, features = told(clients, classes, seed)
    known = means_of(clients, classes, client, label, features)
    made = merged_prototypes("average", known.means(), known.counts)
    for one in range(classes):
        mine = label == one
        of_each = np.bincount(client[mine], minlength=clients)
        assert made.samples[one] == mine.sum()
        assert made.clients[one] == (of_each > 0).sum()
        assert made.fewest[one] == (of_each[of_each > 0].min() if mine.any() else 0)
        if mine.any():
            np.testing.assert_allclose(made.means[one], features[mine].mean(axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["average", "median"])
@tried(60)
@given(seed=st.integers(0, 2**32))
def test_who_has_none_of_a_class_changes_nothing_of_it(how, seed):
    known = means_of(4, 3, *told(4, 3, seed))
    counts = known.counts.copy()
    counts[2, 1] = 0
    wild = known.means()
    wild[2, 1] = 1e6
    without = np.arange(4) != 2
    made = merged_prototypes(how, wild, counts)
    less = merged_prototypes(how, known.means()[without], counts[without])
    assert made.means[1].tobytes() == less.means[1].tobytes()


def test_a_class_of_which_nobody_was_told_is_never_answered():
    known = means_of(2, 3, np.array([0, 1]), np.array([0, 2]), np.ones((2, 5), np.float32))
    made = merged_prototypes("average", known.means(), known.counts)
    points = np.random.default_rng(3).normal(size=(50, 5)).astype(np.float32)
    assert set(nearest(made, points)) <= {0, 2}
    nothing = merged_prototypes("average", known.means(), np.zeros_like(known.counts))
    assert set(nearest(nothing, points)) == {-1}


# Laws on gaussian_mixture.


def mixture(classes: int, separation: float, dimensions: int = 3) -> GaussianMixture:
    shape = {"classes": classes, "components": 1, "dimensions": dimensions, "separation": separation}
    return mixture_of(scenario(data={"set": "gaussian_mixture", "mixture": shape}))


def of_means(means: np.ndarray) -> Prototypes:
    many = np.ones(len(means), dtype=np.int64)
    return Prototypes(means.astype(np.float32), many, many, many)


def test_the_error_of_a_merged_mean_is_the_trace_over_the_samples():
    """Law 2: E|mean - mu|^2 = tr Sigma/(M n_c), M = 8 clients with 6 samples of a class each, 3 dimensions:
    |.|^2·M n_c is chi-squared with 3 degrees of freedom. 2,000 means: within five standard errors."""
    clients, each, times = 8, 6, 2_000
    known = mixture(2, 2.0)
    points, label = known.draw(clients * each * times, seed=4)
    points = (points - known.means[label, 0]).astype(np.float32)
    rows = np.repeat(np.arange(clients * times), each)
    one = means_of(clients * times, 1, rows, np.zeros_like(rows), points)
    means = one.means().reshape(times, clients, 1, 3)
    made = np.stack(
        [merged_prototypes("average", part, np.full((clients, 1), each)).means[0] for part in means]
    )
    scaled = np.square(made.astype(np.float64)).sum(axis=1) * clients * each
    assert abs(scaled.mean() - 3.0) <= 5 * math.sqrt(2 * 3.0 / times)


@pytest.mark.parametrize("classes", [2, 5])
def test_where_classes_are_round_and_alike_the_nearest_mean_is_bayes(classes):
    """Law 3: equal priors, unit covariance; every decision, but of points that are as near to two."""
    known = mixture(classes, 2.5)
    points, _ = known.draw(5_000, seed=5)
    chances = known.posterior(points)
    best = np.sort(chances, axis=1)[:, -2:]
    is_clear = best[:, 1] - best[:, 0] > 1e-5
    said = nearest(of_means(known.means[:, 0]), points)
    assert (said == chances.argmax(axis=1))[is_clear].all()
    assert is_clear.mean() > 0.99


def test_of_two_classes_it_is_right_as_often_as_theory_has_it():
    """Law 3: Phi(distance/2). Means of 4,000 labelled points of ten clients; 20,000 others, within five
    standard errors and what so many samples leave of the means' error."""
    known = mixture(2, 2.0)
    points, label = known.draw(24_000, seed=6)
    one = means_of(10, 2, np.arange(4_000) % 10, label[:4_000].astype(np.int64), points[:4_000])
    made = merged_prototypes("average", one.means(), one.counts)
    right = (nearest(made, points[4_000:]) == label[4_000:]).mean()
    distance = float(np.linalg.norm(known.means[0, 0] - known.means[1, 0]))
    expected = 0.5 * (1 + math.erf(distance / 2 / math.sqrt(2)))
    assert abs(right - expected) <= 5 * math.sqrt(expected * (1 - expected) / 20_000) + 1e-3
