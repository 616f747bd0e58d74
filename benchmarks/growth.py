"""What a longer run costs: one run of M/M/4, files included, in this process, whose memory is then told.
`benchmarks.event_loop` starts it for two lengths. `python -m benchmarks.growth [--requests N]`"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path

from worlds import made_up

from benchmarks.workloads import mm4
from sim.engine import simulate


def measure(requests: int) -> dict[str, float]:
    """Requests per CPU second from first arrival to last file, and the peak of the process's memory in MiB.

    start_mib: what the imports and the learners' tables hold when the run begins.
    """
    scenario = mm4(requests)
    learned = made_up(scenario)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the imports
    start = resident_mib("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        done = simulate(scenario, learned, Path(folder))
        seconds = time.process_time() - began
    return {
        "requests": done.requests,
        "per_s": round(done.requests / seconds),
        "us_per_request": round(1e6 * seconds / done.requests, 2),
        "start_mib": start,
        "peak_mib": resident_mib("VmHWM"),
    }


def resident_mib(what: str) -> float:
    """Resident memory as Linux tells it: VmRSS now, VmHWM at its peak (ru_maxrss counts the parent's)."""
    kib = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert kib is not None
    return round(int(kib[1]) / 2**10, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    print(json.dumps(measure(parser.parse_args().requests)))


if __name__ == "__main__":
    main()
