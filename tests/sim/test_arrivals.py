"""Poisson arrivals drawn by block and minute: their law, and that a draw depends on its key alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from worlds import group_of, scenario_of

from sim.scenario.schema.values import CHUNK_S
from sim.world.arrivals.source import Arrivals, ScenarioArrivals, in_order
from sim.world.population import BLOCK
from sim.world.world import World

FALSE_ALARM = 1e-3  # of each test of a law, once for all: the seed is fixed


def source(*groups: dict[str, object], seed: int = 0, horizon_s: float = 600.0) -> ScenarioArrivals:
    return ScenarioArrivals(World(scenario_of(seed=seed, horizon_s=horizon_s, fleet=groups)))


def devices(name: str = "devices", clients: int = 1, rate_hz: float = 1.0) -> dict[str, object]:
    process = {"kind": "poisson", "rate_hz": rate_hz}
    return group_of(name, clients=clients, arrivals={"process": process})


def whole_run(arrivals: ScenarioArrivals, horizon_s: float) -> Arrivals:
    """All chunks of a run up to its horizon, by client and then by time."""
    parts = [
        arrivals.draw(index, index * CHUNK_S, min((index + 1) * CHUNK_S, horizon_s))
        for index in range(int(np.ceil(horizon_s / CHUNK_S)))
    ]
    at, client = (np.concatenate([getattr(part, name) for part in parts]) for name in ("at_s", "client"))
    return in_order(at, client, np.inf)


def test_the_rate_is_the_rate():
    """100 clients at 0.8 Hz for 600 s: a Poisson count of mean 48,000."""
    n = len(whole_run(source(devices(clients=100, rate_hz=0.8)), 600.0).at_s)
    law = stats.poisson(48_000)
    assert min(law.cdf(n), law.sf(n - 1)) > FALSE_ALARM / 2


def test_gaps_of_one_client_are_exponential():
    """Across the edges of chunks too."""
    run = whole_run(source(devices(rate_hz=5.0), horizon_s=3000.0), 3000.0)
    gaps = np.diff(run.at_s)
    assert stats.kstest(gaps, stats.expon(scale=0.2).cdf).pvalue > FALSE_ALARM
    lagged = stats.spearmanr(gaps[1:], gaps[:-1])
    assert lagged.pvalue > FALSE_ALARM


def test_a_block_shares_its_requests_out_evenly():
    """Chi-square over the 130 clients of a group, whose last block has two."""
    run = whole_run(source(devices(clients=130, rate_hz=2.0)), 600.0)
    counts = np.bincount(run.client, minlength=130)
    assert len(counts) == 130
    # Each client's count is Poisson with mean 1,200 by itself; the sum is not given.
    statistic = np.sum((counts - 1200.0) ** 2 / 1200.0)
    assert FALSE_ALARM / 2 < stats.chi2(130).sf(statistic) < 1 - FALSE_ALARM / 2


def test_counts_of_different_chunks_and_blocks_are_independent():
    arrivals = source(devices(clients=2 * BLOCK, rate_hz=1.0))
    counts = np.array(
        [
            np.bincount(arrivals.draw(index, index * 60.0, index * 60.0 + 60.0).client // BLOCK, minlength=2)
            for index in range(400)
        ]
    )
    assert stats.spearmanr(counts[:, 0], counts[:, 1]).pvalue > FALSE_ALARM
    assert stats.spearmanr(counts[1:, 0], counts[:-1, 0]).pvalue > FALSE_ALARM


def test_every_group_keeps_its_own_rate():
    run = whole_run(source(devices("slow", 10, 0.5), devices("fast", 10, 5.0)), 600.0)
    slow, fast = np.sum(run.client < 10), np.sum(run.client >= 10)
    assert stats.binomtest(int(slow), int(slow + fast), 0.5 / 5.5).pvalue > FALSE_ALARM
    assert stats.poisson(30_000).cdf(fast) > FALSE_ALARM


@pytest.mark.parametrize("shorter_s", [30.0, 60.0, 100.0, 119.5])
def test_a_longer_horizon_only_adds_requests(shorter_s):
    """A short last chunk is the full one cut off, so nothing before the cut changes."""
    groups = (devices("a", 70), devices("b", 3, 4.0))
    long = whole_run(source(*groups, horizon_s=180.0), 180.0)
    short = whole_run(source(*groups, horizon_s=shorter_s), shorter_s)
    kept = long.at_s < shorter_s
    assert short.at_s.tolist() == long.at_s[kept].tolist()
    assert short.client.tolist() == long.client[kept].tolist()


def test_a_chunk_does_not_know_what_was_asked_before():
    in_turn, alone = source(devices(clients=5)), source(devices(clients=5))
    in_turn.draw(0, 0.0, 60.0)
    in_turn.draw(1, 60.0, 120.0)
    assert in_turn.draw(2, 120.0, 180.0).at_s.tolist() == alone.draw(2, 120.0, 180.0).at_s.tolist()


def test_a_block_draws_the_same_whoever_else_is_in_the_fleet():
    """Blocks are keyed by number: a group appended to the fleet leaves those before it alone."""
    few = source(devices("a", BLOCK)).draw(3, 180.0, 240.0)
    many = source(devices("a", BLOCK), devices("b", 10)).draw(3, 180.0, 240.0)
    first = many.client < BLOCK
    assert few.at_s.tolist() == many.at_s[first].tolist()
    assert few.client.tolist() == many.client[first].tolist()


def test_blocks_chunks_and_seeds_draw_differently():
    two = source(devices(clients=2 * BLOCK))
    first = two.draw(0, 0.0, 60.0)
    half = first.client < BLOCK
    offsets = [first.at_s[half], first.at_s[~half], two.draw(1, 60.0, 120.0).at_s - 60.0]
    offsets.append(source(devices(clients=2 * BLOCK), seed=1).draw(0, 0.0, 60.0).at_s)
    for n, one in enumerate(offsets):
        for other in offsets[n + 1 :]:
            assert not np.any(np.isclose(one[:, None], other, rtol=0, atol=1e-9))


@given(
    st.lists(st.tuples(st.integers(0, 40).map(lambda n: n / 4), st.integers(0, 3)), max_size=30),
    st.integers(0, 44).map(lambda n: n / 4),
)
def test_arrivals_are_sorted_by_client_then_time_and_end_before_the_end(pairs, end_s):
    at = np.array([at for at, _ in pairs], dtype=np.float64)
    arrivals = in_order(at, np.array([client for _, client in pairs], dtype=np.int32), end_s)
    found = list(zip(arrivals.client.tolist(), arrivals.at_s.tolist(), strict=True))
    assert found == sorted((client, at) for at, client in pairs if at < end_s)


def test_a_drawn_chunk_is_sorted_and_inside_its_bounds():
    drawn = source(devices("a", 70), devices("b", 3, 4.0)).draw(4, 240.0, 285.5)
    order = list(zip(drawn.client.tolist(), drawn.at_s.tolist(), strict=True))
    assert order == sorted(order)
    assert drawn.at_s.min() >= 240.0
    assert 280.0 < drawn.at_s.max() < 285.5
    assert (drawn.at_s.dtype, drawn.client.dtype) == (np.float64, np.int32)
