"""Numbers of many requests: found piece by piece, of columns that lie in files, and the same as of few."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_pieces import cut
from numpy.typing import NDArray

import analysis
from analysis.metrics.summary import summarise
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of
from analysis.statistics import room
from analysis.statistics.clusters import Clusters, clusters
from analysis.statistics.in_time import Span, mean_in_time, share_in_time
from analysis.statistics.leverage import shape_of
from analysis.statistics.scattered import Scattered, estimated

Finished = tuple[Path, dict[str, Any]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 1,000, and every column in a file."""
    cut(monkeypatch)
    monkeypatch.setattr(room, "LARGE", 1)


def close(one: Any, other: Any, where: str = "") -> None:
    """Fails where two values differ by more than the order of a sum."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            close(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for place, (first, second) in enumerate(zip(one, other, strict=True)):
            close(first, second, f"{where}.{place}")
    elif isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-8, abs=1e-12), where
    else:
        assert one == other, where


@pytest.mark.usefixtures("small")
def test_a_summary_in_pieces_is_the_summary(finished: Finished) -> None:
    close(json.loads(json.dumps(summarise(load_run(finished[0])))), finished[1])


@pytest.mark.usefixtures("small")
def test_columns_of_many_requests_lie_in_files_and_come_back(finished: Finished) -> None:
    traffic = traffic_of(load_run(finished[0]))
    columns = [*room.columns_of(traffic.everything), *traffic.clusters.arrays]
    assert len(room.files_of(columns)) == len(columns)
    before = [column.copy() for column in columns]
    traffic.let_go()
    for column, kept in zip(columns, before, strict=True):
        np.testing.assert_array_equal(column, kept)


def test_columns_of_few_requests_lie_in_memory(finished: Finished) -> None:
    traffic = traffic_of(load_run(finished[0]))
    assert room.files_of([*room.columns_of(traffic.everything), *traffic.clusters.arrays]) == []


def test_a_full_disk_leaves_columns_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "LARGE", 1)
    monkeypatch.setattr(room.os, "posix_fallocate", full)
    found = room.room(10, np.int32)
    assert found.size == 10
    assert room.files_of([found]) == []


def peak_bytes_a_request(n: int) -> float:
    """What one share of n requests, of as many cells, takes while it is found."""
    draw = np.random.default_rng(0)
    client = np.arange(n) % (n // 100)
    found = estimated(client, draw.integers(0, 2000, n), np.zeros(n, dtype=np.int8))
    hits, among = draw.random(n) < 0.3, draw.random(n) < 0.5
    found.share(hits, among)  # what is kept of the mask is there
    found._last.clear()
    tracemalloc.start()
    found.share(hits, among)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / n


def test_a_share_of_many_requests_takes_few_bytes_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """By client and sample, what grows by requests is a mask; cell by cell it is everything."""
    whole = peak_bytes_a_request(100_000)
    cut(monkeypatch, 4000)
    assert peak_bytes_a_request(100_000) < 6
    assert whole > 12


Requests = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def drawn(seed: int, clients: int, bases: int, n: int) -> tuple[Requests, np.random.Generator]:
    """Requests of so many clients in three groups about so many base samples, and what draws more."""
    draw = np.random.default_rng(seed)
    client = draw.integers(0, clients, n) * 3  # no client has the numbers between
    return (client, draw.integers(0, bases, n), client // 3 % 3), draw


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("clients", "bases"), [(300, 80), (3000, 400), (4, 5)])
def test_estimates_by_client_and_sample_are_those_cell_by_cell(clients: int, bases: int) -> None:
    """Of cells that few share, or nearly all."""
    asked, draw = drawn(1, clients, bases, 5000)
    n = asked[0].size
    among, hits, values = draw.random(n) < 0.6, draw.random(n) < 0.3, draw.normal(size=n)
    many, cells = estimated(*asked), clusters(*asked)
    assert isinstance(many, Scattered)
    close(many.share(hits, among), cells.share(hits, among))
    close(many.mean(values, among), cells.mean(values, among))
    close(many.mean(np.where(among, values, np.nan), among), cells.mean(values, among))
    np.testing.assert_allclose(many.squares_by_client(among), cells.squares_by_client(among))
    nobody = np.zeros(n, dtype=bool)
    assert many.share(hits, nobody) == cells.share(hits, nobody)
    rows = np.flatnonzero(draw.random(n) < 0.5)
    part, whole = many.only(rows), cells.only(rows)
    assert isinstance(part, Scattered)
    close(part.mean(values[rows], among[rows]), whole.mean(values[rows], among[rows]))
    few = many.only(rows[:700])
    assert isinstance(few, Clusters)
    close(
        few.mean(values[rows[:700]], among[rows[:700]]),
        cells.only(rows[:700]).mean(values[rows[:700]], among[rows[:700]]),
    )


@pytest.mark.usefixtures("small")
def test_variance_between_clients_is_told_by_client_and_sample() -> None:
    """Of shares, of means, of ratios of fractions, and where parts stand beside what is counted."""
    asked, draw = drawn(2, 300, 80, 5000)
    n = asked[0].size
    among, hits, weights = draw.random(n) < 0.6, draw.random(n) < 0.3, draw.random(n) + 0.5
    values = draw.normal(size=n) + asked[0] % 7  # clients differ
    many, cells = estimated(*asked), clusters(*asked)
    for parts, wholes in (
        (hits & among, among),
        (hits, among),
        (np.where(among, values, 0.0), among),
        (np.where(among, values, 0.0), np.where(among, weights, 0.0)),
        (values, np.where(among, weights, 0.0)),
        (values, np.zeros(n)),
    ):
        expected = cells.client_variance(parts, wholes)
        assert many.client_variance(parts, wholes) == pytest.approx(expected, rel=1e-9)
    influence = cells.sums(np.where(among, values - values[among].mean(), 0.0)) / among.sum()
    told = many.client_variance(np.where(among, values, 0.0), among)
    assert told == pytest.approx(cells.variance_between_clients(influence, cells.sums(among)))
    assert told > 0


@pytest.mark.usefixtures("small")
def test_many_requests_are_compared_cell_by_cell(finished: Finished) -> None:
    traffic = traffic_of(load_run(finished[0]))
    assert isinstance(traffic.clusters, Scattered)
    close(
        traffic.cells.share(traffic.correct, traffic.held_out),
        traffic.clusters.share(traffic.correct, traffic.held_out),
    )


def test_kinds_of_clusters_stand_for_their_members() -> None:
    """Whole numbers are looked up by kind, others one by one."""
    draw = np.random.default_rng(2)
    held, stratum = draw.integers(0, 6, 400) * 1.0, draw.integers(0, 3, 400)
    by_kind, one_by_one = shape_of(held, stratum), shape_of(held / 7, stratum)
    np.testing.assert_array_equal(by_kind.there, one_by_one.there)
    np.testing.assert_allclose(by_kind.scaled, one_by_one.scaled)
    np.testing.assert_allclose(by_kind.freedom, one_by_one.freedom)


def never() -> float:
    raise AssertionError("asked for, though there is no interval")


def test_a_variance_is_found_only_where_there_is_an_interval() -> None:
    at_s, values = np.arange(1000.0), np.random.default_rng(3).integers(0, 2, 1000) * 1.0
    refused = Span(0, 1000, 1.0, against="2 outages: too few")
    for within in (mean_in_time, share_in_time):
        assert within(values, np.ones(1000), at_s, refused, never).why == "2 outages: too few"
        with pytest.raises(AssertionError, match="asked for"):
            within(values, np.ones(1000), at_s, Span(0, 1000, 1.0), never)


def test_laws_read_the_columns_of_clients_that_they_need(finished: Finished) -> None:
    run = load_run(finished[0])
    asked = run.of_clients("client_id", "held_out_accuracy")
    assert list(asked) == ["client_id", "held_out_accuracy"]
    assert asked.equals(run.clients[["client_id", "held_out_accuracy"]])
    summary = analysis.summarise(other := load_run(finished[0]))
    assert summary["predictions"]
    assert "clients" not in other.__dict__, "all their columns were read"


def test_columns_leave_open_files_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many large runs side by side the first lie in files, and what comes when few are left in memory."""
    monkeypatch.setattr(room, "LARGE", 1)
    monkeypatch.setattr(room, "_most_files", lambda: room.SPARE + 60)
    made = [room.room(10, np.int32) for _ in range(100)]
    assert 0 < len(room.files_of(made)) <= 60
