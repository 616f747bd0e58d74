"""The benchmarks run, and end in one JSON object with all peers; what it says about time is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_event_loops_benchmark_ends_in_one_object_with_all_peers():
    command = [sys.executable, "-m", "benchmarks.event_loop", "--requests", "2000", "--rounds", "1"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = json.loads(told.splitlines()[-1])
    peers = {
        "mm4": {"plain_simpy", "ciw_network"},
        "batching_outage_retries": {"reference_loop"},
        "fifth_deferred": {"plain_simpy"},
    }
    assert set(found) == {*peers, "ten_times_longer"}
    for name, expected in peers.items():
        assert set(found[name]["times_as_fast_as"]) == expected
        assert set(found[name]["per_s"]) == {"ours", *expected}
    short, long = found["ten_times_longer"]["short"], found["ten_times_longer"]["long"]
    assert long["requests"] == pytest.approx(10 * short["requests"], rel=0.2)
    assert long["peak_mib"] >= long["start_mib"] > 0
