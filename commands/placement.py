"""The command that says which server should have which models, by simulating what each placement serves.
Part of the command line; `analysis.statistics.placement` says what to look at next, `placing` plays it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.interrupts import ending_at_once
from commands.options import Changes, Quietly, ScenarioName, Seed
from commands.terminal import Terminal

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def placement(
    scenario: ScenarioName,
    beam: Annotated[
        int, typer.Option(min=1, metavar="N", help="Placements that are followed at a time.")
    ] = 3,
    exhaustive: Annotated[
        bool,
        typer.Option("--exhaustive", help="Look at all that fit, too, and say how far the search is off."),
    ] = False,
    changes: Changes = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For the results (default: runs/NAME-placement).")
    ] = None,
    quiet: Quietly = False,
) -> None:
    """Finds which servers should have which models, by simulation.

    What counts are answers of servers that reach their clients in time. Every model may go to every server
    whose `memory_bytes` it fits; a group gets an option for each server that has a model of its own options.
    Writes placed.yaml, the scenario so placed, and placement.csv, a row per placement that was looked at.
    """
    with ending_at_once():
        from analysis.reports.page import require_own
        from analysis.reports.placement_report import FILES, placement_table, write_placement
        from commands.checking import load
        from commands.placing import Placing, searched
        from commands.progress import reporting
        from sim.errors import BadInput
        from sim.scenario import read

    plan = load(scenario, changes or [], seed)
    placing = Placing(plan)
    out = out or Path("runs") / f"{plan.name}-placement"
    require_own(out, FILES, "a search for a placement")
    with reporting(quiet) as progress:
        found = searched(placing, beam, exhaustive, progress)
    write_placement(found, out)
    try:
        read(out / "placed.yaml")
    except BadInput:
        (out / "placed.yaml").unlink()
        raise
    Terminal().print(placement_table(found), crop=False)
    print(found.answer)
    print(f"scenario: {out / 'placed.yaml'}")
