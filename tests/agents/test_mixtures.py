"""Gaussian mixtures: the posterior is the one of the distribution that is drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from small_fleets import scenario

from agents.data.datasets import load
from agents.data.mixtures import GaussianMixture, mixture_of


def asked(samples: int | None = None, seed: int = 7, **mixture: float):
    data = {"set": "gaussian_mixture", "samples": samples, "mixture": mixture}
    return scenario(data=data, seed=seed)


def test_the_posterior_is_bayes_rule_on_the_densities() -> None:
    mixture = mixture_of(asked(classes=3, components=2, dimensions=4, separation=2.0))
    points = np.random.default_rng(0).normal(size=(50, 4))
    density = np.array(
        [
            [np.mean([multivariate_normal(mean).pdf(x) for mean in means]) for means in mixture.means]
            for x in points
        ]
    )
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mixture.posterior(points), expected, rtol=1e-10)


def test_two_classes_on_a_line_have_the_logistic_posterior() -> None:
    """Means at -a and a: P(Y=1|x) = 1 / (1 + exp(-2ax)) (Hastie, Tibshirani and Friedman, 4.3)."""
    mixture = GaussianMixture(np.array([[[-1.5]], [[1.5]]]))
    x = np.linspace(-400.0, 400.0, 81)[:, None]
    with np.errstate(over="ignore"):
        expected = 1.0 / (1.0 + np.exp(-3.0 * x[:, 0]))
    np.testing.assert_allclose(mixture.posterior(x)[:, 1], expected, rtol=1e-12, atol=1e-300)


def test_labels_are_drawn_from_the_posterior() -> None:
    """The mean of eta of a class is its share, and eta's largest entry is how often the Bayes rule is right:
    both within four standard errors of 20,000 draws."""
    scene = asked(samples=20_000)
    data = load(scene)
    eta = mixture_of(scene).posterior(data.images)
    right = eta.argmax(axis=1) == data.labels
    assert right.mean() == pytest.approx(eta.max(axis=1).mean(), abs=4 * right.std() / 20_000**0.5)
    shares = np.bincount(data.labels) / 20_000
    np.testing.assert_allclose(eta.mean(axis=0), shares, atol=4 * 0.3 / 20_000**0.5)


def test_separation_is_the_distance_between_means() -> None:
    mixture = mixture_of(asked(classes=100, components=5, dimensions=32, separation=6.0))
    means = mixture.means.reshape(500, 32)
    squared = np.square(means[:, None] - means[None]).sum(axis=2)
    apart = squared[~np.eye(500, dtype=bool)]
    assert apart.mean() ** 0.5 == pytest.approx(6.0, rel=0.03)


@pytest.mark.parametrize(("dimensions", "side"), [(16, (4, 4)), (12, (3, 4)), (7, (1, 7)), (1, (1, 1))])
def test_points_are_shown_as_square_as_can_be(dimensions: int, side: tuple[int, int]) -> None:
    data = load(asked(samples=50, dimensions=dimensions))
    assert data.image_shape == (1, *side)


def test_the_seed_alone_decides_the_set() -> None:
    first, again, other = (load(asked(samples=100, seed=seed)) for seed in (1, 1, 2))
    assert first.pixels.tobytes() == again.pixels.tobytes() != other.pixels.tobytes()
    assert load(asked()).size == 10_000


def test_more_samples_begin_with_the_same_ones() -> None:
    few, many = (load(asked(samples=samples)) for samples in (100, 300))
    assert np.array_equal(few.pixels, many.pixels[:100])
    assert np.array_equal(few.labels, many.labels[:100])
