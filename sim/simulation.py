"""A whole run, written into its folder as it goes: parts, time lines, events, states to go on from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sim.engine.choice import EnginePath
from sim.engine.run import Chunk, Run
from sim.messages import Learned
from sim.ports import OnlineLearner
from sim.results.checkpoints import ITEMS_PIECES, LINKS_PIECES, SERVERS_PIECES, TIMELINE_PIECES, Checkpoints
from sim.results.columns import EVENTS, OUTAGES, TIMELINE
from sim.results.columns_by_run import ENERGY, ITEMS, LINKS, PRESENCE, SERVERS
from sim.results.events import events
from sim.results.packing import fill
from sim.results.resuming import tidy
from sim.results.run_folder import Parts, StreamedTable, part, table_of, write_table
from sim.results.verify import add_changes
from sim.world.arrivals.source import ArrivalSource, ScenarioArrivals
from sim.world.outages.capacity import Interval
from sim.world.windows import Windows
from sim.world.world import World

Progress = Callable[[float, int], None]  # virtual seconds done, requests that have arrived


@dataclass
class Simulated:
    """What a run amounts to so far: requests that arrived, wall seconds from arrivals to ended rows, the rows
    that training during the run adds to the tables `learning`, `prototypes`, `heads` and `hand_over`, and of
    each server (instant, usable replicas) at its changes. path: which loop played it, for `timing.json`.
    """

    requests: int = 0
    loop_s: float = 0.0
    path: dict[str, Any] = field(default_factory=dict)
    learning: dict[str, list[object]] = field(default_factory=dict)
    steps: list[list[tuple[float, int]]] = field(default_factory=list)
    prototypes: dict[str, list[object]] = field(default_factory=dict)
    heads: dict[str, list[object]] = field(default_factory=dict)
    hand_over: dict[str, list[object]] = field(default_factory=dict)

    def add(self, chunk: Chunk) -> None:
        self.requests, self.loop_s = chunk.arrived, self.loop_s + chunk.loop_s
        told = (self.learning, chunk.learning), (self.prototypes, chunk.prototypes)
        for known, more in (*told, (self.heads, chunk.heads), (self.hand_over, chunk.hand_over)):
            for name, values in more.items():
                known.setdefault(name, []).extend(values)
        self.steps = self.steps or [[] for _ in chunk.steps]
        for steps, later in zip(self.steps, chunk.steps, strict=True):
            add_changes(steps, later)


def simulate(
    world: World,
    learned: Learned,
    folder: Path,
    progress: Progress = lambda _at, _n: None,
    source: ArrivalSource | None = None,
    learner: OnlineLearner | None = None,
    checkpoints: Checkpoints | None = None,
    since: dict[str, Any] | None = None,
    is_to_stop: Callable[[], bool] = lambda: False,
    path: EnginePath | None = None,
    windows: Windows | None = None,
) -> Simulated:
    """Runs the scenario and writes requests, attempts, timeline and events below `folder`.

    source: gives other arrivals than the scenario's. learner: trains during the run, if the scenario says so.
    checkpoints: where states of the run are left; since: the one to go on from. is_to_stop: asked at
    the end of each window; if so, a checkpoint is left and KeyboardInterrupt raised. path, windows: as
    for `Run`. Raises RunFailed if a law is broken or the disk does not take a part.
    """
    if checkpoints is None:  # nobody will go on with this run
        passing = Checkpoints(folder, every_s=np.inf)
        try:
            return simulate(
                world, learned, folder, progress, source, learner, passing, None, is_to_stop, path, windows
            )
        finally:
            passing.discard()
    world = world.sharing(learned.shared_numbers)
    done, source = Simulated(), source or ScenarioArrivals(world)
    run = Run(world, learned, source, learner, path, windows)
    timeline = StreamedTable(folder / "timeline.parquet", TIMELINE, folder / TIMELINE_PIECES)
    links = StreamedTable(folder / "links.parquet", LINKS, folder / LINKS_PIECES)
    items = StreamedTable(folder / "items.parquet", ITEMS, folder / ITEMS_PIECES)
    servers = StreamedTable(folder / "servers.parquet", SERVERS, folder / SERVERS_PIECES)
    if since:
        run.restore(since)
        fill(done, since["done"])
    tidy(folder, run.chunks)
    done.path, keeps_rows = run.path.told(), world.scenario.detail != "none"
    with Parts(checkpoints.written) as parts:
        while not run.is_over:
            index, chunk = run.chunks, run.advance()
            of_chunk = {"requests": chunk.requests, "attempts": chunk.attempts} if keeps_rows else {}
            tables = {part(folder / name, index): table for name, table in of_chunk.items()}
            tables |= timeline.piece(index, chunk.seconds)
            if chunk.of_servers is not None:
                tables |= servers.piece(index, chunk.of_servers)
            if chunk.of_links is not None:
                tables |= links.piece(index, chunk.of_links)
            if chunk.items is not None:
                tables |= items.piece(index, chunk.items)
            parts.write(tables)
            done.add(chunk)
            progress(chunk.end, chunk.arrived)
            stops = is_to_stop()
            if stops or checkpoints.is_due():
                parts.wait()  # whoever goes on needs all before it
                checkpoints.save_run(run.chunks, run.kept() | {"done": done})
            if stops:
                raise KeyboardInterrupt
    run.finish()
    timeline.finish(run.chunks)
    if len(world.stations) > 1:
        servers.finish(run.chunks)
    if world.scenario.network:
        links.finish(run.chunks)
    if world.parameters.has_sessions:
        items.finish(run.chunks)
    _write_last(world, run, done, folder)
    return done


def _write_last(world: World, run: Run, done: Simulated, folder: Path) -> None:
    """What is known at the end alone."""
    for name, table in run.totals().items():
        write_table(folder / f"{name}.parquet", table)
    if (energy := run.energy()) is not None:
        write_table(folder / "energy.parquet", table_of(energy, ENERGY))
    if world.presence.comes_and_goes.any():
        write_table(folder / "presence.parquet", table_of(visits(world), PRESENCE))
    steps = done.steps or [[] for _ in world.stations]  # nothing changed in no time
    write_table(
        folder / "events.parquet", table_of(events(world, steps, run.schedule, done.hand_over), EVENTS)
    )
    write_table(folder / "outages.parquet", table_of(outages(world.intervals), OUTAGES))


def visits(world: World) -> dict[str, Any]:
    """The columns of `presence`: every visit of a client that joins and leaves."""
    there, groups = world.presence, np.array([group.group for group in world.scenario.fleet])
    return {
        "client_id": there.client,
        "group": groups[world.population.group[there.client]],
        "from_s": there.from_s,
        "until_s": there.until_s,
    }


def outages(periods: list[Interval]) -> dict[str, list[Any]]:
    """The columns of `outages`: every period of every time line, which `when: {kind: trace}` reads again."""
    return {
        "target": [period.target for period in periods],
        "effect": [period.effect for period in periods],
        "factor": [period.factor for period in periods],
        "client_id": [period.client for period in periods],
        "from_s": [period.from_s for period in periods],
        "until_s": [period.until_s for period in periods],
        "outage": [period.outage for period in periods],
    }
