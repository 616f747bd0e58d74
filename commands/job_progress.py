"""The progress of many cells under way: done, running, failed, and how far along all of them are.
Between `run_cache`, which computes them, and the reporter (`progress`)."""

from __future__ import annotations

import time

from commands.progress import Reporter

NEARLY = 0.95  # of a cell that takes longer than those before it


class JobProgress:
    """`missing` of `total` cells, begun in their order, `jobs` at a time.

    A running cell counts by how long it has run, against the mean of those made here; so the bar moves
    between two ends, and the time left is right from the first end on. Before that none is shown.
    """

    def __init__(self, progress: Reporter, what: str, total: int, missing: int, jobs: int) -> None:
        self._progress, self._what, self._total = progress, what, total
        self._done, self._failed = total - missing, 0
        self._made_s: list[float] = []
        self._waiting, self._running = iter(range(missing)), dict[int, float]()
        for _ in range(jobs):
            self._begin()
        self.say()

    def _begin(self) -> None:
        for number in self._waiting:
            self._running[number] = time.monotonic()
            return

    def ended(self, number: int, has_failed: bool) -> None:
        """The cell with that number among the missing ones; the next one begins."""
        took_s = time.monotonic() - self._running.pop(number, time.monotonic())
        if not has_failed:
            self._made_s.append(took_s)
        self._failed += has_failed
        self._done += not has_failed
        self._begin()
        self.say()

    def say(self, within: str = "") -> None:
        """Reports how things are; within: what the cell that runs is at."""
        word = f"{self._done} of {self._total} cells"
        if self._running:
            word += f", {len(self._running)} running"
        if self._failed:
            word += f", {self._failed} failed"
        at = self._done + self._failed + sum(map(self._share, self._running.values()))
        self._progress.report(self._what, at, self._total, f"{word}: {within}" if within else word)

    def _share(self, began_at: float) -> float:
        mean_s = sum(self._made_s) / max(len(self._made_s), 1)
        return min((time.monotonic() - began_at) / mean_s, NEARLY) if mean_s else 0.0

    def report(self, what: str, done: float, total: float, word: str = "") -> None:
        """Progress within the one cell that runs (a `Reporter`)."""
        self.say(f"{what} {word or f'{100 * done / max(total, 1e-9):.0f}%'}")

    def close(self) -> None:
        """The owner of the progress of the cells closes."""
