"""Regret of the policies of a study that learn when to send: its picture, and numbers at the outages.
Part of the page of a study, `analysis.reports.policy_study`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.policies_in_time import Panel, policies_in_time
from analysis.figures.style import Floats
from analysis.metrics.regret import regret_of
from analysis.reports.formatting import number
from analysis.reports.many_runs_report import Picture, Sheet
from analysis.run_folder.outages import Outage, find_outages
from analysis.run_folder.run import Run, open_run
from analysis.time_in_words import span

INSTANTS = 241  # of a curve
MOST_NAMED = 3  # outages whose begin and end stand in the table
Curves = dict[str, Floats]
Regrets = tuple[Floats, Curves, tuple[Outage, ...]]


def learns_from_answers(run: Run) -> bool:
    """Whether the price of some group learns from answers; those alone say what a failure teaches them."""
    return any("on_failure" in group["policy"]["price"] for group in run.groups.values())


def regret_in_time(table: pd.DataFrame) -> Regrets | None:
    """Instants (n,), regret so far of each policy (seeds, n), and outages; None where no policy learns.

    table: a row per run, with `policy` and the folder as `run`. Outages are those of the first run, as all of
    a study share them under one seed.
    """
    folders = {name: [Path(one) for one in part["run"]] for name, part in table.groupby("policy", sort=False)}
    first = [open_run(runs[0]) for runs in folders.values()]
    if not any(map(learns_from_answers, first)):
        return None
    at_s = np.linspace(0.0, first[0].horizon_s, INSTANTS)
    curves = {
        str(name): np.stack([_curve(folder, at_s) for folder in runs]) for name, runs in folders.items()
    }
    return at_s, curves, find_outages(first[0])


def _curve(folder: Path, at_s: Floats) -> Floats:
    found = regret_of(open_run(folder))
    return so_far(found["arrived_at_s"].to_numpy(), found["regret"].to_numpy(), at_s)


def so_far(arrived_at_s: Floats, regrets: Floats, at_s: Floats) -> Floats:
    """The sum of the regrets of all requests that arrived by each instant, float64 (instants,)."""
    found: Floats = np.concatenate([[0.0], np.cumsum(regrets)])[np.searchsorted(arrived_at_s, at_s, "right")]
    return found


def marks(at_s: Floats, outages: tuple[Outage, ...]) -> list[float]:
    """The instants that are told in numbers: begin and end of the first outages, and the end of the run."""
    told = [end for one in outages[:MOST_NAMED] for end in (one.from_s, one.to_s)]
    return sorted({*told, float(at_s[-1])})


def regret_numbers(at_s: Floats, curves: Curves, outages: tuple[Outage, ...]) -> list[dict[str, Any]]:
    """A row per policy: mean regret over the seeds by each mark."""
    told = {f"by {span(at, float(at_s[-1]))}": at for at in marks(at_s, outages)}
    return [
        {"policy": name} | {by: float(np.interp(at, at_s, rows.mean(axis=0))) for by, at in told.items()}
        for name, rows in curves.items()
    ]


def regret_sheet(rows: list[dict[str, Any]]) -> Sheet:
    """The same as a table."""
    columns = tuple(rows[0])
    shown = [(str(row["policy"]), *(number(row[name], 0) for name in columns[1:])) for row in rows]
    return Sheet("Regret so far (loss), mean over the seeds", columns, shown)


def regret_picture(at_s: Floats, curves: Curves, outages: tuple[Outage, ...]) -> Picture:
    ends = "; ".join(f"{name} {rows.mean(axis=0)[-1]:.0f}" for name, rows in curves.items())
    return Picture(
        "regret",
        "Regret through outages",
        partial(policies_in_time, [Panel("regret so far (loss)", at_s, curves)], outages, float(at_s[-1])),
        f"Regret so far over virtual time, a line per policy, with outages shaded; in the end: {ends}.",
        "What each policy paid more than an oracle: the one threshold that was best in hindsight while the "
        "server could answer, and nothing sent while it could not. A line that levels off has learned; its "
        "slope in an outage is what it sends in vain, and the step after it what it has to learn again. "
        "Bands reach from the least to the largest of the seeds.",
    )
