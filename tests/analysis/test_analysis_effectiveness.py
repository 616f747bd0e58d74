"""Plans of the largest gain per cost: Dinkelbach's method against another way there, and rounding."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from analysis.statistics.effectiveness import Ways, bound, rounded

amounts = st.floats(0.01, 10.0)


@st.composite
def ways(draw: st.DrawFn) -> Ways:
    """A few kinds of clients, each with a few ways of asking that take of two resources."""
    clients = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    kind = [one for one in range(len(clients)) for _ in range(draw(st.integers(1, 2)))]
    n = len(kind)
    columns = [np.array(draw(st.lists(amounts, min_size=n, max_size=n))) for _ in range(4)]
    limits = np.array([draw(st.floats(0.5, 30.0)) for _ in range(2)])
    return Ways(
        columns[0],
        columns[1],
        np.array(kind),
        np.array(clients, dtype=float),
        np.stack(columns[2:]),
        limits,
        draw(st.floats(0.1, 20.0)),
    )


def members(of: Ways) -> np.ndarray:
    return (of.kind == np.arange(len(of.clients))[:, None]).astype(float)


@settings(deadline=None)
@given(ways())
def test_it_finds_what_the_transform_of_charnes_and_cooper_finds(of):
    """With y = x·t and t = 1/(standing + cost·x) the ratio is a linear program of its own."""
    n = len(of.gain)
    limits = np.block(
        [
            [members(of), -of.clients[:, None]],
            [of.uses, -of.limits[:, None]],
            [np.zeros((1, n)), -np.ones((1, 1))],
        ]
    )
    found = linprog(
        -np.append(of.gain, 0.0),
        A_ub=limits,
        b_ub=np.zeros(len(limits)),
        A_eq=np.append(of.cost, of.standing)[None],
        b_eq=[1.0],
    )
    assert bound(of).effectiveness == pytest.approx(-found.fun, rel=1e-6)


@settings(deadline=None)
@given(ways())
def test_each_round_is_no_less_effective_and_the_last_leaves_nothing(of):
    found = bound(of)
    assert np.all(np.diff(found.rounds) >= -1e-12)
    e = found.effectiveness
    best = linprog(
        -(of.gain - e * of.cost),
        A_ub=np.vstack([members(of), of.uses]),
        b_ub=np.concatenate([of.clients, of.limits]),
    )
    assert -best.fun - e * of.standing == pytest.approx(0.0, abs=1e-6 * of.standing * max(e, 1.0))


@settings(deadline=None)
@given(ways())
def test_whole_clients_keep_the_limits_and_never_beat_the_bound(of):
    found = bound(of)
    whole = rounded(of, found.plan)
    assert np.array_equal(whole, np.round(whole))
    assert np.all(members(of) @ whole <= of.clients)
    assert np.all(of.uses @ whole <= of.limits * (1 + 1e-6))
    assert of.effectiveness(whole) <= found.effectiveness * (1 + 1e-6)


def test_the_best_of_all_whole_plans_lies_between_rounding_and_the_bound():
    """Three kinds, two ways each: every plan is tried."""
    draw = np.random.default_rng(5)
    for _ in range(20):
        of = Ways(
            draw.random(6) + 0.1,
            draw.random(6) + 0.1,
            np.repeat([0, 1, 2], 2),
            np.array([2.0, 1.0, 2.0]),
            draw.random((2, 6)),
            np.array([1.5, 2.0]),
            0.5,
        )
        plans = [np.array(one, dtype=float) for one in product(range(3), repeat=6)]
        allowed = [
            one
            for one in plans
            if np.all(members(of) @ one <= of.clients) and np.all(of.uses @ one <= of.limits)
        ]
        best = max(map(of.effectiveness, allowed))
        found = bound(of)
        assert of.effectiveness(rounded(of, found.plan)) <= best * (1 + 1e-9)
        assert best <= found.effectiveness * (1 + 1e-6)
        assert of.effectiveness(rounded(of, found.plan)) >= 0.7 * best


def test_a_ratio_without_anything_that_stands_there_is_refused():
    of = Ways(np.ones(1), np.ones(1), np.zeros(1, dtype=int), np.ones(1), np.ones((1, 1)), np.ones(1), 0.0)
    with pytest.raises(ValueError, match="standing"):
        bound(of)
