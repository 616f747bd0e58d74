"""Whole runs of the simulation: what is written where and when, and what two runs share."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from worlds import WrittenArrivals, differences, frame, group_of, made_up, poisson, product, scenario_of

from sim.errors import RunFailed
from sim.results.columns import ATTEMPTS, EVENTS, OUTAGES, REQUESTS, TIMELINE
from sim.scenario import Scenario
from sim.scenario.schema.values import CHUNK_S
from sim.simulation import simulate
from sim.world.windows import EvenWindows
from sim.world.world import World

HORIZON_S = 150.0
MINUTES = EvenWindows(60.0)
SILENT = {"when": {"kind": "intervals", "at": ((50.0, 70.0), (100.0, 110.0))}, "target": {"kind": "server"}}
ONE_OF_TWO = {
    "when": {"kind": "intervals", "at": ((65.0, 90.0),)},
    "target": {"kind": "replicas", "count": 1},
}


def busy(seed: int = 7, **policy: Any) -> Scenario:
    """Twelve impatient clients before two replicas that fail twice."""
    devices = group_of(
        "devices",
        clients=12,
        arrivals={"process": {"kind": "poisson", "rate_hz": 0.4}},
        device={"inference_s": 0.02},
        link={"latency": {"kind": "lognormal", "mean_s": 0.05, "cv": 0.5}},
        policy={"score": "l2h", "price": policy or {"kind": "threshold", "at": -0.5}},
        deadline_s=30.0,
        timeout_s=8.0,
        retry={"attempts": 3, "backoff_s": 0.5},
    )
    server = {
        "replicas": 2,
        "queue_limit": 8,
        "when_down": "silent",
        "service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.4}},
        "outages": (SILENT, ONE_OF_TWO),
    }
    return scenario_of(seed=seed, horizon_s=HORIZON_S, fleet=(devices,), server=server)


def run(scenario: Scenario, folder: Path, **extra: Any) -> dict[str, list[pd.DataFrame]]:
    """The parts of requests and attempts that a run wrote, minute by minute."""
    simulate(World(scenario), made_up(scenario), folder, windows=MINUTES, **extra)
    return {
        name: [frame(pq.read_table(path)) for path in sorted((folder / name).iterdir())]
        for name in ("requests", "attempts")
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[pd.DataFrame]]]:
    folder = tmp_path_factory.mktemp("runs") / "busy"
    return folder, run(busy(), folder)


def whole(parts: list[pd.DataFrame]) -> pd.DataFrame:
    keys = [name for name in ("request_id", "attempt") if name in parts[0]]
    return pd.concat(parts).sort_values(keys, ignore_index=True)


def test_a_run_writes_its_parts_and_nothing_else(finished):
    folder, _ = finished
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    parts = {f"{name}/part-000000{n}.parquet" for name in ("requests", "attempts") for n in range(3)}
    assert files == parts | {"timeline.parquet", "events.parquet", "outages.parquet"}


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("requests/part-0000001.parquet", REQUESTS),
        ("attempts/part-0000001.parquet", ATTEMPTS),
        ("timeline.parquet", TIMELINE),
        ("events.parquet", EVENTS),
        ("outages.parquet", OUTAGES),
    ],
)
def test_files_have_the_declared_columns(finished, path, schema):
    assert pq.read_schema(finished[0] / path).equals(schema)


def test_something_of_everything_happened_in_this_run(finished):
    """Or the tests below would say little."""
    requests = whole(finished[1]["requests"])
    assert {"local", "remote", "refused", "timed_out", "in_flight"} == set(requests["outcome"])
    assert {"none", "queue_full", "lost"} == set(requests["server_cause"])
    assert requests["attempts"].max() == 3


def test_every_request_is_written_once_and_numbered_without_gaps(finished):
    requests = whole(finished[1]["requests"])
    assert requests["request_id"].is_unique
    for client, rows in requests.groupby("client_id"):
        assert (rows["request_id"] - (client << 32)).tolist() == list(range(len(rows)))
        assert rows["arrived_at_s"].is_monotonic_increasing


def test_rows_of_a_part_are_sorted(finished):
    for part in finished[1]["requests"]:
        assert part["request_id"].is_monotonic_increasing
    for part in finished[1]["attempts"]:
        keys = list(zip(part["request_id"], part["attempt"], strict=True))
        assert keys == sorted(keys)


def test_attempts_are_those_of_the_requests_that_took_several(finished):
    for requests, attempts in zip(finished[1]["requests"], finished[1]["attempts"], strict=True):
        several = requests[requests["attempts"] > 1]
        counted = attempts.groupby("request_id")["attempt"].agg(list)
        assert counted.index.tolist() == several["request_id"].tolist()
        assert counted.tolist() == [list(range(1, n + 1)) for n in several["attempts"]]
        last = attempts.groupby("request_id").tail(1)
        for name in ("sent_at_s", "reached_at_s", "started_at_s", "finished_at_s", "replica", "server_cause"):
            np.testing.assert_array_equal(last[name], several[name])


def test_an_outcome_is_known_within_its_part(finished):
    *before, last = finished[1]["requests"]
    for index, part in enumerate(before):
        assert "in_flight" not in set(part["outcome"])
        assert part["answered_at_s"].max() < (index + 1) * CHUNK_S
    assert "in_flight" in set(last["outcome"])


def test_a_row_is_written_in_the_chunk_in_which_the_request_ends(tmp_path):
    """The server takes 30 s, a client waits for 5 s.

    Client 0: sent at 50, given up at 55, served until 80: the second part. Client 1: local at 30: the
    first. Client 2, patient: served until 60 exactly, which is the second chunk's; a hair earlier: the
    first's. Client 3: an error of 1 s leaves at 59.5 and arrives in the second chunk.
    """
    local = {"score": "l2h", "price": {"kind": "always_local"}}
    fleet = (
        group_of("hasty", timeout_s=5.0),
        group_of("local", policy=local),
        group_of("patient", clients=2),
        group_of("refused", link={"latency": 1.0}, timeout_s=0.5),
    )
    service = {"kind": "affine", "base_s": 30.0}
    scenario = scenario_of(
        horizon_s=120.0, fleet=fleet, server={"replicas": 3, "queue_limit": 0, "service": service}
    )
    arrivals = ((50.0, 0), (30.0, 1), (30.0, 2), (30.0 - 2**-20, 3), (58.5, 4), (59.0, 4))
    # At 59.5 replicas 1 and 2 are busy until 60 and replica 0 until 80, so client 4's first is refused;
    # its second reaches at 60, when two have just ended, and is served until 90.
    parts = run(scenario, tmp_path, source=WrittenArrivals(arrivals))["requests"]
    written = [(part["client_id"] * 10 + part["request_id"] % 2**32).tolist() for part in parts]
    assert written == [[10, 30], [0, 20, 40, 41]]
    requests = whole(parts)
    assert requests["outcome"].tolist() == [
        "timed_out",
        "local",
        "remote",
        "remote",
        "timed_out",
        "timed_out",
    ]
    assert requests["answered_at_s"].tolist() == [55.0, 30.0, 60.0, 60.0 - 2**-20, 59.0, 59.5]
    assert requests["finished_at_s"].tolist()[:1] + requests["finished_at_s"].tolist()[5:] == [80.0, 90.0]


@pytest.mark.parametrize(("sent_at_s", "rows"), [(29.5, [0, 1]), (29.5 - 2**-20, [1, 0])])
def test_work_that_ends_with_a_chunk_belongs_to_the_next(tmp_path, sent_at_s, rows):
    """Given up after 5 s; the answer, which nobody waits for, is back at 60 s or a hair before."""
    server = {"service": {"kind": "affine", "base_s": 30.0}}
    patience = group_of(timeout_s=5.0, link={"latency": 0.25})
    scenario = scenario_of(horizon_s=120.0, fleet=(patience,), server=server)
    parts = run(scenario, tmp_path, source=WrittenArrivals(((sent_at_s, 0),)))["requests"]
    assert [len(part) for part in parts] == rows


@pytest.mark.parametrize("chunk_s", [0.5, 7.25, 60.0, 1000.0])
def test_the_length_of_a_chunk_changes_no_row(finished, chunk_s):
    """The same arrivals, cut into other chunks."""
    scenario, parts = busy(), finished[1]
    source = poisson(scenario, CHUNK_S)
    drawn = [source.draw(n, n * CHUNK_S, min((n + 1) * CHUNK_S, HORIZON_S)) for n in range(3)]
    pairs = [pair for one in drawn for pair in zip(one.at_s.tolist(), one.client.tolist(), strict=True)]
    requests, attempts = product(scenario, made_up(scenario), WrittenArrivals(tuple(pairs)), chunk_s)
    assert differences(requests, whole(parts["requests"])) == []
    assert differences(attempts, whole(parts["attempts"])) == []


def test_the_same_seed_writes_the_same_bytes(finished, tmp_path):
    run(busy(), tmp_path)
    for path in sorted(finished[0].rglob("*.parquet")):
        assert path.read_bytes() == (tmp_path / path.relative_to(finished[0])).read_bytes()


def test_another_seed_is_another_run(finished, tmp_path):
    ours, theirs = whole(finished[1]["requests"]), whole(run(busy(seed=8), tmp_path)["requests"])
    assert not set(ours["arrived_at_s"]) & set(theirs["arrived_at_s"])
    both = ours.merge(theirs, on="request_id")
    assert (both["sample_id_x"] == both["sample_id_y"]).mean() < 0.2


def test_two_policies_share_their_luck(finished, tmp_path):
    """Arrivals, samples, the time to the server and the time in service: whatever both of them sent."""
    some = whole(finished[1]["requests"])
    every = whole(run(busy(kind="always_remote"), tmp_path)["requests"])
    for name in ("request_id", "arrived_at_s", "decided_at_s", "sample_id", "score", "client_label"):
        np.testing.assert_array_equal(some[name], every[name])
    assert every["deferred"][every["decided_at_s"].notna()].all()
    assert 0.2 < some["deferred"].mean() < 0.9
    once = (some["attempts"] == 1) & (every["attempts"] == 1) & some["reached_at_s"].notna()
    np.testing.assert_array_equal(some["reached_at_s"][once], every["reached_at_s"][once])
    served = once & some["finished_at_s"].notna() & every["finished_at_s"].notna()
    assert served.sum() > 100
    assert not np.array_equal(some["started_at_s"][served], every["started_at_s"][served])
    took = [(run["finished_at_s"] - run["started_at_s"])[served] for run in (some, every)]
    np.testing.assert_allclose(*took, rtol=0, atol=1e-12)  # differences of instants round
    heard = served & (some["outcome"] == "remote") & (every["outcome"] == "remote")
    back = [(run["answered_at_s"] - run["finished_at_s"])[heard] for run in (some, every)]
    np.testing.assert_allclose(*back, rtol=0, atol=1e-12)


def test_progress_is_told_at_the_end_of_every_window(tmp_path):
    told: list[tuple[float, int]] = []
    scenario = busy()

    def tell(at: float, n: int) -> None:
        told.append((at, n))

    simulated = simulate(World(scenario), made_up(scenario), tmp_path, tell, windows=MINUTES)
    assert [at for at, _ in told] == [60.0, 120.0, 150.0]
    counts = [n for _, n in told]
    assert counts == sorted(counts)
    assert counts[-1] == simulated.requests > 500
    assert simulated.loop_s > 0


def test_events_tell_of_outages_capacity_and_models(finished):
    events = frame(pq.read_table(finished[0] / "events.parquet"))
    told = [
        (at, kind, target, None if np.isnan(value) else value)
        for at, kind, target, value in events.itertuples(index=False)
    ]
    assert told == [
        (0.0, "model_in_force", "model", 0.0),
        (0.0, "usable_replicas", "server", 2.0),
        (50.0, "outage_start", "server", None),
        (50.0, "usable_replicas", "server", 0.0),
        (65.0, "outage_start", "replicas:1", None),
        (70.0, "outage_end", "server", None),
        (70.0, "usable_replicas", "server", 1.0),
        (90.0, "outage_end", "replicas:1", None),
        (90.0, "usable_replicas", "server", 2.0),
        (100.0, "outage_start", "server", None),
        (100.0, "usable_replicas", "server", 0.0),
        (110.0, "outage_end", "server", None),
        (110.0, "usable_replicas", "server", 2.0),
    ]


def test_an_outage_that_lasts_until_the_horizon_has_no_end(tmp_path):
    outage = {"when": {"kind": "intervals", "at": ((10.0, 20.0),)}, "target": {"kind": "server"}}
    service = {"kind": "affine", "base_s": 1.0}
    scenario = scenario_of(server={"service": service, "outages": (outage,)})
    simulate(World(scenario), made_up(scenario), tmp_path)
    assert "outage_end" not in set(frame(pq.read_table(tmp_path / "events.parquet"))["kind"])


def test_nobody_arrives_and_the_tables_are_there_all_the_same(tmp_path):
    parts = run(scenario_of(horizon_s=90.0), tmp_path, source=WrittenArrivals(()))
    assert [len(part) for part in parts["requests"]] == [0, 0]
    assert len(pq.read_table(tmp_path / "timeline.parquet")) == 90


def test_a_full_disk_stops_the_run_in_one_line_and_leaves_no_torn_file(tmp_path, monkeypatch):
    """The disk takes one part and no more."""
    calls = []

    def full(_: int) -> None:
        calls.append(1)
        if len(calls) > 3:  # requests, attempts and the time line of the first chunk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    scenario = busy()
    with pytest.raises(
        RunFailed, match=r"part-0000001\.parquet: cannot be written \(No space left on device\)"
    ):
        simulate(World(scenario), made_up(scenario), tmp_path, windows=MINUTES)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["part-0000000.parquet"] * 2
    assert len(pq.read_table(tmp_path / "requests/part-0000000.parquet")) > 100


def test_exploration_sends_the_share_it_names():
    """Of what a threshold keeps; the false alarm is one in a million over the choice of the seed."""
    group = group_of(
        clients=50,
        arrivals={"process": {"kind": "poisson", "rate_hz": 4.0}},
        policy={"score": "l2h", "price": {"kind": "threshold", "at": 0.0}},
        timeout_s=1.0,
    )
    scenario = scenario_of(horizon_s=60.0, fleet=(group,), training={"exploration": 0.2})
    requests, _ = product(scenario, made_up(scenario), poisson(scenario, 60.0), 60.0)
    kept = requests[(requests["score"] <= 0) & requests["decided_at_s"].notna()]
    assert len(kept) > 3000
    assert set(kept["propensity"]) == {np.float32(0.2)}
    deviation = (kept["deferred"].mean() - 0.2) / np.sqrt(0.2 * 0.8 / len(kept))
    assert abs(deviation) < 4.9
    assert set(requests[requests["score"] > 0]["propensity"]) == {1.0}
