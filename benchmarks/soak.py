"""Random scenarios for as long as asked: every promise of a run, tried on each; a failure replays by number.

Each world is drawn over the whole vocabulary (`benchmarks.soak_worlds`). What is refused must be refused in
one line. Every other one is played with made-up tables of answers: by SimPy's clock, by the compiled one, in
windows of another length, and kept and restored between two windows by way of the bytes of a checkpoint; each
must leave the same bytes, and the laws of the run must hold. Every `--whole`-th world is a whole run by the
command line as well, learners and all: killed at a random instant, then stopped by files that may not grow,
and gone on with; the folder must be that of an undisturbed run, hold finite numbers and no leftovers, and no
process may stay; a damaged table must be told in one line. A failure is printed with its seed, the commit
and the scenario, without the keys that it does not need.

`python -m benchmarks.soak --minutes 3 --seed 1` or, to see one again, `--seed 1 --world 123`. The last line
is one JSON object; the exit code is 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from worlds import MadeUpLearner, made_up

from benchmarks.soak_worlds import Drawing, Table, shrunk, write_files
from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.errors import BadInput
from sim.results.commit import commit
from sim.results.packing import pack, unpack
from sim.scenario import Scenario, read
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows, Windows
from sim.world.world import World

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 120.0  # wall time of one command


class Broken(Exception):
    """A promise that does not hold, in a line."""


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


def played(
    scenario: Scenario, path: str, windows: Windows | None = None, broken_off: int | None = None
) -> list[Any]:
    """What a run in memory gives: requests, attempts, seconds; broken_off: after which window it is kept, and
    goes on in another `Run`."""
    learned = made_up(scenario)

    def begun() -> Run:
        world = World(scenario)
        learner = MadeUpLearner(scenario, learned) if scenario.training.online else None
        return Run(world, learned, ScenarioArrivals(world), learner, EnginePath(path, ""), windows)

    run, parts = begun(), []
    while not run.is_over:
        if broken_off == run.chunks:
            kept = unpack(pack(run.kept()))
            run = begun()
            run.restore(kept)
            broken_off = None
        parts.append(run.advance())
    run.finish()
    if not parts:
        return []
    tables = [
        pa.concat_tables([getattr(part, name) for part in parts])
        .combine_chunks()
        .unify_dictionaries()
        .sort_by([("request_id", "ascending")] + ([("attempt", "ascending")] if name == "attempts" else []))
        for name in ("requests", "attempts")
    ]
    seconds = {name: np.concatenate([part.seconds[name] for part in parts]) for name in parts[0].seconds}
    return [*tables, seconds]


def require_same(one: list[Any], other: list[Any], what: str) -> None:
    for name, first, second in zip(("requests", "attempts", "timeline"), one, other, strict=True):
        if isinstance(first, dict):
            differ = [key for key in first if first[key].tobytes() != second[key].tobytes()]
        else:
            pairs = (
                (column, first[column].to_pylist(), second[column].to_pylist())
                for column in first.column_names
            )
            differ = [column for column, left, right in pairs if repr(left) != repr(right)]
        if differ:
            raise Broken(f"{what}: {name} differs in {', '.join(differ)}")


def try_in_memory(scenario: Scenario, draw: np.random.Generator) -> None:
    """All promises of a run that need no learners."""
    simpy = played(scenario, "simpy")
    require_same(simpy, played(scenario, "compiled"), "the compiled clock")
    length_s = float(draw.choice([1.0, 7.0, 60.0]))
    windows = EvenWindows(length_s)
    path = str(draw.choice(["simpy", "compiled"]))
    require_same(simpy, played(scenario, path, windows), f"windows of {length_s:g} s")
    after = int(draw.integers(0, max(1, math.ceil(scenario.horizon_s / length_s))))
    require_same(
        simpy, played(scenario, path, windows, after), f"kept after {after} windows of {length_s:g} s"
    )
    outcomes = simpy[0]["outcome"].to_pylist() if simpy else []
    if None in outcomes:
        raise Broken("a request without an outcome")


def command(folder: Path, *words: str, at_most_bytes: int | None = None) -> subprocess.Popen[str]:
    def limited() -> None:
        if at_most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (at_most_bytes, at_most_bytes))

    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_sim.py"), *words],
        cwd=folder,
        env=os.environ | {"L2H_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limited,  # noqa: PLW1509  (no thread is about)
    )


def ended(process: subprocess.Popen[str], *codes: int) -> int:
    """Its exit code, one of these; what it says must be lines without a traceback."""
    said = process.communicate(timeout=LIMIT_S)[1]
    if process.returncode not in codes or "Traceback" in said:
        raise Broken(f"exit code {process.returncode}: {' | '.join(said.splitlines()[-3:])}")
    return process.returncode


def results(folder: Path) -> dict[str, bytes]:
    """Every file that wall time does not enter."""
    hidden = [path.name for path in folder.rglob(".*")]
    if hidden:
        raise Broken(f"left behind: {', '.join(hidden)}")
    apart = {"timing.json", "report.html"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in apart
    }


def require_finite(value: Any, path: str = "") -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            require_finite(part, f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            require_finite(part, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Broken(f"summary{path} is {value}")


def try_whole(document: Table, folder: Path, draw: np.random.Generator) -> None:
    """Promises of the command line: a run that is disturbed and gone on with is the undisturbed one."""
    (folder / "soak.yaml").write_text(json.dumps(document))
    words = ("run", "soak.yaml", "--quiet", "--local", "--checkpoint-every", "0")
    began = time.monotonic()
    if ended(command(folder, *words, "--out", "whole"), 0, 2) == 2:
        return  # the learners refuse it, in one line
    took_s, whole = time.monotonic() - began, results(folder / "whole")
    require_finite(json.loads(whole["summary.json"]))
    process = command(folder, *words, "--out", "cut", "--resume")
    family = psutil.Process(process.pid)
    try:
        process.communicate(timeout=float(draw.uniform(0.2, 1.0)) * took_s)
    except subprocess.TimeoutExpired:
        children = family.children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        _, alive = psutil.wait_procs(children, timeout=20)
        if alive:
            raise Broken(f"stays alive: {', '.join(one.name() for one in alive)}") from None
    limit = int(10 ** draw.uniform(3, 6))
    ended(command(folder, *words, "--out", "cut", "--resume", at_most_bytes=limit), 0, 1, 2)
    ended(command(folder, *words, "--out", "cut", "--resume"), 0, 2)
    if results(folder / "cut") != whole:
        raise Broken("a run that was killed and gone on with is another one")
    tables = sorted((folder / "cut").rglob("*.parquet"))
    damaged = tables[int(draw.integers(len(tables)))]
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(draw.integers(len(content)))])
    ended(command(folder, "report", "cut"), 2)


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
                try_in_memory(scenario, draw)
                if chosen.world is not None or (chosen.whole and number % chosen.whole == 0):
                    counts["whole"] += 1
                    with tempfile.TemporaryDirectory() as folder:
                        write_files(Path(folder))
                        try_whole(asked, Path(folder), draw)

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
