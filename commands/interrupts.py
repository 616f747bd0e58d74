"""Ctrl-C: what is under way ends at the next safe point, or after a second wherever it is.
Part of the command line; imports nothing that takes time, since it guards the other imports too."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_CODE = 130  # what a shell makes of Ctrl-C
SHOW_CURSOR = b"\x1b[?25h"  # which a progress bar hides
PATIENCE_S = 0.3  # wall time to reach a safe point; to close Ray takes another second and a half


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within it Ctrl-C ends the process on the spot: imports cut in half break in any way."""
    with _hearing(signal.SIGINT, _end):
        yield


class CtrlC:
    """Whether Ctrl-C was pressed, which stops the work: at once, or soon where it has safe points."""

    def __init__(self) -> None:
        self.is_pressed = False
        self._has_safe_points = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within it Ctrl-C raises KeyboardInterrupt; where there are safe points, a little later."""
        with _hearing(signal.SIGINT, self._press), _hearing(signal.SIGALRM, self._raise):
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def at_safe_points(self) -> Iterator[None]:
        """Within it whoever works looks at `is_pressed` now and then, and raises KeyboardInterrupt."""
        self._has_safe_points = True
        try:
            yield
        finally:
            self._has_safe_points = False
        if self.is_pressed:  # after the last of them
            raise KeyboardInterrupt

    def _press(self, *_: object) -> None:
        waits = self._has_safe_points and not self.is_pressed  # who presses twice means it
        self.is_pressed = True
        if not waits:
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    def _raise(self, *_: object) -> None:
        if self._has_safe_points:
            raise KeyboardInterrupt


@contextmanager
def _hearing(number: signal.Signals, do: Any) -> Iterator[None]:
    """Within it a signal does this; in a thread, which hears none, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, do)
    try:
        yield
    finally:
        signal.signal(number, before)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + b"interrupted\n")
    os._exit(EXIT_CODE)
