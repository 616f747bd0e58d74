"""What one more seed costs: runs of `smoke` without pictures, as `sweep --seeds` makes them, in one process
and in two.

CPU seconds of a further seed, learning included and with what was learned already kept; the peer is a
process of its own for one seed, as a loop in a shell has it. Of two processes the wall time against one's.
Prints as its last line one JSON object. `python -m benchmarks.seeds [--seeds N] [--jobs]`
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from commands.progress import Quiet
from commands.run_cache import How, cells_of, compute_all
from sim.scenario.text.grid import combinations, variants

ROOT = Path(__file__).resolve().parents[1]
ALONE = "from benchmarks.seeds import batch; batch(1, {first})"


def batch(seeds: int, first: int = 0, jobs: int = 1) -> tuple[float, float]:
    """CPU seconds of this process, and wall seconds, of so many seeds of `smoke`, into a new store."""
    plans = [one.scenario for one in variants("smoke", [], first, list(combinations([])), seeds)]
    with tempfile.TemporaryDirectory() as store:
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        failed = compute_all(cells_of(plans, "", Path(store)), How(jobs), Quiet())
        if failed:
            raise SystemExit(str(failed))
        return time.process_time() - cpu_s, time.perf_counter() - wall_s


def alone_s(seed: int) -> float:
    """CPU seconds of a process that makes one run and ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", ALONE.format(first=seed)], cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--jobs", action="store_true", help="two processes as well, with Ray")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["L2H_CACHE"] = cache
        batch(1, first=1_000_000)  # imports and first calls are not a further seed's
        learned = batch(asked.seeds)[0] / asked.seeds
        again, wall_s = batch(asked.seeds)
        found = {"with_learning": learned, "learned_before": again / asked.seeds, "alone": alone_s(0)}
        two = {}
        if asked.jobs:
            two["two_over_one"] = round(wall_s / batch(asked.seeds, jobs=2)[1], 2)
    cpu_s = {name: round(value, 3) for name, value in found.items()}
    ratio = round(found["alone"] / found["learned_before"], 2)
    print(json.dumps({"benchmark": "seeds", "cpu_s": cpu_s, "alone_over_further": ratio} | two))


if __name__ == "__main__":
    main()
