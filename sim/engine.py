"""A run from t = 0 to the horizon: chunk after chunk, rows written as they end, laws checked on the way.
Needs a scenario, what the learners made of it, and a folder; knows nothing of torch or Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from sim.arrivals import ArrivalSource, PoissonArrivals
from sim.chunk import run_chunk
from sim.columns import EVENTS, OUTAGES, TIMELINE
from sim.messages import Learned
from sim.outages import Interval, intervals
from sim.population import population
from sim.rules import rules
from sim.run_folder import StreamedTable, table_of, write_table
from sim.scenario import Scenario
from sim.scenario.values import CHUNK_S
from sim.state import Columns, at_start
from sim.table import tabulator
from sim.verify import Verifier, add_changes

Progress = Callable[[float, int], None]  # virtual seconds done, requests that have arrived


@dataclass(frozen=True)
class Chunk:
    """What a stretch of virtual time up to `end` left behind: rows that ended in it, and its seconds.

    arrived: requests since t = 0. loop_s: wall seconds from arrivals to ended rows. steps: (instant, usable
    replicas) at its start and wherever they changed.
    """

    end: float
    requests: pa.Table
    attempts: pa.Table
    seconds: Columns
    arrived: int
    loop_s: float
    steps: list[tuple[float, int]]


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

    source: gives other arrivals than the scenario's. Raises RunFailed if a law is broken
    or the disk does not take a part.
    """
    source = source or PoissonArrivals(scenario, population(scenario), CHUNK_S)
    arrived, loop_s = 0, 0.0
    steps: list[tuple[float, int]] = []
    with StreamedTable(folder / "timeline.parquet", TIMELINE) as timeline:
        for index, chunk in enumerate(chunks(scenario, learned, source, CHUNK_S)):
            write_table(folder / f"requests/part-{index:07d}.parquet", chunk.requests)
            write_table(folder / f"attempts/part-{index:07d}.parquet", chunk.attempts)
            timeline.append(chunk.seconds)
            arrived, loop_s = chunk.arrived, loop_s + chunk.loop_s
            add_changes(steps, chunk.steps)
            progress(chunk.end, arrived)
    periods = intervals(scenario)
    write_table(folder / "events.parquet", table_of(events(scenario, periods, steps), EVENTS))
    write_table(folder / "outages.parquet", table_of(outages(periods), OUTAGES))
    return Simulated(arrived, loop_s)


def chunks(scenario: Scenario, learned: Learned, source: ArrivalSource, chunk_s: float) -> Iterator[Chunk]:
    """The run, chunk by chunk. The law: `chunk_s` decides when a row is given, and nothing else about it."""
    laid_down = rules(scenario)
    made = tabulator(scenario, laid_down, learned)
    state = at_start(scenario, int(laid_down.capacity.usable[0]))
    verifier = Verifier(scenario.clients, laid_down.capacity, laid_down.accounts)
    number = int(np.ceil(scenario.horizon_s / chunk_s))
    for index in range(number):
        start, end = index * chunk_s, min((index + 1) * chunk_s, scenario.horizon_s)
        last = index == number - 1
        began = perf_counter()
        arrivals = source.draw(index, start, end)
        ended, seconds = run_chunk(laid_down, learned, state, arrivals, start, end, last)
        loop_s = perf_counter() - began
        requests, attempts = made.requests(ended), made.attempts(ended)
        if scenario.server.autoscaling:
            verifier.scaled(state.steps)
        verifier.chunk(requests, attempts, last)
        verifier.spent(ended, made.charged(ended), np.inf if last else state.rows["arrived"].min(initial=end))
        yield Chunk(end, requests, attempts, seconds, int(state.next_k.sum()), loop_s, state.steps)
    verifier.finish(state)


def events(
    scenario: Scenario, periods: list[Interval], steps: list[tuple[float, int]]
) -> dict[str, list[Any]]:
    """The columns of `events`: outages, usable replicas, and the models in force, by time.

    What happens to the link of a single client is no event of the system; `outages` has it. A slowdown is
    none of the outages: it has events of its own, whose value is the factor.
    """
    found: list[tuple[float, str, str, float]] = [(0.0, "model_in_force", "model", 0.0)]
    for period in periods:
        if period.client >= 0:
            continue
        kind, value = ("outage", np.nan) if period.factor == 1 else ("slowdown", period.factor)
        found.append((period.from_s, f"{kind}_start", period.target, value))
        if period.until_s < scenario.horizon_s:
            found.append((period.until_s, f"{kind}_end", period.target, value))
    found += [(at, "usable_replicas", "server", float(replicas)) for at, replicas in steps]
    found.sort(key=lambda event: event[:3])
    return dict(zip(("at_s", "kind", "target", "value"), map(list, zip(*found, strict=True)), strict=True))


def outages(periods: list[Interval]) -> dict[str, list[Any]]:
    """The columns of `outages`: every period of every time line, which `when: {kind: trace}` reads again."""
    return {
        "target": [period.target for period in periods],
        "effect": ["down" if period.factor == 1 else "slowdown" for period in periods],
        "factor": [period.factor for period in periods],
        "client_id": [period.client for period in periods],
        "from_s": [period.from_s for period in periods],
        "until_s": [period.until_s for period in periods],
    }
