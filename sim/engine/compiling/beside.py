"""Compiles in another process while this one has other things to do: `python -m` of this module.
What it leaves lies where `kept` looks for it, so nobody need talk to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sim.another_process import begun
from sim.engine.compiling import turns

POLITELY = 10  # nicer than who waits for nothing
GO_ON = b"go on"
AT_MOST_S = 240


@contextmanager
def compiled_beside(is_to_finish: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Within it another process compiles what the event loop needs, and ends with this one.

    It is ended at the end of the block, done or not: code appears whole or not at all, so a later run finds
    it or begins anew. It also ends by itself as soon as this process is gone, however that came about.
    is_to_finish: asked at the end of a block in which nothing broke; if so, it may go on by itself for later
    runs, for `AT_MOST_S`.
    """
    from sim.engine.compiling import kept, target  # noqa: PLC0415  (Numba takes time to load)

    folder = kept.writable(target.function, target.argument_types())
    if folder is None:  # what it compiles could not be found
        yield
        return
    stdin = subprocess.PIPE  # its end tells the other process that this one has gone
    process = begun("sim.engine.compiling.beside", str(folder), stdin=stdin)
    if process is None:  # the run does without
        yield
        return
    goes_on = False
    try:
        yield
        goes_on = is_to_finish()
    finally:
        with suppress(OSError):  # it may have ended by itself
            if goes_on and process.stdin:
                with process.stdin as pipe:
                    pipe.write(GO_ON)
            else:
                process.kill()
                process.communicate()


def main(folder: Path) -> None:
    """Compiles what belongs there, or waits for another process that does; ends with who called it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError):
        os.nice(POLITELY)
    with turns.my_turn(), turns.at_work(folder):
        from sim.engine.compiling import kept, target  # noqa: PLC0415  (the others see already who is at it)

        kept.ready(target.function, target.argument_types(), is_my_turn=True)


def _end_with_parent() -> None:
    if os.read(sys.stdin.fileno(), len(GO_ON)) != GO_ON:
        os._exit(1)
    signal.alarm(AT_MOST_S)  # which ends a process that does not listen


if __name__ == "__main__":
    main(Path(sys.argv[1]))
