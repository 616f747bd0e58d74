"""Work that two threads share: in order, few at a time, the same bytes as by one, and no error lost."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_pieces import cut
from numpy.typing import NDArray

from analysis.metrics import summary
from analysis.metrics.summary import summarise, to_json
from analysis.reports.report import finish
from analysis.run_folder.run import load_run
from analysis.side_by_side import THREADS, in_order, side_by_side
from analysis.statistics.scattered import Scattered, Summed, estimated
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


def test_a_system_that_does_not_tell_its_cores_has_as_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no `sched_getaffinity`."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with side_by_side(2**21) as work:
        assert work.submit(threading.get_ident).result() != threading.get_ident()


def test_two_threads_may_ask_of_the_same_masks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of a mask is kept for the last few: a dict that one changed while the other went through
    it ended the summary."""
    requests = np.arange(2000)
    found = estimated_in_pieces(requests, monkeypatch)
    masks = [requests % 12 == place for place in range(12)]
    known = found._met(masks[0])
    instant = Summed(known.held.by_client, known.by_base, known.squares, known.squares)
    monkeypatch.setattr(Scattered, "_summed", lambda *_: instant)
    ends, errors = time.monotonic() + 1.5, []

    def ask() -> None:
        try:
            while time.monotonic() < ends:
                for mask in masks:
                    found._met(mask)
        except (KeyError, RuntimeError) as error:
            errors.append(error)

    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    try:
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        sys.setswitchinterval(often)
    assert errors == []


def estimated_in_pieces(requests: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch) -> Scattered:
    cut(monkeypatch)
    found = estimated(requests % 50, requests % 7, requests % 50 % 2)
    assert isinstance(found, Scattered)
    return found


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
    asked: list[Future[None]] = []
    done: list[int] = []

    def wait(number: int) -> None:
        ends = time.monotonic() + 20
        while not (len(asked) == 20 and asked[-1].cancelled()) and time.monotonic() < ends:
            time.sleep(0.001)
        done.append(number)

    def ask() -> None:
        with side_by_side(2**21) as work:
            asked.extend(work.submit(wait, number) for number in range(20))
            while not all(one.running() for one in asked[:THREADS]):
                time.sleep(0.001)
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
