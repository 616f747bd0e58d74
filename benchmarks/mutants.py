"""Every rule of the handlers put wrong, one at a time: which of the checks finds it.

A mutant is one change to one handler: a comparison moved, + and - exchanged, a number one larger, a flag
turned over, `and` for `or`, a statement left out. Each plays those of the suite's random worlds
(`tests/sim/strategies.py`) that come to its line, by SimPy's clock; those of `walk` and `primitives` by the
loop of the compiled one, in plain Python. It is found by the run itself (`sim.results.verify`, the law of the
time line), by a breakdown, by never coming to an end, by a request that nothing will end, or by the oracle;
or since the other clock in short windows, kept after one and without room to begin with, leaves other bytes;
with `--stories` what is left meets the exact stories of the suite, too. What no check finds is equivalent, or
a hole: `mutants_judged.txt` says of those that were looked at why they are equivalent. Made with `--table`:
docs/tables/mutants.md.

`python -m benchmarks.mutants` takes hours; `--sample 20 --worlds 20` some minutes. Mutants come in an
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
from pathlib import Path

import numpy as np

from benchmarks.mutants_stories import Story, finds, stories
from benchmarks.mutants_table import FOUND, MISSED, table
from benchmarks.mutants_worlds import Case, cases, judged_by_one_run, spread
from benchmarks.mutations import Mutant, mutants
from benchmarks.soak_played import require_same
from sim.errors import RunFailed

PLAIN = {"NUMBA_DISABLE_JIT": "1"}
SLOWER = 20  # so much more of the processor than the sound run takes, and a second: it comes to no end
BY_THE_WALK = {"walk", "primitives"}
OTHER = {"simpy": "compiled", "compiled": "simpy"}


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
            now = judged_by_one_run(whole[-1], case)
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
    worlds, told, found = list[Case](), list[Story](), []
    for one in (every[number] for number in drawn):
        how = known.get(str(one), "")
        if not how and time.monotonic() < until:
            if not worlds:
                worlds = cases(chosen.worlds)
                told = stories() if chosen.stories else []
                gc.freeze()  # else each process of a mutant would copy what it only looks at
            how = outcome(one, worlds)
            if how in MISSED and finds(one, told):
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
