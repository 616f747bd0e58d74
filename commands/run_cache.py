"""The run cache: runs of a sweep, a study or a search, kept in one store under what decides their results.
Between the commands of `many_runs` and `one_run`; what is in the store is not run again."""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from commands import one_run
from commands.entry import COLLECTIONS
from commands.job_progress import JobProgress
from commands.plugins.loading import preparation
from commands.progress import Quiet, Reporter
from commands.sources import sources, sources_now
from commands.stages import beside
from sim.errors import BadInput, RunFailed
from sim.results.cache_folder import CACHE_VARIABLE, cache_root
from sim.results.packages import versions
from sim.results.resuming import NO_LOCKS, clear, is_broken_off
from sim.results.run_folder import CHECKPOINT, FINISHED
from sim.results.whole_files import in_words, require_writable
from sim.scenario import Scenario
from sim.scenario.text.content import content_digest

LOCK = ".lock"
CHANGED = "the project's code has changed since this began; the same command begins with what it is now"


class Cell(NamedTuple):
    """A run that is wanted, and the folder where it is or will be; sources: the code that its name tells."""

    plan: Scenario
    question: str
    folder: Path
    sources: str

    @property
    def is_done(self) -> bool:
        return (self.folder / FINISHED).is_file()


class How(NamedTuple):
    """How cells are computed: `jobs` at a time as Ray tasks, or one after another, each on `workers` actors.

    With 1 job, or 1 cell to compute, nothing touches Ray unless there are workers or an address.
    """

    jobs: int = 1
    workers: int = 0
    ray_address: str | None = None


def cells_of(plans: Sequence[Scenario], question: str, store: Path) -> list[Cell]:
    """The cells of these scenarios: folders `NAME-DIGEST` of the store, in their order.

    The digest is over the resolved scenario, the content of the files it names, the versions of the packages
    and the project's own code, so a folder holds what would come out today.
    """
    own = sources()
    beside = versions() | {"sources": own}
    return [
        Cell(plan, question, store.absolute() / f"{plan.name}-{content_digest(plan, beside)}", own)
        for plan in plans
    ]


def compute_all(cells: Sequence[Cell], how: How, progress: Reporter, what: str = "cells") -> dict[Path, str]:
    """Computes the cells that are missing; gives why, by folder, for each that failed.

    Progress is reported under the name `what`. A cell that fails does not stop the others, and
    what is finished stays, whatever happens to the rest. Raises BadInput if something is missing and the
    store cannot be written.
    """
    wanted = {cell.folder: cell for cell in cells}
    missing = [cell for cell in wanted.values() if not cell.is_done]
    for store in {cell.folder.parent for cell in missing}:
        require_writable(store, "--run-cache")
        cache_root()
    for cell in wanted.values():
        if cell.is_done and (cell.folder / CHECKPOINT).exists():
            with _alone(cell.folder):
                clear(cell.folder)
    jobs, failed = min(how.jobs, len(missing)), dict[Path, str]()
    job_progress = JobProgress(progress, what, len(wanted), len(missing), jobs)
    with beside((cell.plan for cell in missing), progress):  # over all of them: one may be over too soon
        for number, why in _computed(missing, how, jobs, job_progress):
            if why is not None:
                failed[missing[number].folder] = why
            job_progress.ended(number, why is not None)
    return failed


def _computed(
    missing: list[Cell], how: How, jobs: int, job_progress: JobProgress
) -> Iterator[tuple[int, str | None]]:
    """The number of each missing cell as it ends, with what went wrong."""
    if how.workers or not missing or (jobs == 1 and how.ray_address is None):
        for number, cell in enumerate(missing):
            yield number, compute(cell, how.workers, how.ray_address, job_progress)
        return
    from agents.backends.before_ray import before_ray

    before_ray(how.ray_address)
    from agents.backends.cluster import run_tasks  # Ray only where asked for

    environment, prepare = {CACHE_VARIABLE: str(cache_root())}, preparation()
    calls = [
        (plan.model_dump_json(), question, folder, own, environment, prepare)
        for plan, question, folder, own in missing
    ]
    for number, result in run_tasks(compute_elsewhere, calls, jobs, how.ray_address, job_progress.say):
        yield number, _one_line(result) if isinstance(result, Exception) else result


def compute(
    cell: Cell,
    workers: int = 0,
    ray_address: str | None = None,
    progress: Reporter | None = None,
    is_one_of_many: bool = False,
) -> str | None:
    """Runs a cell as the command `run` would, but draws no figures; gives why if that fails."""
    if (
        workers and sources_now() != cell.sources
    ):  # which their processes would load, beside what this one has
        return CHANGED
    try:
        with _alone(cell.folder):
            if not cell.is_done:
                going_on = is_broken_off(cell.folder)
                one_run.execute(
                    cell.plan,
                    cell.question,
                    cell.folder,
                    force=not going_on,
                    resume=going_on,
                    workers=workers,
                    ray_address=ray_address,
                    progress=progress or Quiet(),
                    pictures=False,
                    is_one_of_many=is_one_of_many,
                )
    except (BadInput, RunFailed) as error:
        return str(error)
    except Exception as error:
        return _one_line(error)
    return None


def compute_elsewhere(
    plan: str,
    question: str,
    folder: Path,
    own: str,
    environment: dict[str, str],
    prepare: Callable[[], None] | None,
) -> str | None:
    """`compute` in the process of a Ray task, which begins in another folder and loads the code anew.

    plan: as JSON, since the kinds that it names may be known only once the process is prepared.
    """
    os.environ.update(environment)
    gc.set_threshold(*COLLECTIONS)  # Ray's process holds more that is gone through in vain
    if prepare is not None:
        prepare()
    cell = Cell(Scenario.model_validate_json(plan), question, folder, own)
    return compute(cell, is_one_of_many=True) if sources() == own else CHANGED


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Whoever else computes this cell waits, or is waited for; a killed process does not hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.parent / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # One file for the whole store: a cell's lock is the byte whose number is its digest.
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX, 1, int(folder.name.rpartition("-")[2], 16) % 2**62)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)


def _one_line(error: Exception) -> str:
    """As a failed stage tells it, whose name nobody knows here."""
    said = in_words(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return " ".join(f"failed: {said}".split())[:500]
