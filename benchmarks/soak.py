"""Random scenarios for as long as asked: every promise of a run, tried on each; a failure replays by number.

Each world is drawn over the whole vocabulary (`benchmarks.soak_worlds`). What is refused must be refused in
one line. Every other one is played with made-up tables of answers (`benchmarks.soak_played`): by SimPy's
clock, by the compiled one, in windows of another length, and kept and restored between two windows by way of
the bytes of a checkpoint; each must leave the same bytes, the laws of the run must hold, no request may be in
flight that nothing will end, and half of them are held against the oracle. Every `--whole`-th world is a
whole run by the command line as well (`benchmarks.soak_whole`), learners and all: stopped at a random instant
by a random signal, then by files that may not grow, and gone on with, now and then with one or two workers.
The folder must be that of an undisturbed run in one process, hold finite numbers and no leftovers, and no
process may stay; a damaged file must be told in one line, or cost nothing. A failure is printed with its
seed, the commit and the scenario, without the keys that it does not need.

`python -m benchmarks.soak --minutes 3 --seed 1` or, to see one again, `--seed 1 --world 123`. The last line
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
from sim.scenario import Scenario, read


def read_world(document: Table, folder: Path) -> Scenario | None:
    """The scenario of a document; None if it is refused, in one line."""
    path = folder / "soak.yaml"
    path.write_text(json.dumps(document))
    logging.disable(logging.WARNING)  # advice, of which random worlds want much
    try:
        return read(path)
    except BadInput as error:
        if "\n" in str(error) or not str(error):
            raise Broken(f"refused in {str(error)!r}") from None
        return None


def failure_of(attempt: Callable[[], None]) -> str | None:
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
    chosen = parser.parse_args()
    until, counts, failures = time.monotonic() + 60 * chosen.minutes, Counter[str](), list[Table]()
    numbers = [chosen.world] if chosen.world is not None else range(chosen.worlds or sys.maxsize)
    with tempfile.TemporaryDirectory() as home, chdir(home):
        write_files(Path(home))
        for number in numbers:
            if chosen.world is None and chosen.worlds is None and time.monotonic() > until:
                break
            document = Drawing(chosen.seed, number).scenario()

            def attempt(asked: Table, number: int = number) -> None:
                draw = np.random.default_rng([chosen.seed, number, 1])
                scenario = read_world(asked, Path(home))
                if scenario is None:
                    counts["refused"] += 1
                    return
                counts["played"] += 1
                counts["held against the oracle"] += try_in_memory(scenario, draw)
                if chosen.world is not None or (chosen.whole and number % chosen.whole == 0):
                    counts["whole"] += 1
                    with tempfile.TemporaryDirectory() as folder:
                        write_files(Path(folder))
                        counts.update(try_whole(asked, Path(folder), draw))

            def fails(asked: Table, attempt: Callable[[Table], None] = attempt) -> str | None:
                return failure_of(lambda: attempt(asked))

            counts["worlds"] += 1
            why = fails(document)
            if why is not None:
                small = shrunk(document, lambda asked, kind=why[:25]: (fails(asked) or "")[:25] == kind)
                failures.append({"world": number, "why": why, "scenario": small})
                print(
                    f"world {number} of seed {chosen.seed}, commit {commit()}: {why}\n  {json.dumps(small)}",
                    flush=True,
                )
    print(json.dumps({"seed": chosen.seed, **counts, "broken": len(failures)}))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
