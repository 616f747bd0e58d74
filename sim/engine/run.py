"""A run from t = 0 to the horizon: window after window, rows as they end, laws checked on the way.
Needs a scenario and what the learners made of it; knows nothing of torch or Ray, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.engine.choice import EnginePath, chosen
from sim.engine.learning import Learning
from sim.engine.state import Columns, at_start
from sim.engine.window import run_window
from sim.messages import Learned
from sim.ports import OnlineLearner
from sim.results.energy import accounts_at, of_energy
from sim.results.links import of_links
from sim.results.packing import fill
from sim.results.sessions import SessionBook
from sim.results.table import tabulator
from sim.results.totals import Totals
from sim.results.verify import Verifier
from sim.world.arrivals.source import ArrivalSource
from sim.world.release_schedule import Schedule
from sim.world.windows import EvenWindows, Windows, WindowsByWork
from sim.world.world import World


@dataclass(frozen=True)
class Chunk:
    """What a window of virtual time up to `end` left behind: rows that ended in it, and its seconds.

    of_servers: those of each server, where there are several; of_links: of shared links. learning: rows of
    the table of that name that training in it gave, prototypes, heads and hand_over likewise; items: rows of
    that table. arrived: requests since t = 0. loop_s: wall seconds from arrivals to ended rows. steps: of
    each server (instant, usable replicas) at its start and wherever they changed.
    """

    end: float
    requests: pa.Table
    attempts: pa.Table
    seconds: Columns
    of_servers: Columns | None
    of_links: Columns | None
    learning: dict[str, list[object]]
    arrived: int
    loop_s: float
    steps: list[list[tuple[float, int]]]
    prototypes: dict[str, list[object]]
    heads: dict[str, list[object]]
    hand_over: dict[str, list[object]]
    items: Columns | None = None


def chunks(
    world: World,
    learned: Learned,
    source: ArrivalSource,
    chunk_s: float,
    learner: OnlineLearner | None = None,
    path: EnginePath | None = None,
) -> Iterator[Chunk]:
    """The run in windows of one length: `chunk_s` decides when a row is given, and nothing else about it."""
    run = Run(world, learned, source, learner, path, EvenWindows(chunk_s))
    while not run.is_over:
        yield run.advance()
    run.finish()


class Run:
    """A run between two windows: what it goes on from is data, kept and restored in another process.

    path: what plays the event loop, None: as the scenario has it; it changes nothing but the time it takes.
    windows: where rows are cut into parts, None: as the scenario's traffic has it.
    """

    def __init__(
        self,
        world: World,
        learned: Learned,
        source: ArrivalSource,
        learner: OnlineLearner | None = None,
        path: EnginePath | None = None,
        windows: Windows | None = None,
    ) -> None:
        world = world.sharing(learned.shared_numbers)
        self._scenario, self._source = world.scenario, source
        self._parameters = world.parameters
        self._learning = Learning(world, learned, learner)
        self._made = tabulator(world, self._learning)
        self._state = at_start(world)
        self.path = path or chosen(world.scenario)
        self._clock = self.path.clock(self._parameters)
        self._verifier, self._sessions = Verifier(world), SessionBook(world, self._learning)
        self._world, self._totals = world, Totals()
        self._windows = windows or WindowsByWork(world)
        self.chunks = 0  # windows that are over
        self.at_s = 0.0  # the end of the last one

    @property
    def is_over(self) -> bool:
        return self.at_s >= self._scenario.horizon_s

    def advance(self) -> Chunk:
        """Runs the next window. Raises RunFailed if a law is broken."""
        start, horizon_s = self.at_s, self._scenario.horizon_s
        state, learning = self._state, self._learning
        end = min(self._windows.end(start, state.rows["arrived"].size), horizon_s)
        last = end == horizon_s
        began = perf_counter()
        arrivals = self._source.draw(self.chunks, start, end)
        ended, seconds, of_servers = run_window(
            self._parameters, learning, state, arrivals, start, end, last, self._clock
        )
        loop_s = perf_counter() - began
        columns, attempts = self._made.columns(ended), self._made.attempts(ended)
        requests = self._made.requests(columns)
        for place, server in enumerate(state.stations):
            if self._parameters.stations[place].autoscaling or self.path.is_measured:
                self._verifier.scaled(place, server.steps)
            if not self.path.is_measured:  # who is on the way to a real server seems to wait in it
                self._verifier.waited(place, of_servers[place]["waiting_max"])
        self._verifier.chunk(requests, attempts, last)
        self._verifier.passed(ended)
        open_since = np.inf if last else state.rows["arrived"].min(initial=end)
        self._verifier.spent(ended, self._made.charged(ended), open_since)
        self._verifier.drew(ended, open_since)
        self._verifier.called(ended, open_since)
        items = self._sessions.add(ended, last, horizon_s)
        if self._scenario.detail == "none":
            self._totals.add(columns, self._world)
        self.chunks, self.at_s = self.chunks + 1, end
        arrived, rows = int(state.next_k.sum()), learning.take_rows()
        apart = self._by_server(seconds["at_s"], of_servers) if len(of_servers) > 1 else None
        steps = [server.steps for server in state.stations]
        links = self._parameters.network.names
        shared = of_links(ended.passages, links, start, end) if links else None
        taught = learning.take_rows_of_heads(), learning.take_rows_of_hand_over()
        more = rows, arrived, loop_s, steps, learning.take_rows_of_prototypes(), *taught, items
        return Chunk(end, requests, attempts, seconds, apart, shared, *more)

    def _by_server(self, at_s: NDArray[np.float64], of_servers: list[Columns]) -> Columns:
        """The rows of `servers`: second after second, server after server."""
        names = list(self._scenario.station_names)
        found: Columns = {"at_s": np.repeat(at_s, len(names)), "server": np.tile(names, len(at_s))}
        for name in of_servers[0]:
            found[name] = np.stack([one[name] for one in of_servers], axis=1).reshape(-1)
        return found

    def steer(
        self, memory: Mapping[int, float] | None = None, queue_limit: float | None = None, replicas: int = -1
    ) -> None:
        """Sets what holds from the next window on: by the place of a group the first number that the prices
        of its clients remember; the queue's limit, at most the scenario's; what the autoscaler asks for."""
        state, group = self._state, self._parameters.clients.group
        for place, number in (memory or {}).items():
            state.memory[group == place, 0] = number
        for server, rule in zip(state.stations, self._parameters.stations, strict=True):
            if queue_limit is not None:
                server.steered.queue_limit = min(float(queue_limit), rule.queue_limit)
            server.steered.replicas = replicas

    def asked_by_group(self) -> NDArray[np.float64]:
        """How many requests have arrived so far, float64 (groups,)."""
        groups, asked = self._parameters.clients.group, self._state.next_k.astype(np.float64)
        counts = np.bincount(groups, weights=asked, minlength=len(self._parameters.policies))
        return np.asarray(counts, dtype=np.float64)

    def finish(self) -> None:
        """Raises RunFailed if a law of the whole run is broken."""
        self._verifier.finish(self._state, self._energy(), self.at_s)

    def energy(self) -> Columns | None:
        """The rows of `energy`, where something is said of it."""
        if not self._parameters.power.is_metered.any():
            return None
        return of_energy(
            self._parameters, self._energy(), tuple(group.group for group in self._scenario.fleet)
        )

    @property
    def schedule(self) -> Schedule:
        """When the server learned and the fleet heard of it, as far as that is known by now."""
        return self._learning.schedule

    def totals(self) -> dict[str, pa.Table]:
        """What is kept of the requests where no rows of them are; nothing where there are."""
        return self._totals.tables(self._world) if self._scenario.detail == "none" else {}

    def _energy(self) -> Columns:
        """Of each client, as it stands after the last window."""
        return accounts_at(self._parameters, self._state, self.at_s)

    def kept(self) -> dict[str, Any]:
        """All that the windows to come depend on, besides the scenario and what was learned before t = 0."""
        loop = {
            "chunks": self.chunks,
            "at_s": self.at_s,
            "state": self._state,
            "arrivals": self._source.state(),
            "verifier": self._verifier.kept(),
            "sessions": self._sessions.kept(),
            "clock": self._clock.kept(),
            "totals": self._totals,
        }
        return {"loop": loop} | self._learning.kept()

    def restore(self, kept: dict[str, Any]) -> None:
        """Goes on where `kept` was taken. Raises RunFailed if the learners say something else than then."""
        loop = kept["loop"]
        self._learning.restore(kept)
        self.chunks, self.at_s = loop["chunks"], loop["at_s"]
        fill(self._state, loop["state"])
        self._source.restore(loop["arrivals"])
        self._verifier.restore(loop["verifier"])
        self._sessions.restore(loop["sessions"])
        self._clock.restore(loop["clock"])
        fill(self._totals, loop["totals"])
