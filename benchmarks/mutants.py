"""Every rule of the handlers put wrong, one at a time: which of the checks finds it.

A mutant is one change to one handler: a comparison moved, + and - exchanged, a number one larger, a flag
turned over, `and` for `or`, a statement left out. Each plays those of the random worlds (`soak_worlds`) that
come to its line, by SimPy's clock (`walk` and `primitives` by the loop of the compiled one, in plain Python),
and is found by the run itself (`sim.results.verify`, the law of the time line), by a breakdown, by never
coming to an end, by a request that nothing will end, or by the oracle. What no check finds is told by line:
it is equivalent, or a hole. Made with `--table`: docs/tables/mutants.md.

`python -m benchmarks.mutants` takes an hour; `--sample 20 --worlds 20` a minute. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from worlds import differences, frame, made_up, reference

from benchmarks.mutations import Mutant, mutants
from benchmarks.soak_documents import wrong
from benchmarks.soak_played import Broken, in_order, played, require_alive
from benchmarks.soak_worlds import Drawing, write_files
from sim.engine.handlers import MODULES
from sim.errors import RunFailed
from sim.messages import Learned
from sim.scenario import Scenario, read
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World

SEED = 22
MOST_REQUESTS = 400
FEW, DRAWN_AT_MOST = 5, 10
PLAIN = {"NUMBA_DISABLE_JIT": "1"}
LIMIT_S = 20  # of one world under one mutant
BY_THE_WALK = {"walk", "primitives"}
FOUND = ("verify", "breakdown", "no end", "liveness", "oracle")
MISSED = ("another time line", "survived", "not reached")


@dataclass(frozen=True)
class Case:
    """A world with what the oracle says of it, what the sound run tells, and the lines that it comes to."""

    scenario: Scenario
    learned: Learned
    told: Any
    sound: list[Any]
    lines: frozenset[tuple[str, int]]


def cases(worlds: int) -> list[Case]:
    """So many small worlds that come each to a line that few before it came to, or all that do among the
    first; the smallest first. Raises Broken where a sound run is found wrong."""
    found: list[Case] = []
    number, come_to = 0, Counter[tuple[str, int]]()
    while len(found) < worlds and number < DRAWN_AT_MOST * worlds:
        document, number = Drawing(SEED, number).scenario(), number + 1
        if document.get("horizon_s", 0) > 60 or next(wrong(document), None) is not None:
            continue
        Path("soak.yaml").write_text(json.dumps(document))
        scenario = read("soak.yaml")
        learned = made_up(scenario)
        sound = played(scenario, learned, "simpy")
        if not sound or not 20 <= len(sound[0]) <= MOST_REQUESTS:
            continue
        told = reference(scenario, learned, ScenarioArrivals(World(scenario)), 60.0)
        case = Case(scenario, learned, told, sound, frozenset())
        if _judged(sound, case) != "survived":
            raise Broken(f"world {number - 1} of seed {SEED} is found wrong without a mutant")
        lines = _lines(
            lambda one=case: [played(one.scenario, one.learned, path) for path in ("simpy", "compiled")]
        )
        if any(come_to[line] < FEW for line in lines):
            come_to.update(lines)
            found.append(Case(scenario, learned, told, sound, lines))
    return sorted(found, key=lambda case: len(case.sound[0]))


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
    try:
        require_alive(case.scenario, tables[0])
    except Broken:
        return "liveness"
    for table, told in zip(tables, case.told, strict=False):
        if differences(frame(table), in_order(told)):
            return "oracle"
    seconds, sound = tables[2], case.sound[2]
    same = all(np.array_equal(seconds[name], sound[name], equal_nan=True) for name in sound)
    return "survived" if same else "another time line"


def found_by(mutant: Mutant, case: Case) -> str:
    """What finds it in one world, in a process that it may spoil."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT_S)
        said = "breakdown"
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            mutant.put()
            path = "compiled" if mutant.module.__name__.rpartition(".")[2] in BY_THE_WALK else "simpy"
            said = _judged(played(case.scenario, case.learned, path), case)
        except RunFailed:
            said = "verify"
        except BaseException:  # whatever it is, the mutant is found
            said = "breakdown"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(process, 0)
    return said or "no end"


def outcome(mutant: Mutant, worlds: list[Case]) -> str:
    """What finds a mutant first; of what nothing finds, what is known."""
    near = [case for case in worlds if (str(mutant.module.__file__), mutant.line) in case.lines]
    said = "survived" if near else "not reached"
    for case in near:
        now = found_by(mutant, case)
        if now in FOUND:
            return now
        said = now if now == MISSED[0] else said
    return said


def table(found: list[tuple[Mutant, str]]) -> str:
    """What found how many, by module, and every mutant that nothing found."""
    columns = (*FOUND, *MISSED)
    counts: dict[str, Counter[str]] = {}
    for mutant, how in found:
        counts.setdefault(mutant.module.__name__.rpartition(".")[2], Counter())[how] += 1
    counts["all"] = sum(counts.values(), Counter())
    lines = ["| module | mutants | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 2) + "|"]
    for name, by in counts.items():
        lines.append(f"| {name} | {by.total()} | " + " | ".join(str(by[one]) for one in columns) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=60, help="so many random worlds")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn; all without")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--module", help="of this module alone")
    parser.add_argument("--table", type=Path, help="write what was found there, as Markdown")
    chosen = parser.parse_args()
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        os.execve(
            sys.executable, [sys.executable, "-m", "benchmarks.mutants", *sys.argv[1:]], os.environ | PLAIN
        )
    logging.disable(logging.WARNING)
    every = [one for one in mutants() if chosen.module in (None, one.place.partition(".")[0])]
    if chosen.sample:
        drawn = np.random.default_rng(chosen.seed).permutation(len(every))[: chosen.sample]
        every = [every[number] for number in sorted(drawn)]
    found = []
    with tempfile.TemporaryDirectory() as home, chdir(home):
        write_files(Path(home))
        worlds = cases(chosen.worlds)
        for one in every:
            how = outcome(one, worlds)
            found.append((one, how))
            if how in MISSED:
                print(f"{how}: {one.place}: {one.what}", flush=True)
    if chosen.table:
        chosen.table.write_text(table(found))
    counts = Counter(how for _, how in found)
    print(json.dumps({"mutants": len(found), **counts, "found": sum(counts[one] for one in FOUND)}))


if __name__ == "__main__":
    main()
