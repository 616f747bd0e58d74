"""Arrivals of several processes in one run: both loops, any chunks, any policy, through the public format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from arrival_kinds import PROCESSES, SHAPES, drawn, group, scenario
from worlds import differences, frame, made_up, product, reference, scenario_of

from sim.scenario import Scenario, read, write
from sim.simulation import simulate
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.population import CLIENT_SHIFT
from sim.world.world import World

HORIZON_S = 130.0
LATE = {"timeout_s": 2.0, "retry": {"attempts": 2, "backoff_s": 0.3}}


def mixed(folder: Path, **policy: Any) -> Scenario:
    """A group for every process, each under another shape, before one slow server."""
    shapes = [*SHAPES, *SHAPES]
    fleet = tuple(
        group(process, shapes[n], clients=3, folder=folder, name=process)
        | {"policy": policy or REMOTE}
        | LATE
        for n, process in enumerate(PROCESSES)
    )
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.1}}
    return scenario_of(
        seed=4, horizon_s=HORIZON_S, fleet=fleet, server={"queue_limit": 5, "service": service}
    )


REMOTE = {"score": "l2h", "price": {"kind": "always_remote"}}


@pytest.mark.parametrize("chunk_s", [13.7, 60.0, 200.0])
def test_both_loops_agree_on_every_process_at_once(tmp_path, chunk_s):
    """One source serves both, one after the other; the chunks of the reference are minutes."""
    written = mixed(tmp_path)
    learned, source = made_up(written), ScenarioArrivals(World(written))
    ours, theirs = product(written, learned, source, chunk_s), reference(written, learned, source, 60.0)
    for mine, told in zip(ours, theirs, strict=True):
        assert differences(mine, told) == []
    assert {client // 3 for client in ours[0]["client_id"]} == set(range(len(PROCESSES)))
    assert len(set(ours[0]["outcome"])) > 2


def test_policies_share_their_traffic(tmp_path):
    """The same requests at the same instants, whatever is sent."""
    written = [mixed(tmp_path), mixed(tmp_path, score="l2h", price={"kind": "threshold", "at": 0.7})]
    columns = ["request_id", "client_id", "sample_id", "arrived_at_s"]
    one, other = (product(w, made_up(w), ScenarioArrivals(World(w)), 60.0)[0] for w in written)
    assert one[columns].equals(other[columns])
    assert one["deferred"].sum() > 2 * other["deferred"].sum()


def test_a_run_plays_the_arrivals_of_its_scenario(tmp_path):
    """From a file in YAML to rows on disk, numbered in order of time."""
    (tmp_path / "x.yaml").write_text(write(mixed(tmp_path)))
    written = read(tmp_path / "x.yaml")
    simulate(World(written), made_up(written), tmp_path / "run")
    requests = frame(pq.read_table(tmp_path / "run" / "requests"))
    requests = requests.sort_values("request_id", ignore_index=True)
    expected = drawn(ScenarioArrivals(World(written)), HORIZON_S)
    assert requests["arrived_at_s"].tolist() == expected.at_s.tolist()
    assert (requests["request_id"].to_numpy() >> CLIENT_SHIFT).tolist() == expected.client.tolist()


def test_measured_durations_drive_a_run(tmp_path):
    """Links and service that take what was measured: each value is met, and no other."""
    (tmp_path / "link.csv").write_text("0\n0.25\n")
    (tmp_path / "service.csv").write_text("0.5\n0.125\n")
    devices = group("beat") | {"link": {"latency": {"kind": "empirical", "file": str(tmp_path / "link.csv")}}}
    service = {"kind": "per_batch", "time": {"kind": "empirical", "file": str(tmp_path / "service.csv")}}
    written = scenario_of(horizon_s=100.0, fleet=(devices,), server={"service": service, "replicas": 9})
    requests, _ = product(written, made_up(written), ScenarioArrivals(World(written)), 60.0)
    served = requests[requests["outcome"] == "remote"]
    assert set((served["reached_at_s"] - served["sent_at_s"]).round(9)) == {0.0, 0.25}
    assert set((served["finished_at_s"] - served["started_at_s"]).round(9)) == {0.125, 0.5}
    assert set((served["answered_at_s"] - served["finished_at_s"]).round(9)) == {0.0, 0.25}


def test_a_quiet_group_has_no_rows():
    written = scenario(
        group({"kind": "poisson", "rate_hz": 1e-9}),
        group({"kind": "gamma", "rate_hz": 1e-9, "cv": 1.0}, name="b"),
    )
    requests, _ = product(written, made_up(written), ScenarioArrivals(World(written)), 60.0)
    assert len(requests) == 0
