"""Ends a private Ray cluster with the process that opened it, however that ends; a process of its own.
Started by `agents.backends.cluster`; needs the standard library alone, so it stands by at once and costs
little."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PAUSE_S = 0.05  # wall time between two looks
LOOKS = 200  # ten seconds: a killed process may hang in its disk


def end(folder: Path, spared: set[int]) -> None:
    """Kills whoever writes below `folder`, until nobody does, and removes it.

    That is every process of a cluster whose logs lie there, since each holds the log of whoever started it
    open from its first instant, and nobody who just reads one.
    """
    for _ in range(LOOKS):
        found = False
        for pid in _processes():
            if pid not in spared and _writes_below(folder, pid):
                found = True
                with suppress(OSError):  # it has ended meanwhile
                    os.kill(pid, signal.SIGKILL)  # at once: later the number may be somebody else's
        if not found:
            break
        time.sleep(PAUSE_S)
    shutil.rmtree(folder, ignore_errors=True)


def _processes() -> Iterator[int]:
    with suppress(OSError):  # no Linux: then the folder alone is removed
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def _writes_below(folder: Path, pid: int) -> bool:
    """Whether a process holds a file below the folder open for writing."""
    handles = f"/proc/{pid}/fd"
    with suppress(OSError):  # it ends while we look, or is somebody else's
        for name in os.listdir(handles):
            with suppress(OSError):
                link = f"{handles}/{name}"
                if os.lstat(link).st_mode & stat.S_IWUSR and os.readlink(link).startswith(f"{folder}/"):
                    return True
    return False


def main() -> None:
    """Waits until the other end of standard input is closed, as the death of its holder does too."""
    folder, owner = Path(sys.argv[1]).resolve(), os.getppid()  # as /proc names files
    sys.stdin.buffer.read()
    alive = {owner} if os.getppid() == owner else set()
    end(folder, spared={os.getpid()} | alive)


if __name__ == "__main__":
    main()
