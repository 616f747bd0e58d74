"""What the commands that make many runs share: how they run, what becomes of it, how to do it again.
Between those commands and the store of runs (`run_cache`)."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from commands.interrupts import EXIT_CODE
from commands.progress import Reporter
from commands.run_cache import Cell, How, compute_all
from sim.another_process import cores
from sim.errors import BadInput
from sim.scenario.text.wording import show as shown


def how_of(jobs: int | None, workers: int, ray_address: str | None) -> How:
    if workers and (jobs or 1) > 1:
        raise BadInput("--workers: goes with --jobs 1 alone; else each run has one process")
    if ray_address and (jobs or 0) < 2 and not workers:
        raise BadInput("--ray-address: goes with --jobs of 2 or more, or with --workers")
    return How(1 if workers else jobs or cores(), workers, ray_address)


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
        raise typer.Exit(EXIT_CODE) from None


def table_of(finished: Sequence[tuple[Mapping[str, Any], Cell]]) -> Any:
    from analysis.reports.cell_table import Made, cell_table  # pandas is slow to load

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
        rest = "the others are finished" if len(failed) < len(cells) else "none is finished"
        print(f"{len(failed)} of {len(cells)} cells failed; {rest}", file=sys.stderr)
        raise typer.Exit(1)


def command_line(command: str, source: str, **options: Any) -> str:
    """What to type to get the same again."""
    from analysis.reports.formatting import program  # matplotlib is slow to load

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
