"""A path longer than the system knows is refused in one line, wherever a command takes a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from here import called
from run_folders import write_folder
from typer.main import get_command

from commands.main import app

PATHS = {"SCENARIO", "STUDY", "RUN", "DIR", "FILE", "A", "B"}  # what help calls a path
FOUND = "--meet latency.p95<=0.3 --replicas 1:2 --jobs 1"
TAKEN = {  # after the name of each command, what comes before the path
    "run": ("", "smoke --local --out"),
    "check": ("",),
    "report": ("",),
    "figure": ("", "RUN timeline --out"),
    "table": ("",),
    "metrics": ("", "RUN --out"),
    "diff": ("", "RUN"),
    "compare": ("", "RUN RUN2 --out"),
    "sweep": ("", "smoke --vary costs.c_e=0.1,0.2 --out", "smoke --vary costs.c_e=0.1,0.2 --run-cache"),
    "study": ("", "smoke_policies --out", "smoke_policies --run-cache"),
    "capacity": (f"{FOUND}", f"smoke {FOUND} --out", f"smoke {FOUND} --run-cache"),
    "placement": ("", "model_placement --out"),
    "homes": ("", "edge_cloud --out"),
    "plan": ("", "smoke --out"),
    "split-points": ("",),
    "live": ("", "smoke --out"),
    "calibrate": ("", "smoke --out"),
    "fidelity": ("", "smoke --out"),
    "replay": ("--set seed=2", "RUN --set costs.c_e=0.3 --out"),
}
LATER = {"figure": ("timeline",), "table": ("requests",), "diff": ("RUN",), "compare": ("RUN",)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("RUN", "RUN2"):
        write_folder(folder / name)
    return folder


@pytest.mark.parametrize(("command", "before"), [(name, one) for name, all_ in TAKEN.items() for one in all_])
def test_a_path_of_10000_characters_is_one_line(
    command: str, before: str, runs: Path, tmp_path: Path
) -> None:
    """Too long as a whole and in its last name."""
    long = "x/" * 2_500 + "x" * 5_000
    for name in ("RUN", "RUN2"):
        (tmp_path / name).symlink_to(runs / name)
    words = before.split()
    after = LATER.get(command, ()) if not words else ()
    done = called(tmp_path, command, *words, long, *after)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert long[:4_000] in done.stderr
    assert {one.name for one in tmp_path.iterdir()} == {"RUN", "RUN2"}


def test_every_command_that_takes_a_path_is_tried() -> None:
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    takes = {
        name: [one.metavar for one in command.params if one.metavar in PATHS]
        for name, command in commands.items()
    }
    assert {name: len(each) for name, each in takes.items() if each} == {
        name: len(each) for name, each in TAKEN.items()
    }
