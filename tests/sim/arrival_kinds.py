"""Every arrival process and every shape, for contract tests and for tests of their laws."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from worlds import group_of, scenario_of

from sim.scenario import Scenario
from sim.scenario.schema.values import CHUNK_S
from sim.world.arrivals.source import Arrivals, ScenarioArrivals

TRACE = "trace.csv"  # stands for the file that `written_trace` writes

PROCESSES: dict[str, dict[str, Any]] = {
    "poisson": {"kind": "poisson", "rate_hz": 0.7},
    "regular": {"kind": "gamma", "rate_hz": 0.7, "cv": 0.4},
    "bursty": {"kind": "gamma", "rate_hz": 0.7, "cv": 2.5},
    "beat": {"kind": "gamma", "rate_hz": 0.7, "cv": 0.0},
    "mmpp": {"kind": "mmpp", "rates_hz": (0.1, 0.0, 2.0), "mean_stay_s": 8.0},
    "trace": {"kind": "trace", "file": TRACE, "time_scale": 1.5},
}
SHAPES: dict[str, dict[str, Any]] = {
    "constant": {"kind": "constant"},
    "diurnal": {"kind": "diurnal", "amplitude": 0.6, "period_s": 50.0, "phase_s": 11.0},
    "day_and_night": {"kind": "diurnal", "amplitude": 1.0, "period_s": 90.0},
    "flash_crowd": {"kind": "flash_crowd", "factor": 5.0, "at_s": 55.0, "for_s": 21.0},
    "lull": {"kind": "flash_crowd", "factor": 0.2, "at_s": 0.0, "for_s": 100.0},
}
EVERY = list(itertools.product(PROCESSES, SHAPES))


def written_trace(folder: Path, clients: int, seconds: float = 200.0, n: int = 400) -> Path:
    """A trace without clients, with some simultaneous requests; the same for the same arguments."""
    draw = np.random.default_rng(clients)
    at = np.round(np.sort(draw.random(n)) * seconds, 1)
    path = folder / TRACE
    path.write_text("time\n" + "".join(f"{t}\n" for t in at.tolist()))
    return path


def group(
    process: str | dict[str, Any],
    shape: str | dict[str, Any] = "constant",
    clients: int = 1,
    folder: Path | None = None,
    name: str = "devices",
) -> dict[str, object]:
    """A group with a process and a shape, by name or written out."""
    process = PROCESSES[process] if isinstance(process, str) else process
    if process["kind"] == "trace" and process["file"] == TRACE:
        process = process | {"file": str(written_trace(folder, clients))}
    shape = SHAPES[shape] if isinstance(shape, str) else shape
    return group_of(name, clients=clients, arrivals={"process": process, "shape": shape})


def scenario(*groups: dict[str, object], seed: int = 0, horizon_s: float = 180.0) -> Scenario:
    return scenario_of(seed=seed, horizon_s=horizon_s, fleet=groups)


def drawn(source: ScenarioArrivals, horizon_s: float, chunk_s: float = CHUNK_S) -> Arrivals:
    """All arrivals of a run, asked chunk by chunk, by client and then by time."""
    edges = [*np.arange(0.0, horizon_s, chunk_s).tolist(), horizon_s]
    parts = [source.draw(n, *edge) for n, edge in enumerate(itertools.pairwise(edges))]
    at, client = (np.concatenate([getattr(part, name) for part in parts]) for name in ("at_s", "client"))
    order = np.argsort(client, kind="stable")  # within a client, chunks are in order of time
    return Arrivals(at[order], client[order])


def told(arrivals: Arrivals) -> tuple[bytes, bytes]:
    """Arrivals to the last bit."""
    return arrivals.at_s.tobytes(), arrivals.client.tobytes()
