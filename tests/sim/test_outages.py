"""Outages composed into usable replicas over time, by hand and against a count second by second."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import scenario_of

from sim.world.outages.capacity import Capacity
from sim.world.world import World

SERVER = {"kind": "server"}


def replicas(count: int) -> dict[str, object]:
    return {"kind": "replicas", "count": count}


def outage(target: dict[str, object], *at: tuple[float, float]) -> dict[str, object]:
    return {"when": {"kind": "intervals", "at": at}, "target": target}


def capacity_of(*outages: dict[str, object], n: int = 3, horizon_s: float = 100.0) -> Capacity:
    server = {"service": {"kind": "affine", "base_s": 1.0}, "replicas": n, "outages": outages}
    return World(scenario_of(horizon_s=horizon_s, server=server)).capacities[0]


def changes(found: Capacity) -> list[tuple[float, int]]:
    return list(zip(found.at_s.tolist(), found.usable.tolist(), strict=True))


def test_without_outages_all_replicas_work_throughout():
    assert changes(capacity_of()) == [(0.0, 3)]


def test_an_outage_takes_its_target_and_gives_it_back():
    assert changes(capacity_of(outage(replicas(2), (10, 20)))) == [(0.0, 3), (10.0, 1), (20.0, 3)]
    assert changes(capacity_of(outage(SERVER, (10, 20)))) == [(0.0, 3), (10.0, 0), (20.0, 3)]


def test_each_outage_takes_replicas_that_the_others_leave():
    """One is gone from 10 s, two more from 20 s; four outages of one take no more than there are."""
    found = capacity_of(outage(replicas(1), (10, 40)), outage(replicas(2), (20, 30)))
    assert changes(found) == [(0.0, 3), (10.0, 2), (20.0, 0), (30.0, 2), (40.0, 3)]
    same = capacity_of(*[outage(replicas(1), (10 + n, 40)) for n in range(4)])
    assert changes(same) == [(0.0, 3), (10.0, 2), (11.0, 1), (12.0, 0), (40.0, 3)]


def test_replicas_that_fail_independently_are_up_as_the_binomial_law_says():
    """Each of two is up half of the time: none and both a quarter of it, one on average."""
    each = {"when": {"kind": "intermittent", "availability": 0.5, "mean_cycle_s": 100.0}}
    found = capacity_of(*[each | {"target": replicas(1)}] * 2, n=2, horizon_s=100_000.0)
    lengths = np.diff(np.append(found.at_s, 100_000.0)) / 100_000.0
    none, one, both = (float(lengths[found.usable == up].sum()) for up in (0, 1, 2))
    # A share of a two-state process over 1,000 cycles of its slower part has a standard error of 0.013.
    assert (none, one, both) == pytest.approx((0.25, 0.5, 0.25), abs=0.05)


def test_a_server_outage_within_an_outage_of_replicas_takes_all():
    found = capacity_of(outage(replicas(1), (10, 40)), outage(SERVER, (20, 30)))
    assert changes(found) == [(0.0, 3), (10.0, 2), (20.0, 0), (30.0, 2), (40.0, 3)]


def test_edges_at_one_instant_are_one_net_change():
    """One target recovers as another fails: from 2 to 1 at once, never through 3 or 0."""
    found = capacity_of(outage(replicas(1), (10, 20)), outage(replicas(2), (20, 30)))
    assert changes(found) == [(0.0, 3), (10.0, 2), (20.0, 1), (30.0, 3)]


def test_edges_that_cancel_are_no_change():
    assert changes(capacity_of(outage(SERVER, (10, 20), (20, 30)))) == [(0.0, 3), (10.0, 0), (30.0, 3)]


def test_an_edge_behind_a_larger_outage_is_no_change():
    found = capacity_of(outage(replicas(1), (10, 20)), outage(SERVER, (5, 30)))
    assert changes(found) == [(0.0, 3), (5.0, 0), (30.0, 3)]


def test_an_outage_may_begin_at_the_start_and_end_at_the_horizon():
    assert changes(capacity_of(outage(SERVER, (0, 100)))) == [(0.0, 0)]
    assert changes(capacity_of(outage(replicas(1), (0, 5)))) == [(0.0, 2), (5.0, 3)]


def test_intervals_are_half_open():
    """Down from the first instant on, up again at the last."""
    found = capacity_of(outage(SERVER, (10, 20)))
    just_before, just_after = np.nextafter([10.0, 20.0], 0.0)
    assert found.usable_at(np.array([0.0, just_before, 10.0, just_after, 20.0])).tolist() == [3, 3, 0, 0, 3]
    assert found.usable_at(15.0) == 0


def test_intervals_are_listed_by_start_with_what_they_take():
    server = {
        "service": {"kind": "affine", "base_s": 1.0},
        "replicas": 3,
        "outages": (outage(replicas(2), (30, 40), (60, 70)), outage(SERVER, (50, 55))),
    }
    found = World(scenario_of(horizon_s=100.0, server=server)).intervals
    assert [(i.target, i.from_s, i.until_s, i.takes) for i in found] == [
        ("replicas:2", 30.0, 40.0, 2),
        ("server", 50.0, 55.0, 3),
        ("replicas:2", 60.0, 70.0, 2),
    ]


@st.composite
def written(draw: st.DrawFn) -> tuple[int, list[dict[str, object]]]:
    """Intervals in whole seconds below 30, apart for each target."""
    n = draw(st.integers(1, 4))
    targets = [SERVER, *(replicas(count) for count in range(1, n + 1))]
    found = []
    for target in draw(st.lists(st.sampled_from(targets), max_size=4, unique_by=str)):
        edges = sorted(draw(st.lists(st.integers(0, 30), min_size=2, max_size=6, unique=True)))
        edges = edges[: len(edges) // 2 * 2]
        found.append(outage(target, *zip(map(float, edges[::2]), map(float, edges[1::2]), strict=True)))
    return n, found


@given(written())
def test_composition_equals_a_count_outage_by_outage(world):
    n, outages = world
    found = capacity_of(*outages, n=n, horizon_s=30.0)
    for t in np.arange(0, 30, 0.5):
        up = n
        for one in outages:
            if any(begin <= t < end for begin, end in one["when"]["at"]):
                up = max(0, up - one["target"].get("count", n))
        assert found.usable_at(t) == up
    assert np.all(np.diff(found.at_s) > 0)
    assert np.all(np.diff(found.usable) != 0)


def test_availability_is_the_share_of_the_run_in_which_some_replica_works():
    """Replicas that are left keep the server up; what an outage covers beyond the horizon does not count."""
    outages = (outage(SERVER, (10, 20), (90, 130)), outage(replicas(2), (40, 80)))
    server = {"service": {"kind": "affine", "base_s": 1.0}, "replicas": 3, "outages": outages}
    assert World(scenario_of(horizon_s=100.0, server=server)).availabilities == (0.8,)
