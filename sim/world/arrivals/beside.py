"""Arrivals that another process draws, a window ahead, while this one plays the window before: `python -m`.
What comes is what `ScenarioArrivals` gives, bit for bit; without the other process this one draws it all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from sim.another_process import begun, cores
from sim.registry.brought import BROUGHT
from sim.scenario import Scenario
from sim.scenario.rules.rates import expected_requests
from sim.scenario.text.content import names_files
from sim.world.arrivals.processes import Columns
from sim.world.arrivals.source import Arrivals, ArrivalSource, ScenarioArrivals
from sim.world.windows import Windows
from sim.world.world import World

WORTH_IT = 3_000_000  # requests: much fewer are drawn in the time that it takes to begin a process
PARTNERS = 2  # cores: on one they would only take turns
Stretch = tuple[float, float]
NO_LONGER_THERE = OSError, EOFError  # what a connection raises whose other end has gone


def is_worth_drawing_beside(scenario: Scenario) -> bool:
    """Whether arrivals are many, there is a core for another process, and it would know all that they follow
    from: no kind that somebody brought, and no file, which may change until it comes."""
    if cores() < PARTNERS or expected_requests(scenario, open_only=True) < WORTH_IT:
        return False
    return not BROUGHT and not names_files(scenario.model_dump())


@contextmanager
def drawn_beside(world: World, windows: Windows) -> Iterator[ArrivalSource]:
    """The arrivals of a scenario, of which another process draws those of each window while the one before is
    played. It ends with the block, or with this process; without room for it this one draws them.

    windows: as the run has them. The other process loads the code anew: it must be as this one has loaded it.
    """
    own, scenario = ScenarioArrivals(world), world.scenario
    here, there = Pipe()
    with here:
        with there:  # Ctrl-C is for this process, which ends the other
            end = there.fileno()
            process = begun(__name__, str(end), stdin=subprocess.DEVNULL, ends=(end,), apart=True)
        if process is None:
            yield own
            return
        try:
            source = DrawnBeside(own, here, windows, scenario.horizon_s)
            source.tell(scenario.model_dump_json())
            yield source
        finally:
            process.kill()
            process.wait()


class DrawnBeside:
    """Asks the other process for each window, and draws it here until that has come and once it has gone."""

    def __init__(self, own: ScenarioArrivals, other: Connection, windows: Windows, horizon_s: float) -> None:
        self._own, self._other, self._windows, self._horizon_s = own, other, windows, horizon_s
        self._has_come, self._has_gone = False, False

    def draw(self, index: int, start_s: float, end_s: float) -> Arrivals:
        found: Arrivals | None = self._answer("draw", (start_s, end_s)) if self.is_there() else None
        if found is None:
            return self._own.draw(index, start_s, end_s)
        if end_s < self._horizon_s and self._expected(start_s) == end_s:  # else the next is another one, too
            self.tell("expect", (end_s, self._expected(end_s)))
        return found

    def _expected(self, start_s: float) -> float:
        """Where the window ends that begins there, if few requests are open."""
        return min(self._windows.end(start_s, 0), self._horizon_s)

    def state(self) -> Columns:
        """Of the last window that was asked for; where the other process has gone since, of the last time
        that this was asked for, from which on this one would draw."""
        found: Columns | None = self._answer("state") if self.is_there() else None
        if found is not None:
            self._own.restore(found)
        return self._own.state()

    def restore(self, state: Columns) -> None:
        self._own.restore(state)
        if self._has_come:
            self.tell("restore", state)

    def tell(self, *message: Any) -> None:
        """Sends what is not answered, unless nobody is there."""
        try:
            self._other.send(message)
        except NO_LONGER_THERE:
            self._has_gone = True

    def _answer(self, *message: Any) -> Any:
        """What comes back; None where nobody is there."""
        try:
            self._other.send(message)
            return self._other.recv()
        except NO_LONGER_THERE:
            self._has_gone = True
            return None

    def is_there(self) -> bool:
        """Whether the other process answers; as it comes it is told how far this one has drawn."""
        if not self._has_come and not self._has_gone:
            try:
                self._has_come = self._other.poll() and self._other.recv()
            except NO_LONGER_THERE:
                self._has_gone = True
            if self._has_come:
                self.tell("restore", self._own.state())
        return self._has_come and not self._has_gone


class Ahead(NamedTuple):
    """A stretch that nobody has asked for yet, what it brings, and where the source stood before it."""

    stretch: Stretch
    before: Columns
    arrivals: Arrivals


def serve(source: ArrivalSource, asked: Connection) -> None:
    """Draws what is asked for, or told to be expected, until nobody is there any more."""
    ahead: Ahead | None = None
    while True:
        match asked.recv():
            case "expect", stretch:
                ahead = Ahead(stretch, source.state(), source.draw(0, *stretch))
            case "draw", stretch:
                if ahead is not None and ahead.stretch == stretch:
                    asked.send(ahead.arrivals)
                else:
                    if ahead is not None:
                        source.restore(ahead.before)
                    asked.send(source.draw(0, *stretch))
                ahead = None
            case ("state",):
                asked.send(source.state() if ahead is None else ahead.before)
            case "restore", state:
                source.restore(state)
                ahead = None


def main(end: int) -> None:
    """Serves who holds the other end of a connection."""
    with Connection(end) as asked, suppress(*NO_LONGER_THERE):
        (plan,) = asked.recv()
        source = ScenarioArrivals(World(Scenario.model_validate_json(plan)))
        asked.send(True)
        serve(source, asked)


if __name__ == "__main__":
    main(int(sys.argv[1]))
