"""What holds for the arrivals of every process under every shape."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from arrival_kinds import EVERY, PROCESSES, drawn, group, scenario, told
from hypothesis import given
from hypothesis import strategies as st

from sim.world.arrivals.source import Arrivals, ScenarioArrivals
from sim.world.world import World

CLIENTS, HORIZON_S = 70, 180.0

every_kind = pytest.mark.parametrize(("process", "shape"), EVERY, ids=["-".join(pair) for pair in EVERY])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


def source(process: str, shape: str, folder: Path, seed: int = 0) -> ScenarioArrivals:
    return ScenarioArrivals(World(scenario(group(process, shape, CLIENTS, folder), seed=seed)))


@every_kind
def test_arrivals_of_a_stretch_lie_in_it_by_client_and_then_by_time(process, shape, folder):
    arrivals, total = source(process, shape, folder), 0
    for start, end in ((0.0, 60.0), (60.0, 61.5), (61.5, 120.0), (120.0, HORIZON_S)):
        found = arrivals.draw(0, start, end)
        assert (found.at_s.dtype, found.client.dtype) == (np.float64, np.int32)
        pairs = list(zip(found.client.tolist(), found.at_s.tolist(), strict=True))
        assert pairs == sorted(pairs)
        assert np.all((found.at_s >= start) & (found.at_s < end))
        assert np.all((found.client >= 0) & (found.client < CLIENTS))
        total += len(pairs)
    assert total > 100


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("chunk_s", [0.75, 7.0, 60.0, 90.5, 180.0])
def test_the_length_of_a_chunk_changes_no_arrival(process, shape, folder, chunk_s):
    by_minutes = drawn(source(process, shape, folder), HORIZON_S)
    assert told(drawn(source(process, shape, folder), HORIZON_S, chunk_s)) == told(by_minutes)


@every_kind
@pytest.mark.parametrize("shorter_s", [0.5, 60.0, 100.0, 119.5])
def test_a_longer_horizon_only_adds_requests(process, shape, folder, shorter_s):
    long = drawn(source(process, shape, folder), HORIZON_S)
    kept = long.at_s < shorter_s
    short = drawn(source(process, shape, folder), shorter_s)
    assert told(short) == told(Arrivals(long.at_s[kept], long.client[kept]))


@every_kind
def test_a_stretch_does_not_depend_on_what_was_asked_before(process, shape, folder):
    arrivals, alone = source(process, shape, folder), source(process, shape, folder)
    wanted = told(alone.draw(0, 70.0, 125.0))
    for before in ((0.0, 60.0), (130.0, 140.0), (70.0, 125.0), (60.0, 70.0)):
        arrivals.draw(0, *before)
        assert told(arrivals.draw(0, 70.0, 125.0)) == wanted


@every_kind
@pytest.mark.parametrize("cut_s", [*(pytest.param(at, marks=pytest.mark.slow) for at in (0.0, 60.0)), 77.7])
def test_what_is_kept_between_draws_is_data(process, shape, folder, cut_s):
    """Written out and loaded elsewhere it goes on as if nothing had been, and it is not written into."""
    whole, first = source(process, shape, folder), source(process, shape, folder)
    if cut_s:
        first.draw(0, 0.0, cut_s)
    kept = first.state()
    copied = {name: array.copy() for name, array in kept.items()}
    wanted = told(drawn(whole, HORIZON_S))
    first.draw(0, cut_s, HORIZON_S)
    for name, array in kept.items():
        np.testing.assert_array_equal(array, copied[name])
    second = source(process, shape, folder)
    second.restore(kept)
    rest = told(second.draw(0, cut_s, HORIZON_S))
    long = drawn(whole, HORIZON_S)
    late = long.at_s >= cut_s
    assert rest == told(Arrivals(long.at_s[late], long.client[late]))
    assert told(drawn(second, HORIZON_S)) == wanted


@every_kind
def test_a_group_behind_changes_nothing_of_those_before(process, shape, folder, tmp_path):
    mine = group(process, shape, CLIENTS, folder)
    alone = drawn(ScenarioArrivals(World(scenario(mine))), HORIZON_S)
    for other in PROCESSES:
        behind = group(other, "diurnal", 5, tmp_path, name="behind")
        both = drawn(ScenarioArrivals(World(scenario(mine, behind))), HORIZON_S)
        first = both.client < CLIENTS
        assert told(Arrivals(both.at_s[first], both.client[first])) == told(alone)
        assert np.any(~first)
        assert both.client.max() < CLIENTS + 5


@every_kind
def test_a_seed_is_its_own_traffic(process, shape, folder):
    one, other = (drawn(source(process, shape, folder, seed), HORIZON_S) for seed in (0, 1))
    assert told(one) != told(other)


@pytest.mark.parametrize("process", [name for name in PROCESSES if name not in ("poisson", "trace")])
def test_clients_of_a_process_of_their_own_do_not_know_how_many_they_are(process):
    """A group that grows changes nothing of the clients it had."""
    few = drawn(ScenarioArrivals(World(scenario(group(process, "diurnal", 9)))), HORIZON_S)
    many = drawn(ScenarioArrivals(World(scenario(group(process, "diurnal", 100)))), HORIZON_S)
    old = many.client < 9
    assert told(Arrivals(many.at_s[old], many.client[old])) == told(few)


@every_kind
@given(edges=st.lists(st.floats(0.0, 120.0), max_size=12))
def test_any_cuts_give_the_same(process, shape, folder, edges):
    edges = sorted({0.0, *edges, 120.0})
    cut = source(process, shape, folder)
    parts = [cut.draw(0, *edge) for edge in itertools.pairwise(edges)]
    at, client = (np.concatenate([getattr(part, name) for part in parts]) for name in ("at_s", "client"))
    order = np.argsort(client, kind="stable")
    whole = source(process, shape, folder).draw(0, 0.0, 120.0)
    assert told(Arrivals(at[order], client[order])) == told(whole)
