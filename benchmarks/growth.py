"""What a run costs from its first arrival to its last file, in time by stage and in memory of this process.
`benchmarks.event_loop` starts it for two lengths and worlds.

`python -m benchmarks.growth [--requests N] [--world NAME] [--path simpy|compiled]`
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from worlds import made_up

from benchmarks.peers import in_memory
from benchmarks.stages import timed
from benchmarks.workloads import Drawn, busy, many_options, mm4, one_option
from sim.scenario.schema.document import Engine
from sim.simulation import simulate
from sim.world.world import World

WORLDS = {
    "mm4": mm4,
    "batching_outage_retries": busy,
    "one_option": one_option,
    "many_options": many_options,
}


def measure(requests: int, world: str, path: str) -> dict[str, Any]:
    """Requests per CPU second from first arrival to last file, and the peak of the process's memory in MiB.

    start_mib: what the imports and the learners' tables hold when the run begins. stages: CPU microseconds
    per request, their sum a little less than the whole; wall_s is less than CPU seconds where the second
    core helps to write. What it takes to compile, or to load what was compiled, is paid before.
    """
    scenario = WORLDS[world](requests).model_copy(update={"engine": Engine(path=path)})
    learned = made_up(scenario)
    in_memory(Drawn(mm4(1)), path)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the imports
    start = resident_mib("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        began, began_wall = time.process_time(), time.perf_counter()
        with timed() as stages:
            done = simulate(World(scenario), learned, Path(folder))
        seconds, wall_s = time.process_time() - began, time.perf_counter() - began_wall
    return {
        "requests": done.requests,
        "path": done.path["name"],
        "wall_s": round(wall_s, 2),
        "per_s": round(done.requests / seconds),
        "us_per_request": round(1e6 * seconds / done.requests, 2),
        "stages": {name: round(1e6 * spent / done.requests, 3) for name, spent in stages.items()},
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
    parser.add_argument("--world", choices=WORLDS, default="mm4")
    parser.add_argument("--path", choices=("simpy", "compiled"), default="compiled")
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.requests, chosen.world, chosen.path)))


if __name__ == "__main__":
    main()
