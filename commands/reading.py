"""The commands that read finished runs: compare and report.
Part of the command line; `main` adds them to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from commands.interrupts import ending_at_once
from commands.options import Png, RunFolder

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def report(run_folder: RunFolder, png: Png = False) -> None:
    """Makes the report of a finished run anew.

    That is summary.json, the figures, the trace and report.html, from the tables in its folder.
    """
    with ending_at_once():
        from analysis import write_report

    print(f"report: {write_report(run_folder, png)}")


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders, two or more, the baseline first.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="For compare.html and compare.json.")] = Path(
        "runs/comparison"
    ),
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Compare runs of different traffic too.")
    ] = False,
    over_seeds: Annotated[
        bool,
        typer.Option("--over-seeds", help="Runs of one scenario are replications: intervals over seeds."),
    ] = False,
    png: Png = False,
) -> None:
    """Tells how runs differ from the first one, with intervals.

    Runs of the same traffic are paired by request.
    """
    with ending_at_once():
        from analysis import comparison_table, write_comparison

    Console().print(comparison_table(write_comparison(runs, out, unpaired, over_seeds, png)))
    print(f"comparison: {out / 'compare.html'}")
