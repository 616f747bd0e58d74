"""The short benchmarks in one table of ratios to their peers, held against the one that is committed.

Ratios are of one run on one machine, so they tell of the code; one that fell by more than a fifth is told,
and the exit code is then 1. `python -m benchmarks.short [--write]`, or `make bench`: some minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "docs/tables/ratios.json"
MOST_LOST = 0.2


class Ratio(NamedTuple):
    """What is compared with what, more is better; and where the benchmark's last line has it."""

    what: str
    path: tuple[str, ...]


MM4 = ("mm4", "times_as_fast_as")
BENCHMARKS: dict[tuple[str, ...], tuple[Ratio, ...]] = {
    ("benchmarks.start",): (
        Ratio("--help, as often as `import torch`", ("times_as_fast", "help")),
        Ratio("check smoke, as often as `import torch`", ("times_as_fast", "check smoke")),
        Ratio("pictures of a run, against matplotlib's own way, with PNG", ("times_as_fast", "pictures")),
    ),
    ("benchmarks.event_loop", "--requests", "50000", "--rounds", "3", "--only", "mm4"): (
        Ratio("M/M/4 in memory, SimPy's clock against plain SimPy", (*MM4, "ours", "plain_simpy")),
        Ratio("M/M/4 in memory, compiled against plain SimPy", (*MM4, "compiled", "plain_simpy")),
        Ratio("M/M/4, compiled clock alone against plain SimPy", (*MM4, "compiled_loop", "plain_simpy")),
        Ratio("M/M/4, compiled clock alone against Ciw", (*MM4, "compiled_loop", "ciw_network")),
    ),
    ("benchmarks.reading", "--requests", "300000"): (
        Ratio("memory of a summary against all columns as a frame", ("frame_over_summary",)),
    ),
}


def measured() -> dict[str, float]:
    """Every ratio of BENCHMARKS, by its words."""
    found = {}
    for words, ratios in BENCHMARKS.items():
        print("python -m", *words, file=sys.stderr, flush=True)
        command = [sys.executable, "-m", *words]
        told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        last = json.loads(told.splitlines()[-1])
        for ratio in ratios:
            value: Any = last
            for step in ratio.path:
                value = value[step]
            found[ratio.what] = round(float(value), 2)
    return found


def lost(committed: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """A line for each ratio that fell by more than MOST_LOST."""
    return [
        f"{what}: {now[what]:g}, committed {before:g}"
        for what, before in committed.items()
        if what in now and now[what] < (1 - MOST_LOST) * before
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit to these ratios")
    is_writing = parser.parse_args().write
    now = measured()
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    print("| what | ratio | committed |\n| --- | --- | --- |")
    for what, ratio in now.items():
        print(f"| {what} | {ratio:g} | {committed.get(what, 'none')} |")
    if is_writing:
        COMMITTED.write_text(json.dumps(now, indent=2) + "\n")
        return 0
    fallen = lost(committed, now)
    for line in fallen:
        print(f"fell by more than a fifth: {line}", file=sys.stderr)
    return int(bool(fallen))


if __name__ == "__main__":
    sys.exit(main())
