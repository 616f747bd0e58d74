"""Periods without service: the pure functions of time against a count on a fine grid."""

from __future__ import annotations

from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.world.outages.downtime import Downtime, either

PERIODS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 6)).map(lambda p: (p[0], p[0] + p[1])), max_size=6
)
INSTANTS = st.integers(0, 60).map(lambda n: n / 2)


def is_down(periods: list[tuple[float, float]], t: float) -> bool:
    return any(begin <= t < end for begin, end in periods)


@given(PERIODS, INSTANTS, INSTANTS)
def test_every_question_equals_a_look_at_every_half_second(periods, t, more):
    found = Downtime(periods)
    grid = [n / 2 for n in range(200)]
    assert found.is_up(t) == (not is_down(periods, t))
    assert found.is_up_through(t, t + more) == (
        not any(is_down(periods, s) for s in grid if t <= s <= t + more)
    )
    assert found.next_up(t) == min(s for s in grid if s >= t and not is_down(periods, s))
    changes = [s for s in grid if s > t and is_down(periods, s) != is_down(periods, s - 0.5)]
    assert found.next_change(t) == min(changes, default=inf)
    assert found.down_at(np.array(grid)).tolist() == [is_down(periods, s) for s in grid]
    assert found.down_s(100.0) == sum(is_down(periods, s) for s in grid) / 2


@given(PERIODS, PERIODS)
def test_what_is_down_with_either_is_down_with_one_of_them(some, others):
    both = either(Downtime(some), Downtime(others))
    for t in np.arange(0, 30, 0.5):
        assert both.is_up(t) == (not is_down([*some, *others], t))
    assert all(a[1] < b[0] for a, b in zip(list(both), list(both)[1:], strict=False))
