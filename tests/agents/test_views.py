"""Views: a corrupted data set is as fixed as the clean one."""

from __future__ import annotations

import numpy as np
import pytest
from small_fleets import group, scenario

from agents.data.datasets import load
from agents.data.views import CLEAN, Shift, corrupt, seen, views_of
from agents.plan import make_plan

DATA = load(scenario())


def shifted(name: str, **shift: float) -> dict[str, object]:
    return group(name, partition={"kind": "domain_shift", **shift})


def test_equal_shifts_share_a_view_and_none_is_the_clean_one() -> None:
    fleet = scenario(
        group("plain"),
        shifted("a", noise=0.3),
        shifted("b", blur=1.0),
        shifted("c", noise=0.3),
        shifted("still", noise=0.0),
    )
    shifts, view_of = views_of(fleet)
    assert shifts == (CLEAN, Shift(noise=0.3), Shift(blur=1.0))
    assert view_of == (0, 1, 2, 1, 0)


@pytest.mark.parametrize(
    "shift", [Shift(noise=0.3), Shift(blur=0.8), Shift(rotate=30.0), Shift(0.1, 0.5, -20.0)]
)
def test_a_view_is_fixed_and_stays_in_range(shift: Shift) -> None:
    first, again = (corrupt(DATA.images, shift, seed=7) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert first.shape == DATA.images.shape
    assert first.dtype == np.float32
    assert first.min() >= 0.0
    assert first.max() <= 1.0
    assert not np.array_equal(first, DATA.images)


def test_noise_is_keyed_by_sample_and_seed() -> None:
    noise = Shift(noise=0.3)
    whole = corrupt(DATA.images, noise, seed=7)
    assert np.array_equal(whole[:5], corrupt(DATA.images[:5], noise, seed=7))
    assert not np.array_equal(whole, corrupt(DATA.images, noise, seed=8))
    assert not np.array_equal(whole[0] - DATA.images[0], whole[1] - DATA.images[1])


def test_two_strengths_differ_in_nothing_but_strength() -> None:
    """Common random numbers: twice the noise moves every pixel twice as far."""
    grey = np.full_like(DATA.images, 0.5)
    weak, strong = (corrupt(grey, Shift(noise=noise), seed=7) - grey for noise in (0.03, 0.06))
    np.testing.assert_allclose(strong, 2 * weak, atol=1e-6)


def test_a_group_does_not_change_what_another_sees() -> None:
    alone = make_plan(scenario(shifted("b", noise=0.3)))
    behind = make_plan(scenario(shifted("a", noise=0.1), shifted("b", noise=0.3)))
    indices = np.arange(DATA.size)
    second = behind.view_of[1] * DATA.size
    assert np.array_equal(alone.images[DATA.size + indices], behind.images[second + indices])


def test_a_quarter_turn_is_exact() -> None:
    turned = corrupt(DATA.images, Shift(rotate=90.0), seed=7)
    np.testing.assert_allclose(turned, np.rot90(DATA.images, axes=(2, 3)), atol=1e-6)


def test_images_lie_where_their_sample_id_says() -> None:
    shifts = (CLEAN, Shift(blur=1.0), Shift(rotate=30.0))
    images = seen(DATA, shifts, seed=7)
    assert len(images) == 3 * DATA.size
    whole = np.concatenate([corrupt(DATA.images, shift, seed=7) for shift in shifts])
    order = np.random.default_rng(0).permutation(len(images))
    assert np.array_equal(images[order], whole[order])
    assert images[order].dtype == np.float32


def test_the_clean_view_stays_a_byte_a_pixel() -> None:
    images = seen(DATA, (CLEAN,), seed=7)
    assert images.data.pixels.nbytes == DATA.size * 64
    assert images.shifted == ()


def test_the_points_of_a_mixture_are_not_clipped() -> None:
    points = load(scenario(data={"set": "gaussian_mixture", "samples": 200}))
    noisy = seen(points, (CLEAN, Shift(noise=2.0)), seed=7)[200 + np.arange(200)]
    moved = (noisy - points.images) / 2.0
    assert noisy.min() < -3.0
    assert noisy.max() > 3.0
    assert abs(moved.std() - 1.0) < 0.05
