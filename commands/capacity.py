"""The command that sizes a server or a fleet: the fewest replicas, or the most clients, that meet an SLO.
Part of the command line; asks `analysis.statistics.capacity` what to run next, and runs it as cells of the
store (`search`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from commands.interrupts import ending_at_once
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
from sim.errors import BadInput

if TYPE_CHECKING:
    from analysis.statistics.capacity import Decision, SearchResult, Slo

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def capacity(
    scenario: ScenarioName,
    meet: Annotated[
        list[str],
        typer.Option(
            metavar="SLO",
            help="Over all seeds: latency.p95<=0.3, groups.NAME.affected.accuracy>=0.8; repeatable.",
        ),
    ],
    replicas: Annotated[str | None, typer.Option(metavar="LO:HI", help="Find the fewest replicas.")] = None,
    clients: Annotated[
        str | None, typer.Option(metavar="GROUP=LO:HI", help="Find the most clients of a group.")
    ] = None,
    confidence: Annotated[float, typer.Option(metavar="P", help="That the answer is right.")] = 0.95,
    seeds: Annotated[int, typer.Option(min=4, metavar="N", help="At most so many for one number.")] = 16,
    changes: Changes = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For the tables (default: runs/NAME-capacity).")
    ] = None,
    store: Store = STORE,
    jobs: Jobs = None,
    workers: ActorsEach = 0,
    ray_address: RayAddress = None,
    quiet: Quietly = False,
) -> None:
    """Finds the smallest server, or the largest fleet, for an SLO.

    By bisection over runs with several seeds each; the answer holds with a stated confidence. Give --replicas
    or --clients. What is in the store already is not run again. Of several SLOs each is searched for, and the
    answer is what meets all of them.
    """
    with ending_at_once():
        from analysis.reports.capacity_report import FILES, capacity_table, write_capacity
        from analysis.reports.cell_table import path_of, require_metric
        from analysis.reports.page import require_own
        from analysis.run_folder.latencies import level_of
        from analysis.statistics.capacity import (
            all_together,
            answer,
            decide,
            most_decisions,
            require_possible,
            search,
            slo_of,
        )
        from commands.cells import all_of, how_of
        from commands.checking import validate_all
        from commands.progress import reporting
        from commands.search import Runs, span_of

    how, span = how_of(jobs, workers, ray_address), span_of(replicas, clients)
    slos = [slo_of(written) for written in ([meet] if isinstance(meet, str) else meet)]
    for slo in slos:
        require_metric(slo.metric)
        require_possible(slo)
    if not 0.5 <= confidence < 1:
        raise BadInput(f"--confidence: {confidence:g} is not allowed: must be at least 0.5 and below 1")
    with reporting(quiet) as progress:
        runs = Runs(
            scenario,
            changes or [],
            seed,
            span,
            store,
            lambda *asked: all_of(asked[0], how, progress, asked[1]),
        )
        ends = [variant for number in (span.low, span.high) for variant in runs.variants(number, 1)]
        validate_all(ends, progress)
        out = out or Path("runs") / f"{ends[0].scenario.name}-capacity"
        require_own(out, FILES, "a search for capacity")

        chance = (1 - confidence) / most_decisions(span.low, span.high) / len(slos)

        def result_for(slo: Slo) -> SearchResult:
            def ask(number: int) -> Decision:
                return decide(
                    number,
                    lambda count: runs.evidence(number, count, slo),
                    slo,
                    chance,
                    seeds,
                    level_of(path_of(slo.metric)),
                    lambda count: runs.are_long_enough(number, count, slo),
                )

            return search(span.low, span.high, span.more_helps, ask, slo)

        results = [result_for(slo) for slo in slos]
    best = all_together([result.best for result in results], span.more_helps)
    said = [
        answer(result, slo, span.low, span.high, span.more_helps, span.what, confidence)
        + runs.too_short(result.decisions, slo)
        for slo, result in zip(slos, results, strict=True)
    ]
    if len(slos) > 1:
        which = "fewest" if span.more_helps else "most"
        said.append(
            f"{which} {span.what} that meet all of them: {best or 'none'} ({100 * confidence:g}% confidence)"
        )
    said[-1] += runs.reservation(best)
    write_capacity(results, slos, confidence, span.path, said, best, runs.table(), out)
    for slo, result in zip(slos, results, strict=True):
        Console().print(capacity_table(result, slo, span.what, runs.table()), crop=False)
    print("\n".join(said))
