"""Keyed randomness: what a draw is for decides its value, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.streams import Draws, Streams, key, stream

IDS = st.integers(0, 2**63 - 1)
ATTEMPTS = st.integers(0, 2**32 - 1)
TRIALS = st.integers(0, 2**16 - 1)
FALSE_ALARM = 1e-3  # of each test below, once for all: the seed is fixed, so a pass stays a pass
N = 100_000


@given(st.lists(IDS, min_size=1, max_size=9), ATTEMPTS, TRIALS, st.integers(0, 2**63 - 1))
def test_one_draw_is_an_array_of_one_bit_for_bit(ids, attempt, trial, seed):
    draws = Draws(seed, "uplink")
    alone = [draws.one(request, attempt, trial) for request in ids]
    assert draws.many(np.array(ids), attempt, trial).tolist() == alone


@given(st.lists(st.tuples(IDS, ATTEMPTS), min_size=1, max_size=9), TRIALS)
def test_attempts_may_differ_within_an_array(pairs, trial):
    draws = Draws(1, "uplink")
    ids, attempts = np.array(pairs).T
    alone = [draws.one(request, attempt, trial) for request, attempt in pairs]
    assert draws.many(ids, attempts, trial).tolist() == alone


@given(IDS, ATTEMPTS, TRIALS)
def test_a_draw_lies_strictly_between_zero_and_one(request_id, attempt, trial):
    assert 0.0 < Draws(0, "any").one(request_id, attempt, trial) < 1.0


@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=5))
def test_streams_taken_in_turn_are_those_made_one_by_one(entities):
    streams = Streams(3, "arrivals")
    for entity in entities:
        taken, made = streams.of(*entity), stream(3, "arrivals", *entity)
        for draw in (taken, made):  # what a 32-bit draw leaves over must not reach the next entity
            draw.integers(0, 7, 3, dtype=np.int32)
        assert taken.poisson(30.0, 4).tolist() == made.poisson(30.0, 4).tolist()


def test_the_smallest_and_the_largest_word_still_give_a_draw_inside(monkeypatch):
    for word, value in ((0, 2.0**-53), (2**64 - 1, 1 - 2.0**-53)):
        monkeypatch.setattr("sim.streams._mix", lambda _, word=word: word)
        assert Draws(0, "any").one(0) == value


def test_the_hash_never_changes_by_accident():
    """Every run ever made depends on these numbers: a change of the hash must be a decision."""
    assert key(7, "arrivals", 3, 11) == 0xDE94CD837E8698AC
    assert Draws(7, "uplink").one(5 << 32 | 9, 2, 1) == 0.2554334316271868
    assert stream(7, "arrivals", 3, 11).random(2).tolist() == [0.6538998317344956, 0.42592282392043745]


def _uniform(draws: np.ndarray) -> float:
    return float(stats.kstest(draws, "uniform").pvalue)


def test_draws_of_one_client_are_uniform():
    """Kolmogorov-Smirnov over a client's consecutive requests."""
    draws = Draws(11, "service")
    assert _uniform(draws.many(np.arange(N) + (3 << 32), 1)) > FALSE_ALARM


@pytest.mark.parametrize("bit", [0, 1, 2, 30, 51])
def test_every_bit_of_a_draw_is_a_fair_coin(bit):
    words = (Draws(11, "service").many(np.arange(N), 1) * 2.0**52).astype(np.int64)
    heads = int(np.sum(words >> bit & 1))
    assert stats.binomtest(heads, N).pvalue > FALSE_ALARM


def _dependence(first: np.ndarray, second: np.ndarray) -> float:
    """p-value of independence: chi-square of the pairs over a grid of 16 by 16 cells."""
    cells = np.floor(np.stack([first, second]) * 16).astype(int)
    counts = np.bincount(cells[0] * 16 + cells[1], minlength=256)
    return float(stats.chisquare(counts).pvalue)


@pytest.mark.parametrize("far", [1, 2, 1 << 32, 1 << 40, 1 << 62])
def test_neighbouring_requests_and_neighbouring_clients_are_independent(far):
    draws, ids = Draws(5, "uplink"), np.arange(0, 4 * N, 4)
    assert _dependence(draws.many(ids), draws.many(ids + far)) > FALSE_ALARM


@pytest.mark.parametrize("other", [(2, 0), (3, 0), (0, 0), (1, 1), (1, 2), (1 << 16, 0)])
def test_attempts_and_trials_are_independent_of_the_first(other):
    draws, ids = Draws(5, "uplink"), np.arange(N)
    assert _dependence(draws.many(ids, 1, 0), draws.many(ids, *other)) > FALSE_ALARM


@pytest.mark.parametrize(("seed", "purpose"), [(5, "downlink"), (6, "uplink"), (5, "service")])
def test_purposes_and_seeds_are_independent(seed, purpose):
    ids = np.arange(N)
    assert _dependence(Draws(5, "uplink").many(ids, 1), Draws(seed, purpose).many(ids, 1)) > FALSE_ALARM


def test_draws_of_different_requests_differ():
    """52 bits: among 100,000 draws a collision has a chance of one in a million."""
    assert len(np.unique(Draws(5, "uplink").many(np.arange(N), 1))) == N


def test_a_stream_is_keyed_and_never_call_ordered():
    alone = stream(7, "arrivals", 2, 5).random(4)
    stream(7, "arrivals", 2, 4).random(1000)
    np.random.default_rng(7).random(10)
    assert stream(7, "arrivals", 2, 5).random(4).tolist() == alone.tolist()


def test_every_part_of_a_key_counts():
    keys = [
        (7, "a"),
        (8, "a"),
        (7, "b"),
        (7, "a", 0),
        (7, "a", 1),
        (7, "a", 0, 1),
        (7, "a", 1, 0),
        (7, "a", 10),
    ]
    assert len({key(*parts) for parts in keys}) == len(keys)
    assert len({float(stream(*parts).random()) for parts in keys}) == len(keys)


def test_drawing_leaves_numpys_global_state_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    Draws(1, "x").many(np.arange(10))
    stream(1, "x").random(10)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
