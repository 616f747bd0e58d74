"""A device serves its requests one at a time: the vectorised recursion against a plain loop."""

from __future__ import annotations

from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tried import tried

from sim.world.devices import done_at


def one_by_one(arrived, client, inference_s, free_at):
    """First come, first served, request after request."""
    free, done = list(free_at), []
    for at, who, takes in zip(arrived, client, inference_s, strict=True):
        free[who] = max(at, free[who]) + takes
        done.append(free[who])
    return done


@st.composite
def traffic(draw):
    """Requests of a few clients, on a lattice full of ties or at any time, some devices still busy."""
    clients = draw(st.integers(1, 4))
    instant = (
        st.integers(0, 40).map(lambda n: n / 4)
        if draw(st.booleans())
        else st.floats(0, 10, allow_subnormal=False)
    )
    takes = draw(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.1, 1.0, 3.0]), min_size=clients, max_size=clients)
    )
    pairs = sorted(
        (who, at) for who, at in draw(st.lists(st.tuples(st.integers(0, clients - 1), instant), max_size=40))
    )
    free_at = draw(st.lists(st.just(-inf) | instant, min_size=clients, max_size=clients))
    return [at for _, at in pairs], [who for who, _ in pairs], [takes[who] for who, _ in pairs], free_at


@tried(500)
@given(traffic())
def test_devices_equal_a_plain_loop_bit_for_bit(world):
    arrived, client, inference_s, free_at = world
    done = done_at(
        np.array(arrived, dtype=np.float64),
        np.array(client, dtype=np.int32),
        np.array(inference_s, dtype=np.float64),
        np.array(free_at, dtype=np.float64),
    )
    assert done.tolist() == one_by_one(*world)


def test_a_long_busy_period_is_followed_to_its_end():
    """A thousand requests at once, behind a device that is busy until 5 s; a neighbour is not held up."""
    arrived = np.concatenate([np.zeros(1000), [0.0]])
    client = np.array([0] * 1000 + [1], dtype=np.int32)
    done = done_at(arrived, client, np.full(1001, 0.5), np.array([5.0, -inf]))
    assert done[:1000].tolist() == [5.0 + 0.5 * (n + 1) for n in range(1000)]
    assert done[1000] == 0.5


def test_a_device_that_takes_no_time_is_done_at_once():
    arrived = np.array([0.0, 0.0, 1.5])
    assert done_at(arrived, np.zeros(3, np.int32), np.zeros(3), np.array([-inf])).tolist() == [0.0, 0.0, 1.5]


def test_nobody_arrives():
    nobody = np.array([])
    assert len(done_at(nobody, nobody.astype(np.int32), nobody, np.array([1.0]))) == 0


def test_the_input_is_left_as_it_was():
    arrived = np.array([0.0, 0.1, 0.2])
    done_at(arrived, np.zeros(3, np.int32), np.ones(3), np.array([4.0]))
    assert arrived.tolist() == [0.0, 0.1, 0.2]
