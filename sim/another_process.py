"""Another process of this project's code, for work that goes on beside what this one does; and how many cores
there are for that. `sim.engine.compiling.beside` and `sim.world.arrivals.beside` begin one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = sys.executable, "-P", "-m"  # -P: not what lies in the working folder


def cores() -> int:
    """How many this process may use; all there are where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def python_path() -> str:
    """For `PYTHONPATH` of another process: where this project's packages are, and what stood there before."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def begun(
    module: str, *words: str, stdin: int, ends: Sequence[int] = (), apart: bool = False
) -> subprocess.Popen[bytes] | None:
    """A process that runs a module of this project and says nothing; None where there is no room for one.

    stdin: as for `Popen`; ends: open files that it has, too; apart: in a group of its own, so that Ctrl-C at
    a terminal does not reach it.
    """
    try:
        return subprocess.Popen(
            (*COMMAND, module, *words),
            env=os.environ | {"PYTHONPATH": python_path()},
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=ends,
            process_group=0 if apart else None,
        )
    except OSError:
        return None
