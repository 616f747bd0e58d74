"""The commands that make many runs of one question: sweep and study.
Part of the command line; `main` adds them to its own. What they and `capacity` share stands in `cells`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.interrupts import ending_at_once
from commands.options import (
    STORE,
    ActorsEach,
    Changes,
    Jobs,
    Png,
    Quietly,
    RayAddress,
    ScenarioName,
    Seed,
    Show,
    Store,
)
from commands.terminal import Terminal
from sim.errors import BadInput

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
    show: Show = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For table and page (default: runs/NAME-sweep).")
    ] = None,
    store: Store = STORE,
    jobs: Jobs = None,
    workers: ActorsEach = 0,
    ray_address: RayAddress = None,
    png: Png = False,
    quiet: Quietly = False,
) -> None:
    """Runs a scenario once per combination of values and seed.

    Leaves one table and a page, with intervals over the seeds. What is in the store already is not run again.
    """
    with ending_at_once():
        from analysis.metrics.naming import all_named
        from analysis.reports.many_runs_report import files_of, sweep_result, sweep_table, write_result
        from analysis.reports.page import require_own
        from commands.cells import all_of, command_line, how_of, report_failures, table_of
        from commands.checking import validate_all
        from commands.progress import reporting
        from commands.run_cache import cells_of
        from sim.scenario import question_of
        from sim.scenario.library import locate
        from sim.scenario.text.grid import axes_of, combinations, variants

    how = how_of(jobs, workers, ray_address)
    axes = axes_of(vary or [])
    shown = all_named(show or [])
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
                show=shown,
                out=out,
                run_cache=store,
            ),
            table_of([(variant.chosen, cell) for variant, cell in finished]),
            [axis.path for axis in axes],
            shown,
        )
        write_result(result, out, png)
        Terminal().print(sweep_table(result, shown), crop=False)
        print(f"sweep: {out / 'sweep.html'}")
    report_failures(combined, cells, failed)


@app.command()
def study(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A YAML file, or the name of a shipped study.")
    ],
    changes: Changes = None,
    show: Show = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For table and page (default: runs/NAME-study).")
    ] = None,
    store: Store = STORE,
    jobs: Jobs = None,
    workers: ActorsEach = 0,
    ray_address: RayAddress = None,
    png: Png = False,
    quiet: Quietly = False,
) -> None:
    """Compares policies on one scenario and common traffic.

    Runs each under each seed; tells which is best and which cannot be told from it, by paired differences
    with intervals over the seeds.
    """
    with ending_at_once():
        from analysis.metrics.naming import all_named
        from analysis.reports.many_runs_report import files_of, write_result
        from analysis.reports.page import require_own
        from analysis.reports.policy_study import POLICY, study_result, study_table
        from commands.cells import all_of, command_line, how_of, report_failures, table_of
        from commands.checking import validate_all, variants_of
        from commands.progress import reporting
        from commands.run_cache import cells_of
        from sim.scenario.schema.policy_study import read_study

    how = how_of(jobs, workers, ray_address)
    shown = all_named(show or [])
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
        command_line("study", study, set=changes, show=shown, out=out, run_cache=store),
        table_of(
            [
                ({POLICY: variant.chosen["policy"]}, cell)
                for variant, cell in zip(combined, cells, strict=True)
            ]
        ),
        wanted.baseline,
        cells[0].plan.name,
        shown,
    )
    write_result(result, out, png)
    Terminal().print(study_table(result), crop=False)
    print(f"study: {out / 'study.html'}")
