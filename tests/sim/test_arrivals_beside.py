"""Arrivals that another process draws are those that this one would draw, whatever becomes of it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from arrival_kinds import EVERY, drawn, group, scenario, told

from commands import one_run
from commands.options import CHECKPOINT_EVERY_S
from commands.progress import Quiet
from sim.another_process import begun
from sim.scenario import Scenario
from sim.world.arrivals import beside
from sim.world.arrivals.beside import DrawnBeside, drawn_beside, is_worth_drawing_beside, main
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

ROOT = Path(__file__).resolve().parents[2]
HORIZON_S = 600.0
every_kind = pytest.mark.parametrize(("process", "shape"), EVERY, ids=["-".join(pair) for pair in EVERY])


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process draws however few requests there are."""
    monkeypatch.setattr(beside, "WORTH_IT", 0)
    monkeypatch.setattr(beside, "cores", lambda: 2)


@pytest.fixture
def begins(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were begun."""
    found: list[subprocess.Popen[bytes]] = []

    def noted(*words: str, **how: Any) -> subprocess.Popen[bytes]:
        process = begun(*words, **how)
        assert process is not None
        found.append(process)
        return process

    monkeypatch.setattr(beside, "begun", noted)
    return found


@pytest.fixture
def in_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What another process does, a thread does, which is begun faster; it ends with the connection."""
    threads: list[Thread] = []

    def thread(_module: str, end: str, **_how: Any) -> Any:
        threads.append(Thread(target=main, args=(os.dup(int(end)),)))
        threads[0].start()
        return SimpleNamespace(kill=lambda: None, wait=lambda: None)

    monkeypatch.setattr(beside, "begun", thread)
    yield
    (only,) = threads
    only.join(10)
    assert not only.is_alive()


def until_there(source: Any) -> DrawnBeside:
    assert isinstance(source, DrawnBeside)
    end = time.monotonic() + 60
    while not source.is_there():
        assert time.monotonic() < end
        time.sleep(0.01)
    return source


def planned(process: str, shape: str, folder: Path, horizon_s: float = HORIZON_S) -> Scenario:
    return scenario(group(process, shape, 70, folder), horizon_s=horizon_s)


def stretches(every_s: float) -> list[tuple[float, float]]:
    return list(itertools.pairwise([*np.arange(0.0, HORIZON_S, every_s).tolist(), HORIZON_S]))


@every_kind
@pytest.mark.parametrize("asked_s", [60.0, 45.0])
@pytest.mark.usefixtures("in_thread")
def test_whatever_is_asked_comes_as_if_it_were_drawn_here(process, shape, asked_s, tmp_path):
    """Also where others are asked for than were expected; what is kept on the way is the same, too."""
    world = World(planned(process, shape, tmp_path))
    alone = ScenarioArrivals(world)
    with drawn_beside(world, EvenWindows(60.0)) as source:
        until_there(source)
        for place, stretch in enumerate(stretches(asked_s)):
            assert told(source.draw(place, *stretch)) == told(alone.draw(place, *stretch))
            np.testing.assert_equal(source.state(), alone.state())


@every_kind
@pytest.mark.usefixtures("in_thread")
def test_it_goes_on_from_what_was_kept(process, shape, tmp_path):
    world = World(planned(process, shape, tmp_path))
    alone = ScenarioArrivals(world)
    alone.draw(0, 0.0, 120.0)
    kept = alone.state()
    with drawn_beside(world, EvenWindows(60.0)) as source:
        until_there(source)
        source.draw(0, 0.0, 60.0)
        source.restore(kept)
        np.testing.assert_equal(source.state(), kept)
        assert told(source.draw(1, 120.0, 180.0)) == told(alone.draw(1, 120.0, 180.0))


@pytest.mark.parametrize("process", ["poisson", "regular"])
def test_another_process_draws_it(process, tmp_path, begins, monkeypatch):
    """One that Ctrl-C at a terminal does not reach, and that ends with the block."""
    world = World(planned(process, "diurnal", tmp_path))
    wanted = told(drawn(ScenarioArrivals(world), HORIZON_S))
    with drawn_beside(world, EvenWindows(60.0)) as source:
        until_there(source)
        monkeypatch.setattr(ScenarioArrivals, "draw", None)  # nothing is drawn here
        assert told(drawn(source, HORIZON_S)) == wanted
        (other,) = begins
        assert other.poll() is None
        assert os.getpgid(other.pid) != os.getpgid(0)
    assert other.poll() is not None


@pytest.mark.usefixtures("begins")
def test_what_was_drawn_until_it_came_is_not_drawn_again(tmp_path):
    world = World(planned("regular", "constant", tmp_path))
    alone = ScenarioArrivals(world)
    with drawn_beside(world, EvenWindows(60.0)) as source:
        first = source.draw(0, 0.0, 300.0)  # most likely here
        until_there(source)
        assert told(first) == told(alone.draw(0, 0.0, 300.0))
        np.testing.assert_equal(source.state(), alone.state())
        assert told(source.draw(1, 300.0, 360.0)) == told(alone.draw(1, 300.0, 360.0))


@pytest.mark.parametrize("process", ["poisson", "regular"])
def test_where_it_is_killed_this_one_goes_on(process, tmp_path, begins):
    world = World(planned(process, "constant", tmp_path))
    alone = ScenarioArrivals(world)
    with drawn_beside(world, EvenWindows(60.0)) as source:
        until_there(source)
        for place, stretch in enumerate(stretches(60.0)):
            if place == 4:
                begins[0].kill()
            assert told(source.draw(place, *stretch)) == told(alone.draw(place, *stretch))
        resumed = ScenarioArrivals(world)
        resumed.restore(source.state())
        assert told(resumed.draw(0, 540.0, 600.0)) == told(alone.draw(0, 540.0, 600.0))


def test_where_it_cannot_begin_this_one_draws(tmp_path, monkeypatch):
    """It does not know the scenario's kinds, or there is no room for it."""
    world = World(planned("poisson", "constant", tmp_path))
    wanted = told(drawn(ScenarioArrivals(world), HORIZON_S))
    monkeypatch.setattr(beside, "begun", lambda *_, **__: None)
    with drawn_beside(world, EvenWindows(60.0)) as source:
        assert told(drawn(source, HORIZON_S)) == wanted

    def broken(_module: str, *_words: str, **how: Any) -> Any:
        process = begun("sim.no_such_module", **how)
        assert process is not None
        process.wait()
        return process

    monkeypatch.setattr(beside, "begun", broken)
    with drawn_beside(world, EvenWindows(60.0)) as source:
        assert told(drawn(source, HORIZON_S)) == wanted
        assert isinstance(source, DrawnBeside)
        assert not source.is_there()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(("requests", "cores"), [(0, 1), (10**9, 2)])
def test_few_requests_and_one_core_are_left_to_this_one(requests, cores, tmp_path, monkeypatch):
    assert is_worth_drawing_beside(planned("poisson", "constant", tmp_path))
    monkeypatch.setattr(beside, "WORTH_IT", requests)
    monkeypatch.setattr(beside, "cores", lambda: cores)
    assert not is_worth_drawing_beside(planned("poisson", "constant", tmp_path))


def test_it_ends_with_its_parent_however_that_ends(tmp_path):
    code = (
        "import os, signal, sys, time\n"
        "from sim.scenario import Scenario\n"
        "from sim.world.arrivals import beside\n"
        "from sim.world.windows import EvenWindows\n"
        "from sim.world.world import World\n"
        "begun = beside.begun\n"
        "def noted(*words, **how):\n"
        "    process = begun(*words, **how)\n"
        "    print(process.pid, flush=True)\n"
        "    return process\n"
        "beside.begun = noted\n"
        "world = World(Scenario.model_validate_json(sys.argv[1]))\n"
        "with beside.drawn_beside(world, EvenWindows(60.0)) as source:\n"
        "    while not source.is_there():\n"
        "        time.sleep(0.01)\n"
        "    source.draw(0, 0.0, 60.0)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    plan = planned("poisson", "constant", tmp_path).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", code, plan], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    other, end = Path(f"/proc/{int(done.stdout)}/stat"), time.monotonic() + 60
    while other.exists() and other.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end
        time.sleep(0.05)


def played(folder: Path) -> dict[str, bytes]:
    """The tables of a run, by name."""
    plan = scenario(group("poisson", "diurnal", 40), horizon_s=HORIZON_S)
    one_run.execute(plan, "", folder, False, 0, None, Quiet(), False, CHECKPOINT_EVERY_S, pictures=False)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.mark.usefixtures("always")
def test_a_whole_run_has_the_same_bytes(tmp_path, monkeypatch, begins):
    with_another = played(tmp_path / "beside")
    assert len(begins) == 1
    assert begins[0].poll() is not None
    monkeypatch.setattr(one_run, "sources_now", lambda: "changed since")
    assert played(tmp_path / "here") == with_another  # other code would draw, so it is done here
    assert len(begins) == 1
