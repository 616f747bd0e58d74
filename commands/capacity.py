"""The command that sizes a server or a fleet: the fewest replicas, or the most clients, that meet an SLO.
Part of the command line; asks `analysis.statistics.capacity` what to run next, and runs it as cells of the
store (`search`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from commands.terminal import Terminal

if TYPE_CHECKING:
    pass

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
        from analysis.reports.page import require_own
        from commands.cells import all_of, how_of
        from commands.checking import validate_all
        from commands.progress import reporting
        from commands.search import Runs, searched, slos_of, span_of

    how, span = how_of(jobs, workers, ray_address), span_of(replicas, clients)
    slos = slos_of([meet] if isinstance(meet, str) else meet, confidence)
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
        found = searched(runs, slos, confidence, seeds)
    write_capacity(found.results, slos, confidence, span.path, found.said, found.best, found.table, out)
    for slo, result in zip(slos, found.results, strict=True):
        Terminal().print(capacity_table(result, slo, span.what, found.table), crop=False)
    print("\n".join(found.said))
