"""The worlds that mutants of the handlers are played in, and what is known of each: `benchmarks.mutants`.
Random ones of the suite, those that come to lines that few others come to."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from strategies import several
from strategies import worlds as random_worlds
from strategies_sessions import session_worlds
from worlds import differences, frame, made_up, reference

from benchmarks.soak_played import Broken, in_order, played, require_alive, require_same
from sim.engine.arrays import context, requests_ahead, sessions
from sim.engine.handlers import MODULES
from sim.messages import Learned
from sim.scenario import Scenario
from sim.world.arrivals.source import ArrivalSource
from sim.world.windows import EvenWindows

MOST_WORLDS = 20  # of those that come to a line
FEW = 3
Line = tuple[str, int]  # a file, and which of its lines
PATHS = ("simpy", "compiled")
WINDOW_S = 2.0


@dataclass(frozen=True, eq=False)
class Case:
    """A world with what the oracle says of it, what the sound run tells, the lines that it comes to, and what
    it takes of the processor."""

    scenario: Scenario
    arrivals: ArrivalSource
    learned: Learned
    told: Any
    sound: list[Any]
    lines: frozenset[Line]
    cpu_s: float = 0.0

    def played(self, path: str) -> list[Any]:
        return played(self.scenario, self.learned, path, arrivals=self.arrivals)

    def in_pieces(self, path: str) -> list[Any]:
        """In short windows, kept after the first and gone on with, and without room to begin with."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(context, "EVENTS", 0)
            patch.setattr(context, "ROOM", 1)
            patch.setattr(requests_ahead, "FEWEST", 4)
            patch.setattr(requests_ahead, "MOST", 4)
            patch.setattr(sessions, "FEWEST", 1)
            return played(self.scenario, self.learned, path, EvenWindows(WINDOW_S), 1, self.arrivals)


def cases(worlds: int) -> list[Case]:
    """Of so many random worlds of the suite of each sort those that come each to a line that few before it
    came to; the smallest first. Raises Broken where a sound run is found wrong."""
    found: list[Case] = []
    come_to = Counter[Line]()
    plain = *drawn(several(), worlds), *drawn(random_worlds(), worlds)
    every = [(scenario, made_up(scenario), arrivals) for scenario, arrivals, _ in plain]
    every += [
        (scenario, learned, arrivals) for scenario, learned, arrivals, _ in drawn(session_worlds(), worlds)
    ]
    for scenario, learned, arrivals in every:
        case = Case(scenario, arrivals, learned, None, [], frozenset())
        sound = case.played("simpy")
        if not sound or len(sound[0]) < 5:
            continue
        told = reference(scenario, learned, arrivals, 60.0)
        case = Case(scenario, arrivals, learned, told, sound, frozenset())
        if judged_by_one_run(sound, case) != "survived":
            raise Broken(f"a sound run is found wrong: {scenario}")
        begun = time.process_time()
        with watched() as lines:
            for path in PATHS:
                case.played(path)
            case.in_pieces("compiled")
        require_same(sound, case.in_pieces("compiled"), "a sound run is another one in windows")
        if any(come_to[line] < FEW for line in lines):
            come_to.update(lines)
            cpu_s = time.process_time() - begun
            found.append(Case(scenario, arrivals, learned, told, sound, frozenset(lines), cpu_s))
    return sorted(found, key=lambda case: len(case.sound[0]))


def drawn(strategy: Any, worlds: int) -> list[Any]:
    """The same worlds every time."""
    found: list[Any] = []

    @settings(
        max_examples=worlds,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(world: Any) -> None:
        found.append(world)

    collect()
    return found


@contextlib.contextmanager
def watched() -> Iterator[set[Line]]:
    """The lines of the handlers that are come to meanwhile."""
    files, seen = {str(module.__file__) for module in MODULES}, set[Line]()

    def watch(frame: Any, _event: str, _of: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return watch

    sys.settrace(watch)
    try:
        yield seen
    finally:
        sys.settrace(None)


def spread(near: list[Case]) -> list[Case]:
    """Of many as many as are tried: one by one that which comes to most lines that few of those before came
    to; the smallest first."""
    come_to, left, found = Counter[Line](), list(near), list[Case]()
    while left and len(found) < MOST_WORLDS:
        best = max(left, key=lambda case: sum(come_to[line] < FEW for line in case.lines))
        left.remove(best)
        come_to.update(best.lines)
        found.append(best)
    return sorted(found, key=lambda case: len(case.sound[0]))


def judged_by_one_run(tables: list[Any], case: Case) -> str:
    """What finds the tables of a world that is played in one piece, or that nothing does."""
    if not _is_alive(case.scenario, tables) and _is_alive(case.scenario, case.sound):
        return "liveness"  # worlds of the suite need not obey the rule that nobody waits for ever
    for table, sound_one, told in zip(tables, case.sound, case.told, strict=False):
        if not table.equals(sound_one) and differences(frame(table), in_order(told)):
            return "oracle"
    seconds, sound = tables[2], case.sound[2]
    same = all(seconds[name].tobytes() == sound[name].tobytes() for name in sound)
    return "survived" if same else "another time line"


def _is_alive(scenario: Scenario, tables: list[Any]) -> bool:
    try:
        require_alive(scenario, tables[0])
    except Broken:
        return False
    return True
