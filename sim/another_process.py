"""Another process of this project's code, for work that goes on beside what this one does; and how many cores
there are for that. Used by `sim.engine.compiling.beside` and `sim.world.arrivals.beside`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMAND = sys.executable, "-P", "-m"  # -P: not what lies in the working folder


def cores() -> int:
    """How many this process may use; all there are where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begun(module: str, *words: str, **how: Any) -> subprocess.Popen[bytes] | None:
    """A process that runs a module of this project and says nothing; None where there is no room for one.

    how: as for `Popen`.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | how
    command, environment = (*COMMAND, module, *words), os.environ | {"PYTHONPATH": path}
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(command, env=environment, **how)
    except OSError:
        return None
    return process
