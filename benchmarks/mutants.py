"""Every rule of the handlers put wrong, one at a time: which of the checks finds it.

A mutant is one change to one handler: a comparison moved, + and - exchanged, a number one larger, a flag
turned over, `and` for `or`, a statement left out. Each plays those of the suite's random worlds
(`tests/sim/strategies.py`) that come to its line, by SimPy's clock; those of `walk` and `primitives` by the
loop of the compiled one, in plain Python. It is found by the run itself (`sim.results.verify`, the law of the
time line), by a breakdown, by never coming to an end, by a request that nothing will end, or by the oracle;
with `--stories` what is left meets the exact stories of the suite, too. What no check finds is told by line:
it is equivalent, or a hole. Made with `--table`: docs/tables/mutants.md.

`python -m benchmarks.mutants` takes about an hour; `--sample 20 --worlds 20` a minute. Mutants come in an
order drawn by the seed, so that what `--minutes` has time for is a fair sample of all; `--kept` keeps
what was found, and goes on from there. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from strategies import several
from strategies import worlds as random_worlds
from worlds import differences, frame, made_up, reference

from benchmarks import TESTS
from benchmarks.mutations import Mutant, mutants
from benchmarks.soak_played import Broken, in_order, played, require_alive, require_same
from sim.engine.arrays import context
from sim.engine.handlers import MODULES
from sim.errors import RunFailed
from sim.messages import Learned
from sim.scenario import Scenario
from sim.world.arrivals.source import ArrivalSource
from sim.world.windows import EvenWindows

MOST_WORLDS = 20  # of those that come to a line
FEW = 3
PLAIN = {"NUMBA_DISABLE_JIT": "1"}
SLOWER = 20  # so much more of the processor than the sound run takes, and a second: it comes to no end
STORIES_S = 300
BY_THE_WALK = {"walk", "primitives"}
FOUND = ("verify", "breakdown", "no end", "liveness", "oracle", "windows", "story")
WINDOW_S = 2.0
OTHER = {"simpy": "compiled", "compiled": "simpy"}
NO_LAWS = "not law and not random and not wait and not never_runs_empty and not storm"  # which take long
STORIES = (
    "exact_capacity",
    "exact_limits",
    "exact_timelines",
    "energy",
    "network",
    "closed_loop",
    "timeline",
    "budgets",
    "switching",
    "calls",
    "pipelines",
    "choosing_options",
    "device_parts",
    "queues",
    "own_policies_among_options",
    "price_stories",
)
MISSED = ("another time line", "survived", "not reached")


@dataclass(frozen=True, eq=False)
class Case:
    """A world with what the oracle says of it, what the sound run tells, the lines that it comes to, and what
    it takes of the processor."""

    scenario: Scenario
    arrivals: ArrivalSource
    learned: Learned
    told: Any
    sound: list[Any]
    lines: frozenset[tuple[str, int]]
    cpu_s: float = 0.0

    def played(self, path: str) -> list[Any]:
        return played(self.scenario, self.learned, path, arrivals=self.arrivals)

    def in_pieces(self, path: str) -> list[Any]:
        """In short windows, kept after the first and gone on with, and without room to begin with."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(context, "EVENTS", 0)
            patch.setattr(context, "ROOM", 1)
            return played(self.scenario, self.learned, path, EvenWindows(WINDOW_S), 1, self.arrivals)


def cases(worlds: int) -> list[Case]:
    """Of so many random worlds of the suite of either sort those that come each to a line that few before it
    came to; the smallest first. Raises Broken where a sound run is found wrong."""
    found: list[Case] = []
    come_to = Counter[tuple[str, int]]()
    for scenario, arrivals, _ in (*drawn(several(), worlds), *drawn(random_worlds(), worlds)):
        learned = made_up(scenario)
        case = Case(scenario, arrivals, learned, None, [], frozenset())
        sound = case.played("simpy")
        if not sound or len(sound[0]) < 5:
            continue
        told = reference(scenario, learned, arrivals, 60.0)
        case = Case(scenario, arrivals, learned, told, sound, frozenset())
        if _judged(sound, case) != "survived":
            raise Broken(f"a sound run is found wrong: {scenario}")
        begun = time.process_time()
        lines = _lines(lambda one=case: [one.played(path) for path in OTHER] + [one.in_pieces("compiled")])
        require_same(sound, case.in_pieces("compiled"), "a sound run is another one in windows")
        if any(come_to[line] < FEW for line in lines):
            come_to.update(lines)
            cpu_s = time.process_time() - begun
            found.append(Case(scenario, arrivals, learned, told, sound, lines, cpu_s))
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


def _lines(play: Callable[[], Any]) -> frozenset[tuple[str, int]]:
    """The lines of the handlers that are come to."""
    files, seen = {str(module.__file__) for module in MODULES}, set[tuple[str, int]]()

    def watch(frame: Any, _event: str, _of: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return watch

    sys.settrace(watch)
    try:
        play()
    finally:
        sys.settrace(None)
    return frozenset(seen)


def _judged(tables: list[Any], case: Case) -> str:
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


def outcome(mutant: Mutant, worlds: list[Case]) -> str:
    """What finds a mutant first, in a process that it may spoil; of what nothing finds, what is known."""
    lines = {(str(mutant.module.__file__), line) for line in mutant.lines}
    near = spread([case for case in worlds if lines & case.lines])
    if not near:
        return "not reached"
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.write(writing, _found_by(mutant, near).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(process, 0)
    return said or "no end"


def spread(near: list[Case]) -> list[Case]:
    """Of many as many as are tried: one by one that which comes to most lines that few of those before came
    to; the smallest first."""
    come_to, left, found = Counter[tuple[str, int]](), list(near), list[Case]()
    while left and len(found) < MOST_WORLDS:
        best = max(left, key=lambda case: sum(come_to[line] < FEW for line in case.lines))
        left.remove(best)
        come_to.update(best.lines)
        found.append(best)
    return sorted(found, key=lambda case: len(case.sound[0]))


def finds_a_story(mutant: Mutant) -> bool:
    """Whether an exact story of the suite fails, in a process of its own."""
    process = os.fork()
    if process == 0:
        signal.alarm(STORIES_S)
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            mutant.put()
            stories = [str(TESTS / "sim" / f"test_{name}.py") for name in STORIES]
            os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-k", NO_LAWS, *stories])))
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != 0


def _found_by(mutant: Mutant, near: list[Case]) -> str:
    """Spoils this process."""
    said = "survived"
    path = "compiled" if mutant.module.__name__.rpartition(".")[2] in BY_THE_WALK else "simpy"
    mutant.put()
    whole = []
    for case in near:
        signal.setitimer(signal.ITIMER_PROF, 1 + SLOWER * case.cpu_s)
        try:
            whole.append(case.played(path))
            now = _judged(whole[-1], case)
        except RunFailed:
            return "verify"
        except Exception:
            return "breakdown"
        if now in FOUND:
            return now
        said = now if now == MISSED[0] else said
    for case, tables in zip(near, whole, strict=False):
        signal.setitimer(signal.ITIMER_PROF, 1 + SLOWER * case.cpu_s)
        try:
            require_same(tables, case.in_pieces(OTHER[path]), "in windows")
        except Exception:
            return "windows"
    return said


def kept(file: Path | None) -> dict[str, str]:
    """What mutants came to in runs before this one."""
    return dict(map(json.loads, file.read_text().splitlines())) if file and file.exists() else {}


def table(found: list[tuple[Mutant, str]], every: int) -> str:
    """What found how many of so many mutants, by module, and every one that nothing found, as Markdown."""
    columns = (*FOUND, *MISSED)
    counts: dict[str, Counter[str]] = {}
    for mutant, how in found:
        counts.setdefault(mutant.module.__name__.rpartition(".")[2], Counter())[how] += 1
    counts["all"] = sum(counts.values(), Counter())
    lines = ["| module | mutants | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 2) + "|"]
    for name, by in counts.items():
        lines.append(f"| {name} | {by.total()} | " + " | ".join(str(by[one]) for one in columns) + " |")
    missed = [f"- {how}: `{one}`".replace("``", "`") for one, how in found if how in MISSED]
    of = "all" if len(found) == every else f"{len(found)} drawn of"
    heading = (
        f"# Mutants\n\nWhat finds a rule that is put wrong: {of} {every} mutants of "
        "`python -m benchmarks.mutants`.\nA change that no check finds either changes nothing that is told, "
        "or is a hole.\n"
    )
    return "\n".join([heading, *lines, "", "What none found:", "", *missed, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=150, help="so many random worlds of either sort")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn; all without")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--module", help="of this module alone")
    parser.add_argument("--stories", action="store_true", help="what is left meets the stories, too")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many")
    parser.add_argument(
        "--kept", type=Path, help="keep there what each comes to; one that is there is not tried"
    )
    parser.add_argument("--table", type=Path, help="write what was found there, as Markdown")
    chosen = parser.parse_args()
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        os.execve(
            sys.executable, [sys.executable, "-m", "benchmarks.mutants", *sys.argv[1:]], os.environ | PLAIN
        )
    logging.disable(logging.WARNING)
    until = time.monotonic() + 60 * chosen.minutes
    every = [one for one in mutants() if chosen.module in (None, str(one).partition(".")[0])]
    drawn = np.random.default_rng(chosen.seed).permutation(len(every))[: chosen.sample]
    known = kept(chosen.kept)
    worlds = cases(chosen.worlds)
    gc.freeze()  # else each process of a mutant would copy what it only looks at
    found = []
    for one in (every[number] for number in drawn):
        how = known.get(str(one), "")
        if not how and time.monotonic() < until:
            how = outcome(one, worlds)
            if how in MISSED and chosen.stories and finds_a_story(one):
                how = "story"
            if chosen.kept:
                with chosen.kept.open("a") as file:
                    file.write(json.dumps([str(one), how]) + "\n")
        if how:
            found.append((one, how))
    found.sort(key=lambda each: (each[0].module.__name__, each[0].lines[0]))
    for one, how in found:
        if how in MISSED:
            print(f"{how}: {one}", flush=True)
    if chosen.table:
        chosen.table.write_text(table(found, len(every)))
    counts = Counter(how for _, how in found)
    print(json.dumps({"mutants": len(found), **counts, "found": sum(counts[one] for one in FOUND)}))


if __name__ == "__main__":
    main()
