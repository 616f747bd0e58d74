"""A run from t = 0 to the horizon: chunk after chunk, rows written as they end, laws checked on the way.
Needs a scenario, what the learners made of it, and a folder; knows nothing of torch or Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from sim.arrivals import ArrivalSource, PoissonArrivals
from sim.chunk import run_chunk
from sim.columns import EVENTS, TIMELINE
from sim.messages import Learned
from sim.outages import Capacity, intervals
from sim.rules import rules
from sim.run_folder import table_of, write_table
from sim.scenario import Scenario
from sim.state import Columns, at_start
from sim.table import Tabulator
from sim.verify import Verifier

CHUNK_S = 60.0

Progress = Callable[[float, int], None]  # virtual seconds done, requests ended


@dataclass(frozen=True)
class Simulated:
    """What a run amounts to: requests that arrived, and wall seconds from arrivals to ended rows."""

    requests: int
    loop_s: float


def simulate(
    scenario: Scenario,
    learned: Learned,
    folder: Path,
    progress: Progress = lambda _at, _n: None,
    source: ArrivalSource | None = None,
) -> Simulated:
    """Runs the scenario and writes requests, attempts, timeline and events below `folder`.

    Raises RunFailed if a law is broken or the disk does not take a part.
    """
    laid_down = rules(scenario)
    source = source or PoissonArrivals(scenario, laid_down.clients, CHUNK_S)
    tabulator = Tabulator(
        rules=laid_down,
        learned=learned,
        groups=tuple(group.group for group in scenario.fleet),
        client_answers=np.array([group.fallback == "client" for group in scenario.fleet]),
        c_e=scenario.costs.c_e,
        horizon_s=scenario.horizon_s,
    )
    state = at_start(scenario, int(laid_down.capacity.usable[0]))
    verifier = Verifier(scenario.clients, laid_down.capacity)
    seconds: list[Columns] = []
    loop_s = 0.0
    chunks = int(np.ceil(scenario.horizon_s / CHUNK_S))
    for index in range(chunks):
        start, end = index * CHUNK_S, min((index + 1) * CHUNK_S, scenario.horizon_s)
        last = index == chunks - 1
        began = perf_counter()
        arrivals = source.draw(index, start, end)
        ended, rows = run_chunk(laid_down, learned, state, arrivals, start, end, last)
        loop_s += perf_counter() - began
        requests, attempts = tabulator.requests(ended), tabulator.attempts(ended)
        verifier.chunk(requests, attempts, last)
        write_table(folder / f"requests/part-{index:05d}.parquet", requests)
        write_table(folder / f"attempts/part-{index:05d}.parquet", attempts)
        seconds.append(rows)
        progress(end, int(state.next_k.sum()))
    verifier.finish(state)
    whole = {name: np.concatenate([rows[name] for rows in seconds]) for name in seconds[0]}
    write_table(folder / "timeline.parquet", table_of(whole, TIMELINE))
    write_table(folder / "events.parquet", table_of(events(scenario, laid_down.capacity), EVENTS))
    return Simulated(int(state.next_k.sum()), loop_s)


def events(scenario: Scenario, capacity: Capacity) -> dict[str, list[Any]]:
    """The columns of `events`: outages, changes of capacity, and the models in force, by time."""
    found: list[tuple[float, str, str, float]] = [(0.0, "model_in_force", "model", 0.0)]
    for period in intervals(scenario):
        found.append((period.from_s, "outage_start", period.target, np.nan))
        if period.until_s < scenario.horizon_s:
            found.append((period.until_s, "outage_end", period.target, np.nan))
    for at, usable in zip(capacity.at_s.tolist(), capacity.usable.tolist(), strict=True):
        found.append((at, "usable_replicas", "server", float(usable)))
    found.sort(key=lambda event: event[:3])
    return dict(zip(("at_s", "kind", "target", "value"), map(list, zip(*found, strict=True)), strict=True))
