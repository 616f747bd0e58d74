"""Replayed traces: what a file says arrives when and where, in time scaled and bent, a batch at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrival_kinds import drawn, group, scenario, told
from scipy import stats

from sim.scenario.files import rows as row_files
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World


def trace(path: Path, text: str, **process: Any) -> dict[str, Any]:
    path.write_text(text)
    return {"kind": "trace", "file": str(path)} | process


def replayed(*groups: dict[str, Any], horizon_s: float = 100.0) -> list[tuple[float, int]]:
    found = drawn(ScenarioArrivals(World(scenario(*groups, horizon_s=horizon_s))), horizon_s)
    return list(zip(found.at_s.tolist(), found.client.tolist(), strict=True))


def test_a_trace_is_played_as_it_is_written(tmp_path):
    """Simultaneous rows too; what lies at the horizon or behind it does not arrive."""
    text = "time,client\n0,1\n3.5,0\n3.5,1\n3.5,1\n99.9,0\n100,0\n250,1\n"
    arrived = replayed(group(trace(tmp_path / "a.csv", text), clients=2))
    assert arrived == [(3.5, 0), (99.9, 0), (0.0, 1), (3.5, 1), (3.5, 1)]


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_time_is_scaled(tmp_path, scale):
    played = trace(tmp_path / "a.csv", "time,client\n1,0\n20,0\n49,0\n", time_scale=scale)
    assert replayed(group(played)) == [(t * scale, 0) for t in (1, 20, 49) if t * scale < 100]


def test_a_shape_bends_a_trace(tmp_path):
    """The crowd is there from 10 to 20 and asks thrice as fast: 30 s of the trace pass in 10."""
    shape = {"kind": "flash_crowd", "factor": 3.0, "at_s": 10.0, "for_s": 10.0}
    played = trace(tmp_path / "a.csv", "time,client\n5,0\n10,0\n25,0\n40,0\n50,0\n")
    assert replayed(group(played, shape)) == [(5.0, 0), (10.0, 0), (15.0, 0), (20.0, 0), (30.0, 0)]


def test_one_file_serves_the_groups_it_names(tmp_path):
    """Clients are numbered within their group; a client that another group lacks is not its business."""
    played = trace(tmp_path / "a.csv", "group,time,client\nnear,1,0\nfar,2,4\nnear,2,1\nfar,3,0\n")
    near, far = group(played, clients=2, name="near"), group(played, clients=5, name="far")
    assert replayed(near, far) == [(1.0, 0), (2.0, 1), (3.0, 2), (2.0, 6)]


def test_parquet_and_csv_play_the_same(tmp_path):
    at, client = np.sort(np.random.default_rng(0).random(500)) * 90, np.arange(500) % 7
    rows = "".join(f"{t!r},{c}\n" for t, c in zip(at.tolist(), client.tolist(), strict=True))
    written = trace(tmp_path / "a.csv", "time,client\n" + rows)
    pq.write_table(pa.table({"time": at, "other": at, "client": client}), tmp_path / "a.parquet")
    parquet = {"kind": "trace", "file": str(tmp_path / "a.parquet")}
    both = [
        ScenarioArrivals(World(scenario(group(one, clients=7), horizon_s=100.0)))
        for one in (written, parquet)
    ]
    assert told(drawn(both[0], 100.0)) == told(drawn(both[1], 100.0))


def test_requests_of_nobody_are_dealt_evenly_and_for_good(tmp_path):
    text = "time\n" + "".join(f"{n / 100}\n" for n in range(9000))
    played = trace(tmp_path / "a.csv", text)
    arrived = replayed(group(played, clients=20))
    assert sorted(at for at, _ in arrived) == [n / 100 for n in range(9000)]
    assert stats.chisquare(np.bincount([client for _, client in arrived])).pvalue > 1e-4
    dealt = dict(arrived)
    assert (
        stats.spearmanr(
            [dealt[n / 100] for n in range(8999)], [dealt[n / 100] for n in range(1, 9000)]
        ).pvalue
        > 1e-4
    )
    two = replayed(group(played, clients=20), group(played, clients=20, name="other"))
    assert [pair for pair in two if pair[1] < 20] == arrived
    assert {at: client - 20 for at, client in two if client >= 20} != dealt


@pytest.mark.parametrize("columns", ["time", "time,client", "time,group"])
def test_batches_do_not_show(tmp_path, monkeypatch, columns):
    """Files are read in pieces: small ones here, cut in the middle of chunks and of simultaneous requests."""
    at = np.floor(np.sort(np.random.default_rng(1).random(3000)) * 500) / 5
    fields = {
        "time": lambda n: repr(float(at[n])),
        "client": lambda n: str(n % 3),
        "group": lambda n: "ba"[n % 5 > 0],
    }
    lines = (",".join(fields[name](n) for name in columns.split(",")) for n in range(3000))
    played = trace(tmp_path / "a.csv", columns + "\n" + "\n".join(lines) + "\n")
    groups = [group(played, "diurnal", 3, name=name) for name in "ab"]
    whole = told(drawn(ScenarioArrivals(World(scenario(*groups))), 100.0))
    monkeypatch.setattr(row_files, "BLOCK_BYTES", 200)
    small = ScenarioArrivals(World(scenario(*groups)))
    assert told(drawn(small, 100.0, chunk_s=9.0)) == whole
    small.draw(0, 0.0, 41.0)
    elsewhere = ScenarioArrivals(World(scenario(*groups)))
    elsewhere.restore(small.state())
    rest = small.draw(0, 41.0, 100.0)
    assert told(elsewhere.draw(0, 41.0, 100.0)) == told(rest)
    assert len(rest.at_s) > 500
