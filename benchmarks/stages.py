"""Where a run's time goes: CPU seconds per stage, in whichever thread it runs.
Puts a watch around the product's own functions while a benchmark looks, and takes it away again."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from typing import Any
from unittest.mock import patch

from sim.engine import window
from sim.engine.compiled_clock import CompiledClock
from sim.results import run_folder
from sim.results.table import Tabulator
from sim.results.verify import Verifier
from sim.world.arrivals.source import ScenarioArrivals

# None of them calls another one.
STAGES: tuple[tuple[str, Any, str], ...] = (
    ("arrivals", ScenarioArrivals, "draw"),
    ("rows and decisions", window, "_admit"),
    ("rows and decisions", window, "_decide"),
    ("known events", window, "known_events"),
    ("clock", CompiledClock, "play"),
    ("time line", window, "observe"),
    ("ended rows", window, "_settle"),
    ("ended rows", window, "_collect"),
    ("table", Tabulator, "columns"),
    ("table", Tabulator, "requests"),
    ("table", Tabulator, "attempts"),
    ("verification", Verifier, "chunk"),
    ("verification", Verifier, "spent"),
    ("writing", run_folder.Parts, "_write"),
    ("writing", run_folder.StreamedTable, "finish"),
)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """While it is open, CPU seconds per stage add up in what it gives."""
    seconds: dict[str, float] = defaultdict(float)
    watches = [
        patch.object(owner, name, watched(getattr(owner, name), stage, seconds))
        for stage, owner, name in STAGES
    ]
    for watch in watches:
        watch.start()
    try:
        yield seconds
    finally:
        for watch in watches:
            watch.stop()


_ADDING = Lock()


def watched(function: Callable[..., Any], stage: str, seconds: dict[str, float]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*args, **named)
        finally:
            with _ADDING:  # tables of a window are written by two threads
                seconds[stage] += time.thread_time() - began

    return call
