"""What long and quiet runs cost: CPU seconds from first arrival to last file, and files of rows.
Both should follow requests, not virtual time; the peer is a day cut into minutes.

Prints as its last line one JSON object. `python -m benchmarks.quiet`
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from worlds import group_of, made_up, scenario_of

from sim.scenario import Scenario
from sim.simulation import simulate
from sim.world.windows import EvenWindows, Windows
from sim.world.world import World

DAY_S = 86_400.0
RUNS: dict[str, tuple[float, int, int, Windows | None]] = {  # days, requests, clients
    "a day": (1, 126, 50, None),
    "a fortnight": (14, 2_000, 50, None),
    "a month": (30, 620_000, 1_000, None),
    "a day, minute by minute": (1, 126, 50, EvenWindows(60.0)),
}


def quiet(days: float, requests: int, clients: int) -> Scenario:
    """So many requests, each tried three times, at two replicas that fail twice a day for ten minutes."""
    group = group_of(
        clients=clients,
        arrivals={"process": {"kind": "poisson", "rate_hz": requests / clients / days / DAY_S}},
        policy={"score": "l2h", "price": {"kind": "threshold", "at": 0.0}},
        link={"latency": {"kind": "lognormal", "mean_s": 0.03, "cv": 0.3}},
        timeout_s=2.0,
        retry={"attempts": 3},
    )
    up, down = ({"kind": "exponential", "mean_s": mean_s} for mean_s in (DAY_S / 2, 600.0))
    server = {
        "replicas": 2,
        "max_batch": 4,
        "service": {"kind": "affine", "base_s": 0.03, "per_item_s": 0.01},
        "outages": ({"when": {"kind": "renewal", "up": up, "down": down}},),
    }
    return scenario_of(horizon_s=days * DAY_S, fleet=(group,), server=server, engine={"path": "simpy"})


def measure(days: float, requests: int, clients: int, windows: Windows | None) -> dict[str, Any]:
    """Requests, CPU and wall seconds, and files of rows."""
    scenario = quiet(days, requests, clients)
    learned = made_up(scenario)
    with tempfile.TemporaryDirectory() as folder:
        began, began_wall = time.process_time(), time.perf_counter()
        done = simulate(World(scenario), learned, Path(folder), windows=windows)
        cpu_s, wall_s = time.process_time() - began, time.perf_counter() - began_wall
        files = len(list(Path(folder).rglob("*.parquet")))
    return {"requests": done.requests, "cpu_s": round(cpu_s, 2), "wall_s": round(wall_s, 2), "files": files}


def main() -> None:
    measure(0.01, 10, 1, None)  # imports and first calls are not timed
    found = {name: measure(*run) for name, run in RUNS.items()}
    for name, told in found.items():
        print("{0:>24}: {requests:7d} requests, {cpu_s:6.2f} CPU s, {files:5d} files".format(name, **told))
    print(json.dumps({"benchmark": "quiet", **found}))


if __name__ == "__main__":
    main()
