"""Work that two threads share: in order, few at a time, the same bytes as by one, and no error lost."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from in_pieces import cut

from analysis.metrics import summary
from analysis.metrics.summary import summarise, to_json
from analysis.reports.report import finish
from analysis.run_folder.run import load_run
from analysis.side_by_side import THREADS, in_order, side_by_side
from sim.errors import BadInput

Finished = tuple[Path, dict[str, Any]]
FILES = ("summary.json", "report.html", "trace.json.gz")


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of this machine; every run is one of many requests."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(request.param)))
    cut(monkeypatch)
    return int(request.param)


def test_few_requests_are_counted_by_whoever_asks() -> None:
    with side_by_side(1000) as work:
        assert work.submit(threading.get_ident).result() == threading.get_ident()


def test_many_are_by_threads_where_there_are_cores(cores: int) -> None:
    with side_by_side(1001) as work:
        assert (work.submit(threading.get_ident).result() != threading.get_ident()) == (cores > 1)


@pytest.mark.usefixtures("cores")
def test_results_come_in_order_and_few_are_worked_on_ahead() -> None:
    begun: list[int] = []

    def square(number: int) -> int:
        begun.append(number)
        return number**2

    with side_by_side(2000) as work:
        for place, found in enumerate(in_order(work, square, range(50))):
            assert found.result() == place**2
            assert len(begun) <= place + 1 + THREADS
    assert sorted(begun) == list(range(50))


@pytest.mark.usefixtures("cores")
def test_what_fails_is_told_where_it_is_asked_for() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise BadInput("the third")
        return number

    told = []
    with side_by_side(2000) as work:
        for found in in_order(work, fail, range(5)):
            try:
                told.append(found.result())
            except BadInput:
                told.append(-1)
    assert told == [0, 1, 2, -1, 4]


@pytest.mark.usefixtures("cores")
def test_a_section_that_fails_fails_the_summary(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise BadInput("no such number")

    monkeypatch.setitem(summary.SECTIONS, "risk", fail)
    with pytest.raises(BadInput, match="no such number"):
        summarise(load_run(finished[0]))


def test_what_has_not_begun_when_one_fails_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    go, done = threading.Event(), []

    def wait(number: int) -> None:
        go.wait(10)
        done.append(number)

    def ask() -> None:
        with side_by_side(2**21) as work:
            for number in range(20):
                work.submit(wait, number)
            threading.Timer(0.1, go.set).start()
            raise BadInput("stop")

    with pytest.raises(BadInput):
        ask()
    assert len(done) == THREADS


def test_two_threads_leave_the_bytes_of_one(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers, pictures and trace, of one run: whose sections hold caches in common."""
    cut(monkeypatch)
    folder, left = shutil.copytree(finished[0], tmp_path / "run"), []
    for cores in (1, 2, 2):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        numbers = to_json(finish(folder))
        left.append([numbers, *((folder / name).read_bytes() for name in FILES)])
        left[-1].extend(file.read_bytes() for file in sorted((folder / "figures").glob("*.svg")))
    assert left[0] == left[1] == left[2]
