"""Compiles in another process while this one has other things to do: `python -m` of this module.
What it leaves lies where `kept` looks for it, so nobody need talk to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMMAND = (
    sys.executable,
    "-P",
    "-m",
    "sim.engine.compiling.beside",
)  # -P: not what lies in the working folder
POLITELY = 10  # nicer than who waits for nothing


@contextmanager
def compiled_beside() -> Iterator[None]:
    """Within it another process compiles what the event loop needs, and ends with this one.

    It is ended at the end of the block, done or not: code appears whole or not at all, so a later run finds
    it or begins anew. It also ends by itself as soon as this process is gone, however that came about.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        process = subprocess.Popen(
            COMMAND,
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,  # its end tells the other process that this one has gone
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:  # no room for another process: the run does without
        yield
        return
    try:
        yield
    finally:
        process.kill()
        with suppress(OSError):
            process.communicate()


def main() -> None:
    """Compiles, or waits for another process that does; ends at the end of the standard input."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError):
        os.nice(POLITELY)
    from sim.engine.compiling import kept, target  # noqa: PLC0415  (the one that is waited for listens first)

    kept.ready(target.function, target.argument_types())


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
