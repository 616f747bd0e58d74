"""How a run reports what it is doing: bars on a terminal, plain lines elsewhere, nothing if asked to be
quiet. Everything goes to stderr; stdout is for results."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Reporter(Protocol):
    """Reports `done` of `total` of something, with a word about it; as often as one likes."""

    def report(self, what: str, done: float, total: float, word: str = "") -> None: ...
    def close(self) -> None: ...


class Quiet:
    def report(self, what: str, done: float, total: float, word: str = "") -> None:
        """Says nothing."""

    def close(self) -> None:
        """Nothing is open."""


class _TimeLeft:
    """How long each thing will take if it goes on as since its first report; nothing before that shows.

    Over the whole of it, since cells of a sweep end minutes apart.
    """

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, float]] = {}

    def of(self, what: str, done: float, total: float) -> str:
        now = time.monotonic()
        began_at, had = self._began.setdefault(what, (now, done))
        if not had < done < total:
            return ""
        left_s = (now - began_at) * (total - done) / (done - had)
        return f"about {left_s / 60:.0f} min left" if left_s >= 90 else f"about {left_s:.0f} s left"


class Bars:
    """A bar per stage, with the time it took and the time left."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<15}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[word]}  {task.fields[left]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._left = _TimeLeft()
        self._bars.start()

    def report(self, what: str, done: float, total: float, word: str = "") -> None:
        said: dict[str, Any] = {"word": word, "left": self._left.of(what, done, total)}
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, **said)
        self._bars.update(self._tasks[what], completed=done, total=total, **said)

    def close(self) -> None:
        self._bars.stop()


class Lines:
    """A line when something begins, every five seconds with the time left, and when it is done."""

    def __init__(self, every_s: float = 5.0) -> None:
        self._every_s = every_s
        self._reported_at: dict[str, float] = {}
        self._left = _TimeLeft()

    def report(self, what: str, done: float, total: float, word: str = "") -> None:
        now, left = time.monotonic(), self._left.of(what, done, total)
        if what in self._reported_at and done < total and now - self._reported_at[what] < self._every_s:
            return
        self._reported_at[what] = now
        share = 100 * done / total if total else 100
        words = "  ".join(filter(None, [f"{what}: {share:.0f}%", word, left]))
        print(words, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Within it a warning is shown once: many runs of one scenario have the same to say.

    The same is what has the same words and is about the same, its first argument; the numbers may differ.
    """
    said: set[tuple[str, str]] = set()

    def is_new(record: logging.LogRecord) -> bool:
        about = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        before = len(said)
        said.add((str(record.msg), str(about)))
        return len(said) > before

    last = logging.lastResort or logging.NullHandler()
    last.addFilter(is_new)
    try:
        yield
    finally:
        last.removeFilter(is_new)


def reporter_for(quiet: bool) -> Reporter:
    """The one that fits: quiet, a terminal, or a log."""
    if quiet:
        return Quiet()
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal and not console.is_dumb_terminal else Lines()


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """Within it progress is reported, and each warning once."""
    progress = reporter_for(quiet)
    try:
        with each_warning_once():
            yield progress
    finally:
        progress.close()
