"""Orders of whole windows are those of NumPy's stable sort."""

from __future__ import annotations

import numpy as np
import pytest

from sim.sorting import FEW, by_number, by_time

SIZES = [0, 1, 2, FEW - 1, FEW, 5 * FEW]


def test_instants_come_in_the_order_of_a_stable_sort():
    draw = np.random.default_rng(1)
    for n in SIZES:
        late = np.sort(draw.random(n)) * 60.0
        for at in (
            late,
            late[::-1],
            late + draw.lognormal(-3.0, 1.0, n),
            np.round(draw.random(n) * 60.0, 1),  # many at one instant
            np.where(draw.random(n) < 0.5, 1e-9 * draw.random(n), 1e6),  # most in one step of time
            np.zeros(n),
            5e-324 * draw.integers(0, 2, n),
        ):
            np.testing.assert_array_equal(by_time(at), np.argsort(at, kind="stable"))


@pytest.mark.parametrize("last", [np.inf, -np.inf, np.nan])
def test_instants_that_do_not_come_have_their_place_too(last):
    at = np.random.default_rng(2).random(3 * FEW)
    at[::7] = last
    np.testing.assert_array_equal(by_time(at), np.argsort(at, kind="stable"))


@pytest.mark.parametrize("upto", [1, 64, 2**16 - 1, 2**16, 2**20, 2**32 - 1])
def test_numbers_come_in_the_order_of_a_stable_sort(upto):
    draw = np.random.default_rng(3)
    for n in SIZES:
        number = draw.integers(0, upto, n, endpoint=True)
        np.testing.assert_array_equal(by_number(number), np.argsort(number, kind="stable"))
