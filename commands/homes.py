"""The command that gives each client a home among its options, under uncertainty.
Part of the command line; `assigning` makes the plans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.interrupts import ending_at_once
from commands.options import Changes, ScenarioName, Seed

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def homes(
    scenario: ScenarioName,
    by: Annotated[str, typer.Option("--by", metavar="WAY", help="program, learned or nearest.")] = "program",
    cases: Annotated[
        int, typer.Option(min=1, max=1_000, metavar="N", help="Cases that are reckoned with.")
    ] = 8,
    second: Annotated[
        float, typer.Option(min=0.0, metavar="COST", help="Of a second of waiting, in units of the loss.")
    ] = 1.0,
    changes: Changes = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The scenario (default: runs/NAME-homes.yaml).")
    ] = None,
) -> None:
    """Assigns each client to one of its options, knowing that servers may be down.

    By a two-stage stochastic program, by a regression learned from its plans under other seeds, or by
    nearness. Says what each would cost, and what it would be worth to know the case. Writes the scenario with
    `choose: home` and the homes.
    """
    with ending_at_once():
        from commands.assigning import Assigning
        from commands.checking import load
        from sim.results.whole_files import require_writable_file, write_whole

    plan = load(scenario, changes or [], seed)
    out = out or Path("runs") / f"{plan.name}-homes.yaml"
    require_writable_file(out, "--out")  # before the search
    found = Assigning(plan, second, cases).assigned(by)
    write_whole(out, found.scenario.encode())
    for name, cost in found.costs.items():
        print(f"{name:8} {cost:.4f} a request")
    worth = found.worth
    print(
        f"known before {worth.known:.4f} <= program {worth.program:.4f} <= average case {worth.average:.4f}: "
        f"to know is worth {worth.of_information:.4f}, the program {worth.of_program:.4f}"
    )
    for group, counted in found.homes.items():
        print(f"{group}: " + ", ".join(f"{name} {count}" for name, count in counted.items()))
    print(f"scenario: {out}")
