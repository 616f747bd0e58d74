"""A live run from outside: the server comes up, is rehearsed, is played before, and goes down again.
What `commands.one_run` takes in place of a simulated clock."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from agents.backends.before_ray import before_ray
from live.needs import Terms, law_of, most_asked_hz, require_playable
from live.processes import Processes
from live.rehearsal import Rehearsed, rehearse
from live.service import Law
from sim.engine.choice import EnginePath
from sim.engine.clock import Clock
from sim.engine.wall_clock import Measured, Time, WallClock
from sim.errors import BadInput, RunFailed
from sim.scenario import Scenario
from sim.world.parameters import Parameters
from sim.world.world import World

if TYPE_CHECKING:
    from agents.server.runnable import Runnable


@dataclass(frozen=True)
class Served:
    """What answers: "processes" or "serve"; asked over its handle or over HTTP; on which port (0: a free
    one). service: "slept", as the scenario draws it, or "model", which the replicas ask for real."""

    server: str = "processes"
    via: str = "handle"
    port: int = 0
    speed: float = 1.0
    service: str = "slept"

    @property
    def asks_model(self) -> bool:
        return self.service == "model"


@dataclass
class LivePath(EnginePath):
    """Plays a run on the wall's clock, before a server that has come up."""

    world: World = field(kw_only=True)
    served: Served = field(kw_only=True)
    real: Any = field(kw_only=True)
    rehearsed: Rehearsed = field(kw_only=True)
    loop: asyncio.AbstractEventLoop = field(kw_only=True)
    time: Time = field(kw_only=True)
    folder: Path = field(kw_only=True)
    is_to_stop: Callable[[], bool] = field(default=lambda: False, kw_only=True)
    samples: int = field(default=1, init=False)
    measured: Measured = field(default_factory=Measured, kw_only=True)

    is_measured: ClassVar[bool] = True

    def clock(self, parameters: Parameters) -> Clock:
        """Its time begins as it plays."""
        usable = int(parameters.stations[0].capacity.usable[0])
        if usable != self.world.scenario.one_server.replicas:
            self.loop.run_until_complete(self.real.set_usable(usable))
        clock = WallClock(parameters, self.loop, self.real, self.time, self._stops)
        self.measured = clock.measured
        return clock

    def take_model(self, model: Runnable) -> None:
        """What replicas answer by from now on; they load it before anything is asked of them."""
        model.write(self.folder)
        self.samples = len(model.inputs)
        self.loop.run_until_complete(self.real.take_model(self.folder))

    def _stops(self) -> bool:
        if not self.real.is_there():
            raise RunFailed("run", f"the server ({self.served.server}) has ended by itself")
        return self.is_to_stop()

    def observed(self) -> dict[str, Any]:
        """For `live.json`: how it was played, and how late by; wall seconds unless a name says otherwise."""
        speed, found = self.served.speed, self.measured
        return {
            "server": self.served.server,
            "via": self.served.via,
            "speed": speed,
            "service": self.served.service,
            "answers": {"compared": found.answers, "unlike": found.unlike},
            "lag_s": _spread(found.lag_s, speed),
            "return_s": _spread(found.return_s, speed),
            "rehearsed": self.rehearsed.as_json(),
            "capacity": [
                {"planned_at_s": planned, "done_at_s": done, "usable_replicas": usable}
                for planned, done, usable in found.changes
            ],
            "attempts_lost": len(found.losses),
            "loss_heard_s": _spread(self._after_a_stop(), speed),
        }

    def _after_a_stop(self) -> list[float]:
        """How long after replicas were to stop each lost attempt was heard of; of others nothing."""
        stops = np.array([planned for planned, _done, _usable in self.measured.changes])
        losses = np.array(self.measured.losses)
        before = np.searchsorted(stops, losses, side="right")
        known = before > 0
        found: list[float] = (losses[known] - stops[before[known] - 1]).tolist()
        return found


class _OwnLoop(asyncio.SelectorEventLoop):
    """May be run where another event loop runs, as in a notebook: that one stands still meanwhile, as it does
    while any other call is on."""

    def run_until_complete(self, future: Any) -> Any:
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return super().run_until_complete(future)
        finally:
            asyncio._set_running_loop(outer)


@contextmanager
def live_path(
    plan: Scenario, served: Served, tell: Callable[[str], None], is_to_stop: Callable[[], bool]
) -> Iterator[LivePath]:
    """Within it a server for this scenario is up, and this machine has shown that it can play its rates.

    Raises BadInput for a scenario that cannot be played live, a port that is taken, a server that does not
    come up, and rates that this machine cannot play.
    """
    require_playable(plan, served.asks_model)
    world, clock = World(plan), Time(served.speed)
    law = law_of(world, clock)
    # Python's own loop wakes to the millisecond where it can poll, to the microsecond with select.
    real = _server(served, Terms.of(plan, served.speed), law, clock)
    loop = _OwnLoop(selectors.SelectSelector())
    folder = TemporaryDirectory()
    try:
        tell("the server comes up")
        loop.run_until_complete(real.start())
        tell("rehearsal of the scenario's rates")
        asked_hz = most_asked_hz(plan) * served.speed
        rehearsed = loop.run_until_complete(rehearse(real, clock, law, asked_hz))
        yield LivePath(
            "live",
            f"the wall's clock, before {served.server}",
            world=world,
            served=served,
            real=real,
            rehearsed=rehearsed,
            loop=loop,
            time=clock,
            folder=Path(folder.name),
            is_to_stop=is_to_stop,
        )
    finally:
        loop.run_until_complete(_end(real))
        loop.close()
        folder.cleanup()


async def _end(real: Any) -> None:
    """The server goes down; what was still under way is given up."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    await real.stop()
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _server(served: Served, terms: Terms, law: Law, clock: Time) -> Any:
    if served.server == "processes":
        if served.via != "handle":
            raise BadInput(f"--via {served.via}: is a way to Ray Serve; --server processes has its own")
        return Processes(terms, law, clock, served.port)
    before_ray(None)
    try:
        from live.serve import Serve  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise BadInput(f"--server serve: needs Ray Serve ({error}): pip install 'l2h-fleet[live]'") from None
    return Serve(terms, law, clock, served.via, served.port)


def _spread(found: list[float], speed: float) -> dict[str, float | None]:
    """The middle, two high percentiles and the largest; null where there is nothing."""
    names, shares = ("p50", "p95", "p99", "max"), (0.5, 0.95, 0.99, 1.0)
    if not found:
        return dict.fromkeys(names)
    values = np.quantile(np.array(found) / speed, shares).tolist()
    return dict(zip(names, values, strict=True))
