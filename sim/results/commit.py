"""The commit that this code is: what the build of a wheel wrote down, or what git says of the tree.
Read by whoever writes a run folder, and by `setup.py`; it decides nothing about a run."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("commit.txt")  # in wheels and source archives alone
PATIENCE_S = 5.0
GIT = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


@cache
def commit() -> str | None:
    """Forty hex digits, then `-dirty` if tracked files have changed since; None where nobody knows."""
    if RECORDED.exists():
        return RECORDED.read_text().strip() or None
    if not (ROOT / ".git").exists():  # a git above, of some other project, knows nothing of this one
        return None
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        told = subprocess.run(
            GIT,
            cwd=ROOT,
            env=outside | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None
