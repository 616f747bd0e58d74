"""The exact stories of the suite that mutants of the handlers meet: which comes to which lines, and how long
it takes, for `benchmarks.mutants`."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, settings

from benchmarks import TESTS
from benchmarks.mutants_worlds import Line, watched
from benchmarks.mutations import Mutant

MORE_S, SLOWER = 20, 5  # seconds of the processor more, and so many times what the sound ones take
LONG = ("law", "never_runs_empty", "m_d_1", "storm", "is_half_that", "independently")  # in their names
FILES = (
    "exact_capacity",
    "exact_limits",
    "exact_timelines",
    "choosing_options",
    "own_policies_among_options",
    "energy",
    "versions",
    "closed_loop",
    "switching",
    "calls",
    "pipelines",
    "loading",
    "cells",
    "batching",
    "device_parts",
    "queues",
    "timeline",
    "budgets",
    "network",
    "price_stories",
    "room",
    "learning",
    "sessions",
    "heads_in_time",
)


@dataclass(frozen=True)
class Story:
    """A test, the lines of the handlers that it comes to, and what it takes of the processor."""

    name: str
    lines: frozenset[Line]
    cpu_s: float


def stories() -> list[Story]:
    """Of the sound handlers, the shortest first. Raises RuntimeError where one fails."""
    settings.register_profile(
        "mutants", database=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutants")  # which the suite's own go on from
    for name in FILES:  # once, and not in each process
        importlib.import_module(f"test_{name}")
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        watching = _Watching()
        status = _played(FILES, watching)
        with os.fdopen(writing, "w") as told:
            json.dump([status, watching.found], told)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        status, found = json.load(told)
    os.waitpid(process, 0)
    if status:
        raise RuntimeError(f"a story fails without any mutant: pytest ended with {status}")
    made = [Story(name, frozenset(map(tuple, lines)), cpu_s) for name, lines, cpu_s in found]
    return sorted(made, key=lambda story: story.cpu_s)


def finds(mutant: Mutant, known: list[Story]) -> bool:
    """Whether a story that comes to its lines fails, or does not end, in a process of its own."""
    lines = {(str(mutant.module.__file__), line) for line in mutant.lines}
    near = [story for story in known if lines & story.lines]
    if not near:
        return False
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, MORE_S + SLOWER * sum(story.cpu_s for story in near))
        mutant.put()
        names = [story.name for story in near]
        os._exit(_played(_files_of(names), _Only(names), "-x"))
    ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if ended == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise RuntimeError(f"no story was played against {mutant}")
    return ended != 0


class _Watching:
    """Notes of each test which lines of the handlers it comes to, and what it takes."""

    def __init__(self) -> None:
        self.found: list[tuple[str, list[Line], float]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        begun = time.process_time()
        with watched() as lines:
            ended = yield
        self.found.append((item.nodeid, sorted(lines), time.process_time() - begun))
        return ended


class _Only:
    """Leaves these tests, in this order."""

    def __init__(self, names: list[str]) -> None:
        self._place = {name: place for place, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._place), key=lambda item: self._place[item.nodeid]
        )


def _files_of(names: list[str]) -> list[str]:
    """What stands in FILES of those that hold these tests."""
    return [file for file in FILES if any(f"/test_{file}.py::" in name for name in names)]


def _played(files: Iterable[str], plugin: object, *more: str) -> int:
    """How pytest ended, in a process that nobody needs afterwards."""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    paths = [str(TESTS / "sim" / f"test_{name}.py") for name in files]
    short = " and ".join(f"not {name}" for name in LONG)
    options = ["-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", short, *more]
    try:
        return int(pytest.main([*options, *paths], plugins=[plugin]))
    except BaseException:
        return 1
