"""What comes of merging rejectors: laws of averages weighed by answers or precision, and of the median."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.federation.merging import Uploads, gathered, merged

HOWS = ("average", "laplace", "median")


def members(seed: int, count: int, numbers: int = 40) -> Uploads:
    draw = np.random.default_rng(seed)
    return Uploads(
        draw.normal(size=(count, numbers)).astype(np.float32),
        draw.integers(1, 500, size=count),
        draw.gamma(0.5, size=(count, numbers)).astype(np.float32),
    )


many = given(st.integers(0, 2**32), st.integers(1, 30))


@pytest.mark.parametrize("how", HOWS)
@many
def test_members_that_are_alike_give_themselves_to_the_last_bit(how, seed, count):
    one = members(seed, count)
    alike = Uploads(np.repeat(one.numbers[:1], count, axis=0), one.answers, one.precision)
    assert merged(how, alike).tobytes() == one.numbers[0].tobytes()


@many
def test_an_average_is_the_mean_weighed_by_answers(seed, count):
    one = members(seed, count)
    expected = np.average(one.numbers.astype(np.float64), axis=0, weights=one.answers)
    np.testing.assert_allclose(merged("average", one), expected, rtol=1e-6, atol=1e-7)


@many
def test_with_equal_precision_laplace_is_the_plain_mean(seed, count):
    one = members(seed, count)
    equal = Uploads(one.numbers, one.answers, np.full_like(one.precision, 3.5))
    np.testing.assert_allclose(merged("laplace", equal), one.numbers.mean(axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", HOWS)
@many
def test_who_weighs_nothing_changes_nothing(how, seed, count):
    """No answers and no precision, whatever numbers it has."""
    one = members(seed, count)
    more = Uploads(
        np.vstack([one.numbers, np.full((1, 40), 1e6, np.float32)]),
        np.append(one.answers, 0),
        np.vstack([one.precision + 1.0, np.zeros((1, 40), np.float32)]),
    )
    less = Uploads(one.numbers, one.answers, one.precision + np.float32(1.0))
    assert merged(how, more).tobytes() == merged(how, less).tobytes()


@pytest.mark.parametrize("how", HOWS)
@many
def test_the_order_of_members_does_not_matter(how, seed, count):
    one = members(seed, count)
    order = np.random.default_rng(seed).permutation(count)
    np.testing.assert_allclose(merged(how, one), merged(how, one.of(order)), rtol=1e-5, atol=1e-6)


@many
def test_grouping_does_not_matter_to_laplace(seed, count):
    """Merged in two parts, whose precisions add up, and these merged: to the rounding of float32."""
    one = members(seed, count + 1)
    parts = [one.of(np.arange(first, count + 1, 2)) for first in (0, 1)]
    again = Uploads(
        np.stack([merged("laplace", part) for part in parts]),
        np.ones(2, dtype=np.int64),
        np.stack([part.precision.sum(axis=0) for part in parts]),
    )
    np.testing.assert_allclose(merged("laplace", again), merged("laplace", one), rtol=1e-3, atol=1e-4)


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([1e9, -1e9, 1e30]))
def test_a_median_stays_among_honest_members_while_they_are_more(seed, honest, wild):
    """One member less than there are honest ones goes wild; an average would not bear a single one."""
    one = members(seed, honest)
    liars = honest - 1
    with_liars = Uploads(
        np.vstack([one.numbers, np.full((liars, 40), wild, np.float32)]),
        np.append(one.answers, np.full(liars, 100)),
        np.vstack([one.precision, np.ones((liars, 40), np.float32)]),
    )
    found = merged("median", with_liars)
    assert (found >= one.numbers.min(axis=0)).all()
    assert (found <= one.numbers.max(axis=0)).all()
    if liars:
        assert (np.abs(merged("average", with_liars)) > one.numbers.max()).all()


@given(st.integers(0, 2**32), st.integers(2, 8))
def test_laplace_of_least_squares_with_orthogonal_inputs_is_the_pooled_fit(seed, clients):
    """Each client fits y = x·θ by least squares where every sample has one input that is not 0, so that the
    Hessian is diagonal and is the precision: merged they are the fit of all samples at once."""
    draw, d = np.random.default_rng(seed), 5
    places = [draw.integers(d, size=40) for _ in range(clients)]
    inputs = [draw.uniform(0.5, 2.0, size=40) for _ in range(clients)]
    answers = [draw.normal(size=40) for _ in range(clients)]

    def sums(weights: list[np.ndarray]) -> list[np.ndarray]:
        return [np.bincount(p, weights=w, minlength=d) for p, w in zip(places, weights, strict=True)]

    squares = sums([x**2 for x in inputs])
    products = sums([x * y for x, y in zip(inputs, answers, strict=True)])
    with np.errstate(invalid="ignore"):
        fits = [np.nan_to_num(xy / xx) for xy, xx in zip(products, squares, strict=True)]
    pooled = np.nan_to_num(np.sum(products, axis=0) / np.maximum(np.sum(squares, axis=0), 1e-300))
    uploads = Uploads(
        np.stack(fits).astype(np.float32),
        np.full(clients, 40),
        np.stack(squares).astype(np.float32),
    )
    np.testing.assert_allclose(merged("laplace", uploads), pooled, rtol=1e-5, atol=1e-6)


def test_numbers_that_nobody_knows_anything_about_are_averaged():
    nothing = Uploads(
        np.array([[1.0], [2.0]], np.float32), np.zeros(2, np.int64), np.zeros((2, 1), np.float32)
    )
    assert [float(merged(how, nothing)[0]) for how in HOWS] == [1.5, 1.5, 1.5]


@pytest.mark.parametrize("how", ["average", "laplace"])
@given(st.integers(0, 2**32), st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_what_clusters_upload_is_merged_to_what_all_would_be(how, seed, cluster):
    """Sizes are weights, so whoever is with whom does not matter; nor how many gather once more."""
    one, which = members(seed, len(cluster)), np.array(cluster)
    of_clusters = gathered(how, one, which)
    assert of_clusters.answers.sum() == one.answers.sum()
    expected = merged(how, one)
    np.testing.assert_allclose(merged(how, of_clusters), expected, rtol=1e-4, atol=1e-5)
    twice = gathered(how, of_clusters, np.unique(which) % 2)
    np.testing.assert_allclose(merged(how, twice), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["average", "laplace"])
@many
def test_clusters_of_one_upload_themselves_to_the_last_bit(how, seed, count):
    one = members(seed, count)
    alone = gathered(how, one, np.arange(count))
    for name in ("numbers", "answers", "precision"):
        assert getattr(alone, name).tobytes() == getattr(one, name).tobytes()
