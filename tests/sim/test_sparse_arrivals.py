"""Many blocks drawn at once are those that their own generators give."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from sim.streams import Streams
from sim.world.arrivals.sparse import asked_of_blocks, is_sparse


@pytest.mark.parametrize("mean", [1e-4, 0.3, 1.9, 9.99])
@pytest.mark.parametrize("size", [1, 2, 64])
def test_each_block_has_what_its_own_generator_gives(mean, size):
    streams = Streams(7, "arrivals")
    keys, keys_of = [(block, minute) for minute in (0, 3) for block in range(400)], streams.keys(range(400))
    found = asked_of_blocks(np.concatenate([keys_of(0), keys_of(3)]), np.full(len(keys), exp(-mean)), size)
    counts, shares, places = [], [], []
    for one in keys:
        draw = streams.of(*one)
        count = draw.poisson(mean)
        counts.append(count)
        if count:
            shares.append(draw.random(count))
            places.append(draw.integers(0, size, count, dtype=np.int32))
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(found.share, np.concatenate([*shares, np.empty(0)]))
    np.testing.assert_array_equal(found.place, np.concatenate([*places, np.empty(0)]))


def test_blocks_that_others_draw_are_told_apart():
    assert is_sparse(1.0, 64)
    assert not is_sparse(10.0, 64)
    assert not is_sparse(0.0, 64)
    assert not is_sparse(1.0, 63)
