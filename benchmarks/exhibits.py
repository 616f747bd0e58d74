"""The figures and tables of the docs, made anew and held against those that are committed.

A table differs where a number is off by more than 2% and by more than a hundredth; a picture where more than
2% of its dots differ clearly: enough for last bits that the torch of another machine rounds otherwise, and no
more. `python -m benchmarks.exhibits [--write]`, or `make paper`; with --write what differs is put in place.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from analysis.figures import FIGURES
from analysis.figures.style import to_png
from analysis.reports.paper_table import paper_table
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
RELATIVE, ABSOLUTE = 0.02, 0.01  # a number must be beyond both to differ
DOTS, CLEARLY = 0.02, 48  # the share of dots that may be off by more than so many of 255 grey values


class Exhibit(NamedTuple):
    """A file below docs/ and what makes its content anew, of the folder of its command's results."""

    file: str
    of: str
    make: Callable[[Path], bytes]


def timeline(folder: Path) -> bytes:
    return to_png(FIGURES["timeline"].draw(traffic_of(load_run(folder))), dpi=160)


def table(name: str) -> Callable[[Path], bytes]:
    return lambda folder: paper_table(folder, name, "csv").encode()


COMMANDS = {
    "outage": ("run", "outage", "--local", "--quiet"),
    "smoke_policies": ("study", "smoke_policies", "--jobs", "1", "--quiet"),
}
EXHIBITS = (
    Exhibit("figures/outage_timeline.png", "outage", timeline),
    Exhibit("tables/outage_windows.csv", "outage", table("windows")),
    Exhibit("tables/outage_answers.csv", "outage", table("answers")),
    Exhibit("tables/smoke_policies.csv", "smoke_policies", table("policies")),
    Exhibit("tables/smoke_policies_differences.csv", "smoke_policies", table("differences")),
)


def differences(committed: bytes, made: bytes, kind: str) -> list[str]:
    """Where the two differ by more than the tolerance, in words; `kind`: the ending of the file's name."""
    return _of_pictures(committed, made) if kind == ".png" else _of_tables(committed, made)


def _of_tables(committed: bytes, made: bytes) -> list[str]:
    old, new = (pd.read_csv(io.BytesIO(content), index_col=0) for content in (committed, made))
    if list(old.columns) != list(new.columns) or list(old.index) != list(new.index):
        return ["has other rows or columns"]
    found = []
    for column in old.columns:
        before, now = (frame[column].to_numpy(dtype=float) for frame in (old, new))
        apart = np.abs(now - before)
        far = (apart > RELATIVE * np.abs(before)) & (apart > ABSOLUTE) | (np.isnan(before) != np.isnan(now))
        found += [
            f"{old.index[row]}, {column}: {before[row]:g}, now {now[row]:g}" for row in np.flatnonzero(far)
        ]
    return found


def _of_pictures(committed: bytes, made: bytes) -> list[str]:
    old, new = (
        np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=int) for content in (committed, made)
    )
    if old.shape != new.shape:
        return [f"is {new.shape[1]}x{new.shape[0]} dots, was {old.shape[1]}x{old.shape[0]}"]
    share = float((np.abs(new - old) > CLEARLY).mean())
    return [f"{share:.1%} of its dots differ"] if share > DOTS else []


def main() -> int:
    """Makes every exhibit; gives 1 if one differs from what is committed, or is not there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put in place what differs")
    is_writing, wrong = parser.parse_args().write, 0
    with tempfile.TemporaryDirectory() as place:
        for name, words in COMMANDS.items():
            command = [sys.executable, "run_sim.py", *words, "--out", f"{place}/{name}"]
            command += ["--run-cache", f"{place}/cells"] * (words[0] == "study")
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for exhibit in EXHIBITS:
            made, file = exhibit.make(Path(place) / exhibit.of), DOCS / exhibit.file
            found = differences(file.read_bytes(), made, file.suffix) if file.exists() else ["is not there"]
            wrong += bool(found)
            print(f"docs/{exhibit.file}: {'; '.join(found) or 'as committed'}")
            if found and is_writing:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(made)
    return int(bool(wrong) and not is_writing)


if __name__ == "__main__":
    sys.exit(main())
