"""Pools: five disjoint parts of the data, and the sample axis made of two of them."""

from __future__ import annotations

import numpy as np
import pytest
from small_fleets import scenario

from agents.data.datasets import load
from agents.data.pools import sample_axis, split
from sim.errors import BadInput
from sim.scenario import POOLS


def test_default_shares_of_digits() -> None:
    pools = split(scenario(), load(scenario()))
    parts = [getattr(pools, name) for name in POOLS]
    assert [len(part) for part in parts] == [359, 539, 359, 179, 361]
    assert len(pools.held_out) == 181
    assert np.isin(pools.held_out, pools.traffic).all()
    assert sorted(np.concatenate(parts)) == list(range(1797))


def test_the_seed_alone_decides_the_pools() -> None:
    data = load(scenario())
    first, again = split(scenario(), data), split(scenario(epochs=5), data)
    other = split(scenario(seed=8), data)
    assert np.array_equal(first.client, again.client)
    assert not np.array_equal(first.client, other.client)


@pytest.mark.parametrize(
    ("shares", "rule"),
    [
        ((0.2, 0.3, 0.2, 0.1, 0.1), "sum to 0.9"),
        ((0.0001, 0.4999, 0.2, 0.1, 0.2), "leave 0 for 'client'"),
    ],
)
def test_pools_that_cannot_be_cut_are_refused(shares: tuple[float, ...], rule: str) -> None:
    bad = scenario(data={"set": "digits", "pools": shares})
    with pytest.raises(BadInput, match=rf"^data\.pools: .*{rule}"):
        split(bad, load(bad))


def test_the_axis_holds_calibration_and_traffic_in_every_view() -> None:
    data = load(scenario())
    pools = split(scenario(), data)
    axis = sample_axis(data, pools, views=2)
    assert len(axis.sample_id) == 2 * (179 + 361)
    assert np.all(np.diff(axis.sample_id) > 0)
    assert np.array_equal(axis.sample_id, axis.view * 1797 + axis.base_id)
    assert np.array_equal(axis.label, data.labels[axis.base_id])
    assert axis.held_out.sum() == 2 * 181
    assert (axis.pool[axis.held_out] == POOLS.index("traffic")).all()
