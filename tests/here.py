"""A run by the command line, here in this process, and what it left, for tests that compare run folders."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from commands.learnings import Learnings
from commands.main import main
from commands.plugins import loading
from sim.registry import brought
from sim.registry.registry import rebuild

ONLINE = "{every_s: 40, steps: 3, step_s: 0.5, rejector_steps: 2, rejector_step_s: 0.5, source: mix}"
WORDS = [  # five chunks of a fleet that learns on the way, with a checkpoint after each
    *("run", "smoke", "--quiet", "--checkpoint-every", "0"),
    *("--set", "horizon_s=300", "--set", f"training.online={ONLINE}"),
]


def run_here(folder: Path, *words: str, learns_anew: bool = True) -> tuple[int, str]:
    """The exit code, and what was said on stderr, of a command given in `folder`; it draws no pictures.

    learns_anew: even if another run has kept what it would learn.
    """
    said = io.StringIO()
    find = (lambda _self: None) if learns_anew else Learnings.find
    with (
        contextlib.chdir(folder),
        patch.object(sys, "argv", ["run_sim.py", *WORDS, *words]),
        patch("analysis.reports.run_page.begin", return_value=None),
        patch.object(Learnings, "find", find),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        return main(), said.getvalue()


def called(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What a command given in `folder` says, and its exit code, without a process of its own."""
    told, said = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        patch.object(sys, "argv", ["run_sim.py", *words]),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(said),
    ):
        code = main()
    return subprocess.CompletedProcess(words, code, told.getvalue(), said.getvalue())


def forget_what_was_brought() -> None:
    """Takes back every kind that was registered from outside."""
    for one in reversed(brought.BROUGHT):
        one.take_back()
    brought.BROUGHT.clear()
    loading._READ.clear()
    rebuild()


def results_of(folder: Path) -> dict[str, bytes]:
    """Every file of a finished run that wall time does not enter; fails if something else lies there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        assert not path.name.startswith("."), name
        assert not name.startswith(("checkpoint", "failure")), name
        if path.is_file() and not name.startswith(("timing", "report", "figures", "trace")):
            found[name] = path.read_bytes()
    told = json.loads(found["versions.json"])
    told.pop("commit")  # whoever works on the tree may commit between two runs
    found["versions.json"] = json.dumps(told).encode()
    return found


def running_with(variable: str, value: Path) -> list[int]:
    """Processes that have this in their environment, apart from this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{variable}={value}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return [number for number in found if number != os.getpid()]
