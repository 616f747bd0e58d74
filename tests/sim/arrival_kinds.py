"""Every arrival process and every shape of the registry, for contract tests and for tests of their laws."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from worlds import group_of, scenario_of

from sim.registry import arrivals, shapes
from sim.scenario import Scenario
from sim.scenario.schema.values import CHUNK_S
from sim.world.arrivals.source import Arrivals, ScenarioArrivals

TRACE = "trace.csv"  # stands for the file that `written_trace` writes

OPEN = [kind for kind, process in arrivals.PROCESSES.items() if process.is_open]
PROCESSES: dict[str, dict[str, Any]] = {
    name: written for name, written in arrivals.PROCESSES.examples().items() if written["kind"] in OPEN
}
SHAPES: dict[str, dict[str, Any]] = shapes.SHAPES.examples()
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


def told(drawn: Arrivals) -> tuple[bytes, bytes]:
    """Arrivals to the last bit."""
    return drawn.at_s.tobytes(), drawn.client.tobytes()
