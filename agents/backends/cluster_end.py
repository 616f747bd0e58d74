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
    """Kills whoever belongs to the cluster whose logs lie below `folder`, until nobody does, and removes it.

    That is each process that writes there, or has an option whose value lies there: Ray's first one opens
    its log some time after it has begun. It looks twice in vain, for whoever is just being started.
    """
    below = f"{folder}/", f"{folder.resolve()}/"  # as it was named, and as /proc names files
    vain = 0
    for _ in range(LOOKS):
        found = False
        for pid in _processes():
            if pid not in spared and (_writes(below, pid) or _is_told_of(below, pid)):
                with suppress(OSError):  # it has ended meanwhile, or is somebody else's
                    os.kill(pid, signal.SIGKILL)  # at once: later the number may be another's
                    found = True
        vain = 0 if found else vain + 1
        if vain == 2:
            break
        time.sleep(PAUSE_S)
    shutil.rmtree(folder, ignore_errors=True)


def _processes() -> Iterator[int]:
    with suppress(OSError):  # no Linux: then the folder alone is removed
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def _writes(below: tuple[str, ...], pid: int) -> bool:
    """Whether a process holds a file open for writing whose path begins so."""
    handles = f"/proc/{pid}/fd"
    with suppress(OSError):  # it ends while we look, or is somebody else's
        for name in os.listdir(handles):
            with suppress(OSError):
                link = f"{handles}/{name}"
                if os.lstat(link).st_mode & stat.S_IWUSR and os.readlink(link).startswith(below):
                    return True
    return False


def _is_told_of(below: tuple[str, ...], pid: int) -> bool:
    """Whether a process was started with an option whose value begins so."""
    with suppress(OSError):
        words = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
        return any(word.startswith("--") and word.partition("=")[2].startswith(below) for word in words)
    return False


def main() -> None:
    """Waits until the other end of standard input is closed, as the death of its holder does too."""
    folder, owner = Path(sys.argv[1]), os.getppid()
    sys.stdin.buffer.read()
    alive = {owner} if os.getppid() == owner else set()
    end(folder, spared={os.getpid()} | alive)


if __name__ == "__main__":
    main()
