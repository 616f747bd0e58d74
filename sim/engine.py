"""A run from t = 0 to the horizon: chunk after chunk, rows written as they end, laws checked on the way.
Needs a scenario, what the learners made of it, and a folder; knows nothing of torch or Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from sim.arrivals import ArrivalSource, ScenarioArrivals
from sim.chunk import run_chunk
from sim.columns import EVENTS, OUTAGES, TIMELINE
from sim.events import events
from sim.learning import Learning
from sim.messages import Learned
from sim.outages import Interval, intervals
from sim.paths import Path, chosen
from sim.ports import OnlineLearner
from sim.rules import rules
from sim.run_folder import Parts, StreamedTable, table_of, write_table
from sim.scenario import Scenario
from sim.scenario.values import CHUNK_S
from sim.state import Columns, at_start
from sim.table import tabulator
from sim.verify import Verifier, add_changes

Progress = Callable[[float, int], None]  # virtual seconds done, requests that have arrived


@dataclass(frozen=True)
class Chunk:
    """What a stretch of virtual time up to `end` left behind: rows that ended in it, and its seconds.

    learning: rows of the table of that name that training in it gave. arrived: requests since t = 0. loop_s:
    wall seconds from arrivals to ended rows. steps: (instant, usable replicas) at its start and wherever
    they changed.
    """

    end: float
    requests: pa.Table
    attempts: pa.Table
    seconds: Columns
    learning: dict[str, list[object]]
    arrived: int
    loop_s: float
    steps: list[tuple[float, int]]


@dataclass(frozen=True)
class Simulated:
    """What a run amounts to: requests that arrived, wall seconds from arrivals to ended rows, which path
    played them, and the rows that training during the run adds to the table `learning`.
    """

    requests: int
    loop_s: float
    path: Path
    learning: dict[str, list[object]] = field(default_factory=dict)


def simulate(
    scenario: Scenario,
    learned: Learned,
    folder: FilePath,
    progress: Progress = lambda _at, _n: None,
    source: ArrivalSource | None = None,
    learner: OnlineLearner | None = None,
) -> Simulated:
    """Runs the scenario and writes requests, attempts, timeline and events below `folder`.

    source: gives other arrivals than the scenario's. learner: trains during the run, if the scenario says so.
    Raises RunFailed if a law is broken or the disk does not take a part.
    """
    source, path = source or ScenarioArrivals(scenario), chosen(scenario)
    arrived, loop_s, rows = 0, 0.0, dict[str, list[object]]()
    steps: list[tuple[float, int]] = []
    with StreamedTable(folder / "timeline.parquet", TIMELINE) as timeline, Parts() as parts:
        for index, chunk in enumerate(chunks(scenario, learned, source, CHUNK_S, learner, path)):
            name = f"part-{index:07d}.parquet"
            parts.write(
                {folder / "requests" / name: chunk.requests, folder / "attempts" / name: chunk.attempts}
            )
            timeline.append(chunk.seconds)
            arrived, loop_s = chunk.arrived, loop_s + chunk.loop_s
            for name, values in chunk.learning.items():
                rows.setdefault(name, []).extend(values)
            add_changes(steps, chunk.steps)
            progress(chunk.end, arrived)
    periods = intervals(scenario)
    write_table(folder / "events.parquet", table_of(events(scenario, periods, steps), EVENTS))
    write_table(folder / "outages.parquet", table_of(outages(periods), OUTAGES))
    return Simulated(arrived, loop_s, path, rows)


def chunks(
    scenario: Scenario,
    learned: Learned,
    source: ArrivalSource,
    chunk_s: float,
    learner: OnlineLearner | None = None,
    path: Path | None = None,
) -> Iterator[Chunk]:
    """The run, chunk by chunk. The law: `chunk_s` decides when a row is given, and nothing else about it.

    path: what plays the event loop, None: as the scenario has it; it changes nothing but the time it takes.
    """
    laid_down = rules(scenario)
    learning = Learning(scenario, learned, learner)
    made = tabulator(scenario, laid_down, learning)
    state = at_start(scenario, int(laid_down.capacity.usable[0]))
    play = (path or chosen(scenario)).player(laid_down, state, learning)
    verifier = Verifier(scenario.clients, laid_down.capacity, laid_down.accounts)
    number = int(np.ceil(scenario.horizon_s / chunk_s))
    for index in range(number):
        start, end = index * chunk_s, min((index + 1) * chunk_s, scenario.horizon_s)
        last = index == number - 1
        began = perf_counter()
        arrivals = source.draw(index, start, end)
        ended, seconds = run_chunk(laid_down, learning, state, arrivals, start, end, last, play)
        loop_s = perf_counter() - began
        requests, attempts = made.requests(ended), made.attempts(ended)
        if scenario.server.autoscaling:
            verifier.scaled(state.steps)
        verifier.chunk(requests, attempts, last)
        verifier.spent(ended, made.charged(ended), np.inf if last else state.rows["arrived"].min(initial=end))
        arrived, rows = int(state.next_k.sum()), learning.take_rows()
        yield Chunk(end, requests, attempts, seconds, rows, arrived, loop_s, state.steps)
    verifier.finish(state)


def outages(periods: list[Interval]) -> dict[str, list[Any]]:
    """The columns of `outages`: every period of every time line, which `when: {kind: trace}` reads again."""
    return {
        "target": [period.target for period in periods],
        "effect": [period.effect for period in periods],
        "factor": [period.factor for period in periods],
        "client_id": [period.client for period in periods],
        "from_s": [period.from_s for period in periods],
        "until_s": [period.until_s for period in periods],
    }
