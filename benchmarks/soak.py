"""Random scenarios for as long as asked: every promise of a run, tried on each; a failure replays by number.

Each world is drawn over the whole vocabulary (`benchmarks.soak_worlds`). What is refused must be refused in
one line. Every other one is played with made-up tables of answers (`benchmarks.soak_played`): by SimPy's
clock, by the compiled one, and in windows of another length, kept and restored between two of them by way of
the bytes of a checkpoint; each must leave the same bytes, the laws of the run must hold, no request may be in
flight that nothing will end, and half of them are held against the oracle. Every `--whole`-th world is a
whole run by the command line as well (`benchmarks.soak_whole`), learners and all: stopped at a random instant
by a random signal, then by files that may not grow, and gone on with, now and then with one or two workers.
The folder must be that of an undisturbed run in one process, hold finite numbers and no leftovers, and no
process may stay; a damaged file must be told in one line, or cost nothing. A failure is printed with its
seed, the commit and the scenario, without the keys that it does not need.

`python -m benchmarks.soak --minutes 3 --seed 1` or, to see one again, `--seed 1 --world 123`. With `--kept
FILE` the counts are written after each world, and the next call goes on after the last of them. The last line
is one JSON object; the exit code is 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np

from benchmarks.soak_documents import Table, shrunk
from benchmarks.soak_played import Broken, try_in_memory
from benchmarks.soak_whole import try_whole
from benchmarks.soak_worlds import Drawing, write_files
from sim.errors import BadInput
from sim.results.commit import commit
from sim.results.whole_files import write_whole
from sim.scenario import Scenario, read

SHRUNK_FOR_S = 600.0  # wall time: a whole run takes its time for each key


def read_world(document: Table, folder: Path) -> Scenario | None:
    """The scenario of a document; None if it is refused, in a line for each mistake."""
    path = folder / "soak.yaml"
    path.write_text(json.dumps(document))
    logging.disable(logging.WARNING)  # advice, of which random worlds want much
    try:
        return read(path)
    except BadInput as error:
        if not error.args or any("\n" in line or not line for line in error.args):
            raise Broken(f"refused in {str(error)!r}") from None
        return None


def failure_of(attempt: Callable[[], object]) -> str | None:
    """What broke, in a line; None if nothing did."""
    try:
        attempt()
    except Broken as error:
        return str(error)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]} ({place.filename}:{place.lineno})"
        )
    return None


class Tally:
    """What was counted of one seed, and what failed; kept in a file, if one is named.

    Raises SystemExit if that file is of another seed.
    """

    def __init__(self, seed: int, kept: Path | None) -> None:
        self.counts, self.failures, self.next = Counter[str](), list[Table](), 0
        self._seed, self._kept = seed, kept
        if kept is not None and kept.exists():
            told = json.loads(kept.read_text())
            if told["seed"] != seed:
                sys.exit(f"{kept} is of seed {told['seed']}")
            self.counts, self.failures, self.next = Counter(told["counts"]), told["failures"], told["next"]

    def add(self, number: int, counts: Counter[str]) -> None:
        """What a world came to; whoever is killed before this plays it again."""
        self.counts.update(counts)
        self.next = number + 1
        if self._kept is not None:
            told = {"seed": self._seed, "next": self.next, "commit": commit(), "counts": self.counts}
            write_whole(self._kept, json.dumps(told | {"failures": self.failures}, indent=1).encode())


def tried(document: Table, draw: np.random.Generator, home: Path, is_whole: bool) -> Counter[str]:
    """What was tried of a world. Raises Broken where a promise does not hold."""
    scenario = read_world(document, home)
    if scenario is None:
        return Counter(["refused"])
    counts = Counter({"played": 1, "held against the oracle": try_in_memory(scenario, draw)})
    if is_whole:
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder))
            counts.update(["whole", *try_whole(document, Path(folder), draw)])
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="wall time")
    parser.add_argument("--worlds", type=int, help="so many, however long that takes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--world", type=int, help="this one alone")
    parser.add_argument(
        "--whole", type=int, default=200, help="every N-th world is a whole run, too; 0: none"
    )
    parser.add_argument("--kept", type=Path, help="counts after each world; the next call goes on there")
    chosen = parser.parse_args()
    until = time.monotonic() + 60 * chosen.minutes
    tally = Tally(chosen.seed, chosen.kept and chosen.kept.absolute())
    numbers = range(tally.next, chosen.worlds or sys.maxsize)
    with tempfile.TemporaryDirectory() as home, chdir(home):
        write_files(Path(home))
        for number in numbers if chosen.world is None else [chosen.world]:
            if chosen.world is None and chosen.worlds is None and time.monotonic() > until:
                break
            document = Drawing(chosen.seed, number).scenario()
            is_whole = chosen.world is not None or bool(chosen.whole and number % chosen.whole == 0)
            counts = Counter(["worlds"])

            def attempt(asked: Table, number: int = number, is_whole: bool = is_whole) -> Counter[str]:
                draw = np.random.default_rng([chosen.seed, number, 1])
                return tried(asked, draw, Path(home), is_whole)

            def fails(asked: Table, attempt: Callable[[Table], Counter[str]] = attempt) -> str | None:
                return failure_of(lambda: attempt(asked))

            why = failure_of(lambda: counts.update(attempt(document)))  # noqa: B023  (called at once)
            if why is not None:
                print(f"world {number} of seed {chosen.seed}, commit {commit()}: {why}", flush=True)
                small = shrunk(
                    document, lambda asked, kind=why[:25]: (fails(asked) or "")[:25] == kind, SHRUNK_FOR_S
                )
                print(f"  {json.dumps(small)}", flush=True)
                tally.failures.append({"world": number, "why": why, "scenario": small})
            tally.add(number, counts)
    print(json.dumps({"seed": chosen.seed, **tally.counts, "broken": len(tally.failures)}))
    sys.exit(1 if tally.failures else 0)


if __name__ == "__main__":
    main()
