"""The commands that make many runs of one question: sweep and study; and what `capacity` shares with them.
Part of the command line; `main` adds them to its own. Runs are cells of one store (`run_cache`)."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from commands.options import (
    STORE,
    ActorsEach,
    Changes,
    Jobs,
    Quietly,
    RayAddress,
    ScenarioName,
    Seed,
    Store,
)
from commands.progress import Reporter, each_warning_once, reporter_for
from commands.run_cache import Cell, How, cells_of, compute_all
from sim.errors import BadInput
from sim.scenario import question_of
from sim.scenario.library import locate
from sim.scenario.schema.policy_study import ReadStudy, read_study
from sim.scenario.text.grid import Variant, axes_of, combinations, variants
from sim.scenario.text.wording import show as shown

PATIENCE_S = 5.0  # wall time
INTERRUPTED = 130  # the exit code that the command line calls so

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def sweep(
    scenario: ScenarioName,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=V1,V2,...", help="Values of a path, or PATH=LO:HI:STEP. May be repeated."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Seeds for each combination, counted up.")
    ] = 1,
    changes: Changes = None,
    seed: Seed = None,
    show: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC", help="Show accuracy, latency.p95, ... May be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For table and page (default: runs/NAME-sweep).")
    ] = None,
    store: Store = STORE,
    jobs: Jobs = None,
    workers: ActorsEach = 0,
    ray_address: RayAddress = None,
    quiet: Quietly = False,
) -> None:
    """Runs a scenario once per combination of values and seed.

    Leaves one table and a page, with intervals over the seeds. What is in the store already is not run again.
    """
    from analysis.reports.cell_table import require_metric  # noqa: PLC0415
    from analysis.reports.many_runs_report import (  # noqa: PLC0415
        files_of,
        sweep_result,
        sweep_table,
        write_result,
    )
    from analysis.reports.page import require_own  # noqa: PLC0415

    how = how_of(jobs, workers, ray_address)
    axes = axes_of(vary or [])
    for metric in show or []:
        require_metric(metric)
    with reporting(quiet) as progress:
        combined = variants(scenario, changes or [], seed, list(combinations(axes)), seeds)
        plans = [variant.scenario for variant in combined]
        name, question = plans[0].name, question_of(locate(scenario))
        out = out or Path("runs") / f"{name}-sweep"
        require_own(out, files_of("sweep"), "a sweep")
        validate_all(combined, progress)
        cells = cells_of(plans, question, store)
        if len({cell.folder for cell in cells}) < len(cells):
            raise BadInput("--vary: two combinations come to the same scenario: their paths overlap")
        failed = all_of(cells, how, progress)
    finished = [(variant, cell) for variant, cell in zip(combined, cells, strict=True) if cell.is_done]
    if finished:
        result = sweep_result(
            name,
            question,
            command_line(
                "sweep",
                scenario,
                vary=vary,
                seeds=seeds,
                set=changes,
                seed=seed,
                show=show,
                out=out,
                run_cache=store,
            ),
            table_of([(variant.chosen, cell) for variant, cell in finished]),
            [axis.path for axis in axes],
            show or [],
        )
        write_result(result, out)
        Console().print(sweep_table(result, show or []), crop=False)
        print(f"sweep: {out / 'sweep.html'}")
    report_failures(combined, cells, failed)


@app.command()
def study(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A YAML file, or the name of a shipped study.")
    ],
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For table and page (default: runs/NAME-study).")
    ] = None,
    store: Store = STORE,
    jobs: Jobs = None,
    workers: ActorsEach = 0,
    ray_address: RayAddress = None,
    quiet: Quietly = False,
) -> None:
    """Compares policies on one scenario and common traffic.

    Runs each under each seed; reports paired differences from the baseline, with intervals over the seeds.
    """
    from analysis.reports.many_runs_report import files_of, write_result  # noqa: PLC0415
    from analysis.reports.page import require_own  # noqa: PLC0415
    from analysis.reports.policy_study import POLICY, study_result, study_table  # noqa: PLC0415

    how = how_of(jobs, workers, ray_address)
    with reporting(quiet) as progress:
        wanted = read_study(study, changes or [])
        out = out or Path("runs") / f"{wanted.name}-study"
        require_own(out, files_of("study"), "a study")
        combined = variants_of(wanted)
        validate_all(combined, progress)
        cells = cells_of([variant.scenario for variant in combined], wanted.question, store)
        failed = all_of(cells, how, progress)
    report_failures(combined, cells, failed)
    result = study_result(
        wanted.name,
        wanted.question,
        command_line("study", study, set=changes, out=out, run_cache=store),
        table_of(
            [
                ({POLICY: variant.chosen["policy"]}, cell)
                for variant, cell in zip(combined, cells, strict=True)
            ]
        ),
        wanted.baseline,
        cells[0].plan.name,
    )
    write_result(result, out)
    Console().print(study_table(result), crop=False)
    print(f"study: {out / 'study.html'}")


def check_study(source: str, changes: Sequence[str], seed: int | None) -> None:
    """What `check` says of a study; raises BadInput where a policy or their traffic is not in order."""
    if seed is not None:
        raise BadInput("--seed: a study holds its seeds itself: --set seed=N changes the first")
    with reporting(quiet=True) as progress:
        wanted = read_study(source, changes)
        validate_all(variants_of(wanted), progress)
    seeds = len(next(iter(wanted.policies.values())))
    print(
        f"{wanted.name}: fine ({len(wanted.policies)} policies, {seeds} seeds; baseline {wanted.baseline}; "
        "the same traffic for all)"
    )


def variants_of(wanted: ReadStudy) -> list[Variant]:
    return [
        Variant({"policy": name}, scenario)
        for name, scenarios in wanted.policies.items()
        for scenario in scenarios
    ]


def how_of(jobs: int | None, workers: int, ray_address: str | None) -> How:
    if workers and (jobs or 1) > 1:
        raise BadInput("--workers: goes with --jobs 1 alone; else each run has one process")
    if ray_address and (jobs or 0) < 2 and not workers:
        raise BadInput("--ray-address: goes with --jobs of 2 or more, or with --workers")
    return How(1 if workers else jobs or os.cpu_count() or 1, workers, ray_address)


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """Within it progress is reported, and each warning once."""
    progress = reporter_for(quiet)
    try:
        with each_warning_once():
            yield progress
    finally:
        progress.close()


def validate_all(combined: Sequence[Any], progress: Reporter) -> None:
    """Asks the learners whether they can do every cell. Raises BadInput for the first that they cannot."""
    from agents.checks import validate  # noqa: PLC0415  (torch takes seconds to load; bad YAML should not)

    began = time.monotonic()
    for number, variant in enumerate(combined):
        if time.monotonic() - began > PATIENCE_S:  # a refusal stands alone unless it takes long to find
            progress.report("check", number, len(combined))
        try:
            validate(variant.scenario)
        except BadInput as error:
            where = ", ".join(f"{path}={shown(value)}" for path, value in variant.chosen.items())
            raise BadInput(f"{error} (where {where})" if where else str(error)) from None


def all_of(cells: Sequence[Cell], how: How, progress: Reporter, what: str = "cells") -> Mapping[Path, str]:
    """Computes what is missing; Ctrl-C ends with exit code 130, and what is finished stays."""
    try:
        return compute_all(cells, how, progress, what)
    except KeyboardInterrupt:
        progress.close()
        done = sum(cell.is_done for cell in cells)
        print(
            f"{done} of {len(cells)} cells are finished; the same command goes on from there", file=sys.stderr
        )
        raise typer.Exit(INTERRUPTED) from None


def table_of(finished: Sequence[tuple[Mapping[str, Any], Cell]]) -> Any:
    from analysis.reports.cell_table import Made, cell_table  # noqa: PLC0415  (pandas is slow to load)

    return cell_table([Made(chosen, cell.plan.seed, cell.folder) for chosen, cell in finished])


def report_failures(combined: Sequence[Any], cells: Sequence[Cell], failed: Mapping[Path, str]) -> None:
    """A line for each cell that failed, and exit code 1 if one did."""
    for variant, cell in zip(combined, cells, strict=True):
        if cell.folder in failed:
            chosen = variant.chosen | {"seed": cell.plan.seed}
            named = " ".join(
                f"{path}={value if isinstance(value, str) else shown(value)}"
                for path, value in chosen.items()
            )
            print(f"cell {named}: {failed[cell.folder]}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(cells)} cells failed; the others are finished", file=sys.stderr)
        raise typer.Exit(1)


def command_line(command: str, source: str, **options: Any) -> str:
    """What to type to get the same again."""
    from analysis.reports.formatting import program  # noqa: PLC0415  (matplotlib is slow to load)

    words = [*program(), command, source]
    for name, given in options.items():
        values = given if isinstance(given, list) else [given]
        words += [
            word
            for value in values
            if value is not None
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]
    return shlex.join(words)
