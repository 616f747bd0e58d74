"""The grid of docs/fidelity.md: loads, faults and retries, simulated and played for real, five times each.

python -m benchmarks.fidelity          half an hour: docs/tables/fidelity.parquet, and the table
python -m benchmarks.fidelity --table  the table again, from the committed rows

Service is slept, so that the machine is not what limits it; the real runs of a cell are played side by side.
Runs that lie in the folder are not made again, so a grid that broke off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.reports.fidelity import numbers_of
from commands.fidelity import measured, play, play_live, with_measured
from commands.interrupts import CtrlC
from commands.progress import Quiet
from live.calibration import Calibrated
from live.playing import Served
from sim.scenario import Scenario, read

ROOT = Path(__file__).resolve().parents[1]
ROWS, PAGE = ROOT / "docs/tables/fidelity.parquet", ROOT / "docs/fidelity.md"
BASE_S, PER_ITEM_S, MAX_BATCH, REPLICAS, CLIENTS = 0.1, 0.04, 4, 2, 40
FULL_HZ = REPLICAS * MAX_BATCH / (BASE_S + PER_ITEM_S * MAX_BATCH)
SPEED = 2.0
LOADS = (0.5, 0.8, 0.95, 1.2)
PERIOD = (10, 30)
WHEN = {"kind": "intervals", "at": [PERIOD]}
FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "one replica": [{"when": WHEN, "target": {"kind": "replicas", "count": 1}}],
    "total": [{"when": WHEN}],
}
PATIENT = {"attempts": 3, "backoff_s": 0.2, "factor": 2.0, "jitter": "full"}
RETRIES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "with allowance": PATIENT | {"allowance": 0.2},
    "without": PATIENT,
}
SIMULATED = ("as written", "calibrated")
SHOWN = {
    "p50 of answers by the server, s": "p50",
    "p95 of answers by the server, s": "p95",
    "goodput: served in time, share": "goodput",
    "backlog: mean waiting": "backlog",
    "recovery after outage 1, s": "recovery",
}


def scenario(load: float, fault: str, retry: str) -> dict[str, Any]:
    """A cell of the grid: everything is sent, so the load is what arrives."""
    group = {
        "group": "devices",
        "clients": CLIENTS,
        "model": {"family": "linear", "train_samples": 100, "epochs": 5},
        "arrivals": {"process": {"kind": "poisson", "rate_hz": load * FULL_HZ / CLIENTS}},
        "device": {"inference_s": 0.02},
        "link": {"latency": 0.02},
        "policy": {"score": "random", "price": {"kind": "always_remote"}},
        "deadline_s": 6.0,
        "timeout_s": 2.0,
        "retry": RETRIES[retry],
    }
    server = {
        "replicas": REPLICAS,
        "max_batch": MAX_BATCH,
        "batch_wait_s": 0.02,
        "queue_limit": 64,
        "service": {"kind": "affine", "base_s": BASE_S, "per_item_s": PER_ITEM_S},
        "outages": FAULTS[fault],
    }
    training = {"pretrain": {"epochs": 1}}
    return {
        "name": "fidelity",
        "seed": 3,
        "horizon_s": 60,
        "warm_up_s": 4,
        "costs": {"c_e": 0.1, "c_1": 1.0},
        "fleet": [group],
        "server": server,
        "training": training,
    }


def cells() -> Iterator[tuple[float, str, str]]:
    """(load, fault, retry) of each cell."""
    return product(LOADS, FAULTS, RETRIES)


def played(cell: tuple[float, str, str], source: str, out: Path, server: str) -> dict[str, float | None]:
    """The numbers of one run of a cell. source: one of `SIMULATED`, or a real run."""

    plan, folder = _plan(cell, out), out / f"{cell[0]}-{cell[1]}-{cell[2]}-{source}".replace(" ", "_")
    if (folder / "summary.json").exists():
        pass
    elif source in SIMULATED:
        if source == "calibrated":
            plan = with_measured(plan, _calibrated(out))
        play(plan, folder, Quiet(), CtrlC())
    else:
        play_live(plan, Served(server, speed=SPEED), folder, Quiet(), CtrlC())
    return numbers_of(json.loads((folder / "summary.json").read_text()))


def _plan(cell: tuple[float, str, str], out: Path) -> Scenario:

    path = out / f"{os.getpid()}.json"  # JSON is YAML
    path.write_text(json.dumps(scenario(*cell)))
    return read(path)


def _calibrated(out: Path) -> Calibrated:

    return Calibrated(**json.loads((out / "calibrated.json").read_text()))


def play_grid(repeats: int, out: Path, server: str) -> pd.DataFrame:
    """A row for each cell, source and number; the real runs first, while nothing else disturbs them."""

    out.mkdir(parents=True, exist_ok=True)
    if not (out / "calibrated.json").exists():
        found = measured(_plan((LOADS[0], "none", "none"), out), Served(server, speed=SPEED))
        (out / "calibrated.json").write_text(json.dumps(found._asdict()))
    rows: list[dict[str, Any]] = []
    real = [f"real {number}" for number in range(1, repeats + 1)]
    with ProcessPoolExecutor(repeats, mp_context=get_context("spawn")) as workers:
        for sources in (real, SIMULATED):
            for cell in cells():
                jobs = [(one, workers.submit(played, cell, one, out, server)) for one in sources]
                for source, job in jobs:
                    names = dict(zip(("load", "fault", "retry"), cell, strict=True))
                    rows += [
                        names | {"source": source, "number": number, "value": value}
                        for number, value in job.result().items()
                    ]
                print(cell, sources[0], flush=True)
    return pd.DataFrame(rows)


def about(server: str, out: Path) -> dict[str, str]:
    """Where the rows come from, kept in the file."""
    packages = ("numpy", "simpy", "ray")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "server": server,
        "speed": str(SPEED),
        "load of the machine": " ".join(f"{one:.1f}" for one in os.getloadavg()),
        "calibrated": json.dumps(_calibrated(out)._asdict()),
    }


def table(rows: pd.DataFrame) -> str:
    """Of each cell the difference of the calibrated simulation from the mean of the real runs, and behind it
    half the span of the real ones; of goodput in points, of the others in percent."""
    lines = [
        "| load | fault | retry | " + " | ".join(SHOWN.values()) + " |",
        "| --- | --- | --- |" + " --- |" * len(SHOWN),
    ]
    for cell, of_cell in rows.groupby(["load", "fault", "retry"], sort=False):
        words = [_difference(of_cell[of_cell["number"] == number], number) for number in SHOWN]
        lines.append("| " + " | ".join([*map(str, cell), *words]) + " |")
    return "\n".join(lines) + "\n"


def _difference(of_number: pd.DataFrame, number: str) -> str:
    values = of_number.set_index("source")["value"]
    if values.empty or values.isna().any():
        return "-"
    real = values[values.index.str.startswith("real")]
    by = 100.0 if number.startswith("goodput") else 100.0 / max(abs(real.mean()), 1e-9)
    unit = "" if number.startswith("goodput") else "%"
    difference, half_span = (values["calibrated"] - real.mean()) * by, (real.max() - real.min()) / 2 * by
    return f"{difference:+.1f}{unit} ±{half_span:.1f}"


def main() -> None:
    """Plays the grid, or reads it; the table goes into the page and to stdout."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("--table", action="store_true")
    asked.add_argument("--repeats", type=int, default=5)
    asked.add_argument("--server", choices=("processes", "serve"), default="processes")
    asked.add_argument("--out", type=Path, default=Path("runs/fidelity"))
    given = asked.parse_args()
    if not given.table:
        rows = play_grid(given.repeats, given.out, given.server)
        whole = pa.Table.from_pandas(rows, preserve_index=False)
        pq.write_table(
            whole.replace_schema_metadata(about(given.server, given.out)), ROWS, compression="zstd"
        )
    found = table(pd.read_parquet(ROWS))
    text = PAGE.read_text()
    PAGE.write_text(re.sub(r"(?<=<!-- grid -->\n\n).*?(?=\n<!-- grid -->)", found, text, flags=re.DOTALL))
    print(found, end="")


if __name__ == "__main__":
    main()
