"""The grids of docs/fidelity.md: loads, faults and retries, simulated and played for real, five times each.

python -m benchmarks.fidelity                  half an hour: docs/tables/fidelity_*.parquet, and the tables
python -m benchmarks.fidelity --grid computed  one of them: real models, a quarter of an hour
python -m benchmarks.fidelity --table          the tables again, from the committed rows
python -m benchmarks.fidelity --grid slept --longer 0.001 0.004
                                               what such seconds more a batch do to the simulations alone

Runs that lie in the folder are not made again, so a grid that broke off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.figures.fidelity import fidelity_figure
from analysis.figures.style import to_png
from analysis.reports.fidelity import numbers_of
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of
from benchmarks.fidelity_grids import GRIDS, SLEPT, Cell, Grid
from commands.fidelity import measured, play, play_live, with_measured
from commands.interrupts import CtrlC
from commands.progress import Quiet
from live.calibration import Calibrated
from sim.scenario import Scenario, read

ROOT = Path(__file__).resolve().parents[1]
TABLES, PAGE = ROOT / "docs/tables", ROOT / "docs/fidelity.md"
FIGURE = ROOT / "docs/figures/fidelity_outage.png"
SHOWN_CELL: Cell = (0.8, "total", "with allowance")  # of the slept grid, in the page's figure
LAG = "lag p95, s"
SIMULATED = ("as written", "calibrated")
SHOWN = {
    "p50 of answers by the server, s": "p50",
    "p95 of answers by the server, s": "p95",
    "goodput: served in time, share": "goodput",
    "backlog: mean waiting": "backlog",
    "recovery of the service after outage 1, s": "recovery",
}
UNITS = {"goodput": "", "recovery": " s"}  # of the others percent of the real mean
SCALES = {"goodput": 100.0, "recovery": 1.0}
GOALS = {
    "p50 of answers by the server, s": (2.0, "p50 within 2% in"),
    "p95 of answers by the server, s": (5.0, "p95 within 5% in"),
    "goodput: served in time, share": (1.0, "goodput within a point in"),
    "backlog: mean waiting": (5.0, "the backlog within 5% in"),
    "recovery of the service after outage 1, s": (1.0, "recovery within a second in"),
}


def rows_of(grid: Grid) -> Path:
    """The committed rows."""
    return TABLES / f"fidelity_{grid.name}.parquet"


def played(grid: str, cell: Cell, source: str, out: Path) -> dict[str, float | None]:
    """The numbers of one run of a cell. source: one of `SIMULATED`, or a real run."""
    asked, folder = GRIDS[grid], out / f"{cell[0]}-{cell[1]}-{cell[2]}-{source}".replace(" ", "_")
    if not (folder / "summary.json").exists():
        found = _calibrated(out)
        plan = _plan(asked.scenario(cell, found), out)
        if source in SIMULATED:
            plan = with_measured(plan, found) if source == "calibrated" else plan
            play(plan, folder, Quiet(), CtrlC())
        else:
            play_live(plan, asked.served, folder, Quiet(), CtrlC())
    return numbers(folder)


def numbers(folder: Path) -> dict[str, float | None]:
    """What is compared of a run; of a real one also how late its events were, in wall seconds."""
    found = numbers_of(json.loads((folder / "summary.json").read_text()))
    live = folder / "live.json"
    return found | ({LAG: json.loads(live.read_text())["lag_s"]["p95"]} if live.exists() else {})


def _plan(scenario: dict[str, Any], out: Path) -> Scenario:
    path = out / f"{os.getpid()}.json"  # JSON is YAML
    path.write_text(json.dumps(scenario))
    return read(path)


def _calibrated(out: Path) -> Calibrated:
    return Calibrated(**json.loads((out / "calibrated.json").read_text()))


def play_grid(grid: Grid, repeats: int, out: Path) -> pd.DataFrame:
    """A row for each cell, source and number; the real runs first, while nothing else disturbs them."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "calibrated.json").exists():
        first = next(grid.cells())
        found = measured(_plan(grid.scenario(first, None), out), grid.served)
        (out / "calibrated.json").write_text(json.dumps(found._asdict()))
    rows: list[dict[str, Any]] = []
    real = [f"real {number}" for number in range(1, repeats + 1)]
    with ProcessPoolExecutor(min(grid.at_once, repeats), mp_context=get_context("spawn")) as workers:
        for sources in (real, SIMULATED):
            for cell in grid.cells():
                jobs = [(one, workers.submit(played, grid.name, cell, one, out)) for one in sources]
                for source, job in jobs:
                    names = dict(zip(("load", "fault", "retry"), cell, strict=True))
                    rows += [
                        names | {"source": source, "number": number, "value": value}
                        for number, value in job.result().items()
                    ]
                print(cell, sources[0], flush=True)
    return pd.DataFrame(rows)


def about(grid: Grid, out: Path) -> dict[str, str]:
    """Where the rows come from, kept in the file."""
    packages = ("numpy", "simpy", "torch")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "server": f"{grid.served.server}, service {grid.served.service}, speed {grid.served.speed:g}",
        "load of the machine": " ".join(f"{one:.1f}" for one in os.getloadavg()),
        "calibrated": json.dumps(_calibrated(out)._asdict()),
    }


def table(rows: pd.DataFrame) -> str:
    """Of each cell the difference of the calibrated simulation from the mean of the real runs, and behind it
    half the span of the real ones; of goodput in points, of recovery in seconds, of the others in percent.
    Last the largest lag of its real runs."""
    lines = [
        "| load | fault | retry | " + " | ".join(SHOWN.values()) + " | lag p95 |",
        "| --- | --- | --- |" + " --- |" * (len(SHOWN) + 1),
    ]
    for cell, of_cell in rows.groupby(["load", "fault", "retry"], sort=False):
        words = [_difference(of_cell[of_cell["number"] == number], number) for number in SHOWN]
        lag = of_cell.loc[of_cell["number"] == LAG, "value"].max()
        lines.append("| " + " | ".join([*map(str, cell), *words, f"{lag * 1e3:.0f} ms"]) + " |")
    return "\n".join(lines) + "\n"


def _difference(of_number: pd.DataFrame, number: str) -> str:
    found, unit = _apart(of_number, number), UNITS.get(SHOWN[number], "%")
    return "-" if found is None else f"{found[0]:+.1f}{unit} ±{found[1]:.1f}"


def _apart(of_number: pd.DataFrame, number: str) -> tuple[float, float] | None:
    """The difference and half the span, in the number's unit; None where a run has no such number."""
    values = of_number.set_index("source")["value"]
    if values.empty or values.isna().any():
        return None
    real = values[values.index.str.startswith("real")]
    by = SCALES[SHOWN[number]] if SHOWN[number] in SCALES else 100.0 / max(abs(real.mean()), 1e-9)
    return (values["calibrated"] - real.mean()) * by, (real.max() - real.min()) / 2 * by


def goals(rows: pd.DataFrame) -> str:
    """Of how many cells each number lies as near as was aimed at, or among the real runs, in words."""
    told = []
    for number, (most, words) in GOALS.items():
        found = [
            _apart(of_cell[of_cell["number"] == number], number)
            for _, of_cell in rows.groupby(["load", "fault", "retry"], sort=False)
        ]
        known = [one for one in found if one is not None]
        near = sum(abs(difference) <= most for difference, _ in known)
        among = sum(most < abs(difference) <= span for difference, span in known)
        told.append(f"{words} {near} of {len(known)}{f' (+{among})' if among else ''}")
    return f"As near as aimed at, +: farther, but within half of what real runs span: {'; '.join(told)}.\n"


def picture(out: Path, repeats: int) -> None:
    """The page's figure, from the runs of a cell."""
    begin, sources = "-".join(map(str, SHOWN_CELL)), [f"real {number}" for number in range(1, repeats + 1)]
    calibrated, *real = (
        traffic_of(load_run(out / f"{begin}-{source}".replace(" ", "_")))
        for source in (SIMULATED[1], *sources)
    )
    FIGURE.write_bytes(to_png(fidelity_figure({SIMULATED[1]: calibrated}, real), dpi=150))


def longer(grid: Grid, seconds: list[float], out: Path) -> None:
    """Prints the numbers of the calibrated simulations if every batch took so much longer than measured."""
    out.mkdir(parents=True, exist_ok=True)
    found = Calibrated(**json.loads(pq.read_schema(rows_of(grid)).metadata[b"calibrated"]))
    for cell in grid.cells():
        for more in (0.0, *seconds):
            measured_so = found._replace(base_s=found.base_s + more)
            play(
                with_measured(_plan(grid.scenario(cell, found), out), measured_so),
                out / "longer",
                Quiet(),
                CtrlC(),
            )
            told = numbers(out / "longer")
            print(
                *cell, f"+{more:g} s:", {short: told.get(name) for name, short in SHOWN.items()}, flush=True
            )


def main() -> None:
    """Plays the grids, or reads them; the tables go into the page and to stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("--table", action="store_true")
    asked.add_argument("--grid", choices=tuple(GRIDS), action="append")
    asked.add_argument("--longer", type=float, nargs="+", metavar="S")
    asked.add_argument("--repeats", type=int, default=5)
    asked.add_argument("--out", type=Path, default=Path("runs/fidelity"))
    given = asked.parse_args()
    for grid in (GRIDS[name] for name in given.grid or GRIDS):
        if given.longer:
            longer(grid, given.longer, given.out / grid.name)
            continue
        if not given.table:
            out = given.out / grid.name
            whole = pa.Table.from_pandas(play_grid(grid, given.repeats, out), preserve_index=False)
            pq.write_table(whole.replace_schema_metadata(about(grid, out)), rows_of(grid), compression="zstd")
            if grid is SLEPT:
                picture(out, given.repeats)
        rows, mark = pd.read_parquet(rows_of(grid)), f"<!-- {grid.name} -->"
        found = f"{table(rows)}\n{goals(rows)}"
        before, _, after = PAGE.read_text().split(mark)
        PAGE.write_text(f"{before}{mark}\n\n{found}\n{mark}{after}")
        print(found, end="")


if __name__ == "__main__":
    main()
