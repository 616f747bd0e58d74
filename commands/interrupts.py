"""Ctrl-C, and what ends a process from outside: work ends at the next safe point, or within two seconds.
Part of the command line; imports nothing that takes time, since it guards the other imports too."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

EXIT_CODE = 130  # what a shell makes of Ctrl-C
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # heard alike, unless ignored as under `nohup`
SHOW_CURSOR = b"\x1b[?25h"  # which a progress bar hides
PATIENCE_S = 1.0  # wall time to reach a safe point, the end of a window for instance
MOST_S = 1.7  # wall time until the process ends, closed or not: as if it had been killed


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within it Ctrl-C ends the process on the spot: imports cut in half break in any way."""
    with _hearing(ENDING, _end):
        yield


class CtrlC:
    """Whether Ctrl-C was pressed, which stops the work: at once, or soon where it has safe points."""

    def __init__(self) -> None:
        self.is_pressed = False
        self._has_safe_points = False

    @contextmanager
    def handled(self, outcome: Callable[[], str]) -> Iterator[None]:
        """Within it Ctrl-C raises KeyboardInterrupt; where there are safe points, a little later.

        If that has led nowhere after `MOST_S`, since a library takes long over one call or over its closing,
        the process says `outcome` and ends.
        """
        with (
            _hearing(ENDING, self._press),
            _hearing((signal.SIGALRM,), self._raise),
            _outlasting(outcome),
        ):
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
def _hearing(numbers: Iterable[signal.Signals], do: Any) -> Iterator[None]:
    """Within it these signals do this, unless ignored; in a thread, which hears none, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, do)) for number in heard]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)


@contextmanager
def _outlasting(outcome: Callable[[], str]) -> Iterator[None]:
    """Within it the process ends `MOST_S` after Ctrl-C even if Python itself never comes to hear of that.

    The system writes each signal into a pipe; a thread reads it, which runs whatever the main one waits for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    over = threading.Event()

    def listen() -> None:
        while signals := os.read(source, 1):
            if signals[0] in ENDING and not over.wait(MOST_S):
                _say_and_end(outcome())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(sink)
        listener.join()
        os.close(source)


def _end(_number: int, _frame: FrameType | None) -> None:
    _say_and_end("interrupted")


def _say_and_end(word: str) -> None:
    with suppress(OSError):  # as where the terminal has gone, which is what SIGHUP tells
        os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + word.encode() + b"\n")
    os._exit(EXIT_CODE)
