"""The stages of a run from outside: how long each takes, what is reported of it, and what becomes of its
errors. Part of the command line, between `one_run` and the packages that do the work."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any, NamedTuple

from analysis.time_in_words import between
from commands.progress import Reporter
from sim.engine.choice import EnginePath, chosen, is_compiled, is_half_compiled, is_worth_compiling_beside
from sim.engine.compiling.beside import compiled_beside
from sim.errors import RunFailed, Stage
from sim.results.checkpoints import Cost
from sim.results.whole_files import OF_WRITING, in_words, write_whole
from sim.scenario import Scenario
from sim.simulation import Simulated

KIB_IN_MIB = 2**10  # Linux tells a process's memory in KiB
BESIDE = "the event loop, in another process while the fleet learns"
WAITING = "waiting for the event loop, which another process compiles"
COMPILING = "the event loop, once per machine"


class Spent(NamedTuple):
    """What each stage took, by name: wall seconds, and the most memory that this process had by its end."""

    seconds: dict[str, float]
    peak_mib: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """For `timing.json`."""
        return {"stages_s": dict(self.seconds), "peak_mib": dict(self.peak_mib)}


@contextmanager
def stage(name: Stage, spent: Spent, folder: Path) -> Iterator[None]:
    """Measures a stage's wall time and memory; whatever breaks in it fails the run with the stage's name."""
    began = time.perf_counter()
    try:
        yield
    except RunFailed:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.errno in OF_WRITING:
            why = in_words(error)
        with suppress(OSError):  # the disk may be what is broken
            write_whole(folder / "failure.txt", traceback.format_exc().encode())
            why += f" (details: {folder / 'failure.txt'})"
        raise RunFailed(name, why) from error
    spent.seconds[name] = time.perf_counter() - began
    spent.peak_mib[name] = round(getrusage(RUSAGE_SELF).ru_maxrss / KIB_IN_MIB, 1)


def path_of(plan: Scenario, progress: Reporter, is_beside: bool = False) -> EnginePath:
    """What plays the event loop; where that must be compiled first, or waited for, it is told.

    is_beside: whether it was told that another process compiles it.
    """
    path = chosen(plan)
    if is_beside and is_compiled():
        progress.report("compile", 1.0, 1.0, BESIDE)
    path.tell = lambda done, elsewhere: progress.report(
        "compile", done, 1.0, WAITING if elsewhere else COMPILING
    )
    return path


@contextmanager
def beside(plans: Iterable[Scenario], progress: Reporter) -> Iterator[bool]:
    """Within it the event loop is compiled in another process, if one of these will want it and nobody has.

    Gives whether that is so.
    """
    if not any(map(is_worth_compiling_beside, plans)):
        yield False
        return
    progress.report("compile", 0.0, 1.0, BESIDE)
    with compiled_beside(is_to_finish=is_half_compiled):
        yield True


def virtual_time(progress: Reporter, horizon_s: float) -> Callable[[float, int], None]:
    """A listener of the simulation that tells virtual time and the rate of requests."""
    first: list[
        tuple[float, int]
    ] = []  # a run may go on from some virtual time, so the rate counts from here

    def report(at_s: float, requests: int) -> None:
        now = time.perf_counter()
        if not first:
            first.append((now, requests))
        rate = (requests - first[0][1]) / max(now - first[0][0], 1e-9)
        pace = f", {rate:,.0f} requests/s" if rate else ""
        progress.report("run", at_s, horizon_s, f"{between(at_s, horizon_s, ' of ')}{pace}")

    return report


def timing_of(done: Simulated, spent: Spent, cost: Cost) -> dict[str, Any]:
    """What took how long: of the whole run the loop, of what this process did of it all else."""
    timing: dict[str, Any] = {"requests": done.requests, "loop_s": done.loop_s, "path": done.path}
    timing |= spent.as_json()
    if done.loop_s > 0:  # a horizon of 0 has no loop
        timing["requests_per_s"] = done.requests / done.loop_s
    share = cost.seconds / sum(spent.seconds.values())
    checkpoints = {
        "written": cost.written,
        "wall_s": cost.seconds,
        "share": share,
        "last_bytes": cost.last_bytes,
    }
    return timing | {"checkpoints": checkpoints}
