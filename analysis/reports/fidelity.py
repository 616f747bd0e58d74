"""A simulated run beside real ones of the same scenario: the numbers, and the spread of the real ones.
Reads finished run folders; `commands.fidelity` makes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from analysis.figures.fidelity import fidelity_figure
from analysis.figures.style import to_svg
from analysis.metrics.summary import to_json
from analysis.reports.page import as_source, render
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of
from sim.results.whole_files import write_whole

OUTCOMES = ("remote", "refused", "timed_out", "in_flight")


def numbers_of(summary: dict[str, Any]) -> dict[str, float | None]:
    """What is compared, by name: seconds, shares, requests."""
    latency = summary["latency_s"]["by_outcome"]["remote"]
    found = {f"{name} of answers by the server, s": latency[name] for name in ("p50", "p95", "p99")}
    found["goodput: served in time, share"] = summary["goodput"]["served_in_time_share"]
    found |= {f"{name}, share": summary["counts"]["outcome_share"][name] for name in OUTCOMES}
    found["attempts per sent request"] = summary["retries"]["amplification"]
    found["backlog: most waiting"] = summary["queue"]["max"]
    found["backlog: mean waiting"] = summary["queue"]["mean"]
    for number, outage in enumerate(summary["outages"]["each"], start=1):
        found[f"recovery after outage {number}, s"] = outage["recovery_s"]
    return found


def compared(simulated: dict[str, Any], real: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each number: simulated, the mean of the real runs, their least and most, the difference, and
    whether the simulated one lies within what the real ones span. None: it has no value in some run."""
    rows = []
    told = [numbers_of(one) for one in real]
    for name, value in numbers_of(simulated).items():
        seen = [one.get(name) for one in told]
        row: dict[str, Any] = {"number": name, "simulated": value, "runs": len(seen)}
        if value is None or any(one is None for one in seen):
            row |= dict.fromkeys(("real", "least", "most", "difference", "relative", "is_within"))
        else:
            real_mean, least, most = float(np.mean(seen)), min(seen), max(seen)  # type: ignore[type-var, arg-type]
            row |= {"real": real_mean, "least": least, "most": most, "difference": value - real_mean}
            row["relative"] = (value - real_mean) / real_mean if real_mean else None
            row["is_within"] = bool(least <= value <= most)  # type: ignore[operator]
        rows.append(row)
    return rows


def write_fidelity(
    simulated: dict[str, Path], real: Sequence[Path], out: Path, told: dict[str, Any]
) -> dict[str, Any]:
    """Writes fidelity.json and fidelity.html into `out`, and gives what the former holds.

    simulated: by name, such as "as written" and "calibrated". told: what was measured beforehand, named.
    """
    summaries = {name: _summary(folder) for name, folder in simulated.items()}
    lives = [_summary(folder) for folder in real]
    tables = {name: compared(summary, lives) for name, summary in summaries.items()}
    fidelity = {
        "tables": tables,
        "measured": told,
        "live": [json.loads((folder / "live.json").read_text()) for folder in real],
    }
    traffics = {name: traffic_of(load_run(folder)) for name, folder in simulated.items()}
    figure = fidelity_figure(traffics, [traffic_of(load_run(folder)) for folder in real])
    page = render(
        "fidelity.html.j2",
        title=lives[0]["run"]["name"],
        tables={name: [shown(row) for row in rows] for name, rows in tables.items()},
        runs=len(real),
        measured=[(name, f"{value:.6g}") for name, value in told.items() if isinstance(value, float)],
        picture=as_source(to_svg(figure)),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "fidelity.json", to_json(fidelity))
    write_whole(out / "fidelity.html", page.encode())
    return fidelity


def fidelity_table(fidelity: dict[str, Any]) -> Table:
    """The same for the terminal."""
    table = Table(box=None, header_style="bold")
    for heading in ("", *HEADINGS):
        table.add_column(heading, justify="left" if heading in ("", HEADINGS[0]) else "right")
    for name, rows in fidelity["tables"].items():
        for row in rows:
            table.add_row(name, *shown(row))
    return table


HEADINGS = ("number", "simulated", "real", "least", "most", "difference", "within")


def shown(row: dict[str, Any]) -> tuple[str, ...]:
    """A row in words."""
    if row["real"] is None:
        simulated = "-" if row["simulated"] is None else f"{row['simulated']:.4g}"
        return row["number"], simulated, *["-"] * 5
    relative = "" if row["relative"] is None else f" ({row['relative']:+.1%})"
    numbers = (f"{row[name]:.4g}" for name in ("simulated", "real", "least", "most"))
    difference = f"{row['difference']:+.3g}{relative}"
    return row["number"], *numbers, difference, "yes" if row["is_within"] else "no"


def _summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found
