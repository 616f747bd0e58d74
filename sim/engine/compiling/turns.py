"""Of many processes that want something compiled one does it at a time; the others see since when.
Imports nothing that takes time: who compiles beside a run takes its turn before it loads Numba."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE_S = 400.0  # wall time for another process to compile; then this one does it too
LOOK_S = 0.05  # wall time between two looks whether it has
BEGUN = "begun"  # in an entry's folder: when somebody began to compile it


def above() -> Path:
    """The folder of all entries: in the user's cache folder. Raises RuntimeError if there is no home."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "l2h-fleet"


@contextmanager
def my_turn() -> Iterator[None]:
    """Within it no other process of this user compiles, unless there are no locks or it takes too long."""
    handle = None
    try:
        with suppress(OSError, RuntimeError):
            handle = os.open(above(), os.O_RDONLY)
            until = time.monotonic() + PATIENCE_S
            while not (is_mine := _locked(handle)) and time.monotonic() < until:
                time.sleep(LOOK_S)
            for left in above().glob(f"*/{BEGUN}") if is_mine else ():  # by processes that were killed
                left.unlink(missing_ok=True)
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Within it others see that what belongs into this folder is being compiled, in this process's turn."""
    with suppress(OSError):
        (folder / BEGUN).touch()
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / BEGUN).unlink(missing_ok=True)


def at_work_since_s(folder: Path) -> float | None:
    """For how many wall seconds some process has been at work for this folder; None if none is."""
    with suppress(OSError):
        begun_at = (folder / BEGUN).stat().st_mtime
        if is_taken():  # a process that was killed has left the file, but holds no lock
            return max(time.time() - begun_at, 0.0)
    return None


def is_taken() -> bool:
    """Whether it is some process's turn, whatever it compiles."""
    with suppress(OSError, RuntimeError):
        handle = os.open(above(), os.O_RDONLY)
        try:
            return not _locked(handle, fcntl.LOCK_SH)  # which does not keep others who only look
        finally:
            os.close(handle)
    return False


def _locked(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
