"""One run from Python: the same stages, folder and errors as the command `run`."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from analysis.run_folder.run import Run, load_run
from commands import one_run
from commands.progress import Quiet, Reporter, reporter_for
from commands.run_cache import How, cells_of, compute_all
from l2h_fleet.scenario import Scenario
from sim.errors import BadInput, RunFailed
from sim.results.run_folder import require_free

STORE = Path("runs/cache")


def run(
    scenario: str | PathLike[str] | Mapping[str, Any] | Scenario,
    changes: Mapping[str, Any] | None = None,
    *,
    out: str | PathLike[str] | None = None,
    workers: int = 0,
    force: bool = False,
    resume: bool = False,
    progress: bool | Reporter = False,
    store: str | PathLike[str] = STORE,
    models: Mapping[str, Any] | None = None,
) -> Run:
    """Runs a scenario: learns, simulates, sums up.

    changes: values by path, as for `Scenario.set`. out: the run folder, with figures and report; None: a cell
    of the store, whose name holds all that decides its bytes, so the same question is not run twice; without
    pictures. workers: Ray actors for the learners, 0: this process alone, the same bytes. force: replaces the
    run that `out` holds; resume: goes on with one that broke off there, by Ctrl-C for instance. progress:
    True: bars or lines on stderr. models: objects of your own in place of models that would be trained, by
    name, `server` or `fleet.GROUP` (docs/own_models.md); with `out`.

    Raises BadInput before anything is written, RunFailed where a stage breaks; both say it in one line.
    """
    asked = Scenario(scenario).set(changes or {})
    plan, question = asked.document, asked.question
    reporter = reporter_of(progress)
    try:
        if out is None:
            if models:
                raise BadInput(
                    "out: a run with models of Python needs a run folder; no cell of the store holds it"
                )
            if force or resume:
                raise BadInput(
                    "out: force and resume go with a run folder; a cell of the store wants neither"
                )
            (cell,) = cells_of([plan], question, Path(store))
            for why in compute_all([cell], How(workers=workers), reporter, "runs").values():
                raise RunFailed("run", why)
            return load_run(cell.folder)
        folder = Path(out)
        if not resume:
            require_free(folder, force)
        one_run.execute(plan, question, folder, force, workers, None, reporter, resume, models=models)
        return load_run(folder)
    finally:
        reporter.close()


def reporter_of(progress: bool | Reporter) -> Reporter:
    """What reports: nothing, what fits the terminal, or one's own."""
    if isinstance(progress, bool):
        return reporter_for(quiet=False) if progress else Quiet()
    return progress
