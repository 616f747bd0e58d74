"""Arrivals that another process draws are those that this one would draw, whatever becomes of it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from arrival_kinds import EVERY, drawn, group, scenario, told
from worlds import made_up, scenario_of

from commands import one_run
from commands.interrupts import CtrlC
from commands.progress import Quiet
from sim.another_process import begun
from sim.scenario import Scenario
from sim.simulation import simulate
from sim.world import windows
from sim.world.arrivals import beside
from sim.world.arrivals.beside import DrawnBeside, drawn_beside, is_worth_drawing_beside, main, serve
from sim.world.arrivals.source import Arrivals, ScenarioArrivals
from sim.world.windows import EvenWindows, WindowsByWork
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
    """There is no room for it, or it breaks as it begins."""
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
    with suppress(FileNotFoundError, ProcessLookupError):
        while other.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < end
            time.sleep(0.05)


class Slow(Quiet):
    """Waits at the end of each window, so that another process can come, and stops where it is told."""

    def __init__(self, ctrl_c: CtrlC, until_s: float) -> None:
        self._ctrl_c, self._until_s = ctrl_c, until_s

    def report(self, stage: str, done: float = 0.0, *_: Any) -> None:
        if stage == "run":
            time.sleep(0.1)
            self._ctrl_c.is_pressed = done >= self._until_s


def played(folder: Path, until_s: float = np.inf, resume: bool = False) -> dict[str, bytes]:
    """A run in many windows up to an instant, and its tables by name."""
    fleet = group("regular", "diurnal", 40), group("mmpp", "constant", 7, name="others")
    plan, ctrl_c = scenario(*fleet, horizon_s=2_400.0), CtrlC()
    with nullcontext() if until_s == np.inf else pytest.raises(KeyboardInterrupt):
        one_run.execute(
            plan, "", folder, False, 0, None, Slow(ctrl_c, until_s), resume, np.inf, ctrl_c, pictures=False
        )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.fixture
def told_by_another(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each window of a run whether the other process was there to draw it."""
    found: list[bool] = []
    draw = DrawnBeside.draw

    def noted(self: DrawnBeside, *asked: Any) -> Arrivals:
        found.append(self.is_there())
        return draw(self, *asked)

    monkeypatch.setattr(DrawnBeside, "draw", noted)
    return found


@pytest.mark.usefixtures("always")
def test_a_whole_run_has_the_same_bytes(tmp_path, monkeypatch, told_by_another):
    """Also one that is stopped on the way and goes on."""
    monkeypatch.setattr(windows, "MOST_REQUESTS", 60)
    with monkeypatch.context() as changed:
        changed.setattr(one_run, "sources_now", lambda: "changed since")  # so it is drawn here
        here = played(tmp_path / "here")
    assert told_by_another == []
    played(tmp_path / "beside", until_s=1_500.0)
    assert any(told_by_another)
    told_by_another.clear()
    assert played(tmp_path / "beside", resume=True) == here
    assert any(told_by_another)


def test_who_computes_many_cells_draws_them_itself(tmp_path, monkeypatch):
    asked: list[bool] = []
    monkeypatch.setattr(one_run, "is_worth_drawing_beside", lambda _: asked.append(True))
    plan = scenario(group("poisson"), horizon_s=60.0)
    one_run.execute(plan, "", tmp_path / "run", False, 0, None, Quiet(), pictures=False, is_one_of_many=True)
    assert asked == []


class Noted:
    """A source that notes what becomes of it; its state is how often it drew."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.drawn = 0

    def draw(self, _index: int, start_s: float, end_s: float) -> Arrivals:
        self.done.append((start_s, end_s))
        self.drawn += 1
        return Arrivals(np.array([start_s]), np.array([self.drawn], dtype=np.int32))

    def state(self) -> dict[str, Any]:
        return {"drawn": np.array(self.drawn)}

    def restore(self, state: dict[str, Any]) -> None:
        self.drawn = int(state["drawn"])
        self.done.append(f"back to {self.drawn}")


class Told:
    """Tells `serve` some messages, and keeps what it answers."""

    def __init__(self, *messages: Any) -> None:
        self._messages, self.answers = iter(messages), list[Any]()

    def recv(self) -> Any:
        try:
            return next(self._messages)
        except StopIteration:
            raise EOFError from None

    def send(self, answer: Any) -> None:
        self.answers.append(answer)


def served(*messages: Any) -> tuple[list[Any], list[Any]]:
    source, told_ones = Noted(), Told(*messages)
    with pytest.raises(EOFError):
        serve(source, told_ones)  # type: ignore[arg-type]
    return source.done, told_ones.answers


def test_what_was_foreseen_is_drawn_once():
    done, answers = served(("draw", (0, 1)), ("expect", (1, 2)), ("draw", (1, 2)), ("state",))
    assert done == [(0, 1), (1, 2)]
    assert [answer.client.tolist() for answer in answers[:2]] == [[1], [2]]
    assert answers[2] == {"drawn": 2}


def test_what_was_foreseen_and_not_asked_for_is_taken_back():
    done, answers = served(("draw", (0, 1)), ("expect", (1, 2)), ("state",), ("draw", (1, 3)), ("state",))
    assert done == [(0, 1), (1, 2), "back to 1", (1, 3)]
    assert answers[1] == {"drawn": 1}
    assert answers[2].client.tolist() == [2]
    assert answers[3] == {"drawn": 2}


def test_the_next_window_is_foreseen_as_long_as_they_come_as_foreseen(tmp_path):
    """Where many requests are open they are longer, so that nothing is drawn in vain for the next."""
    world = World(planned("poisson", "constant", tmp_path))
    other = Connected()
    source = DrawnBeside(ScenarioArrivals(world), other, EvenWindows(60.0), HORIZON_S)  # type: ignore[arg-type]
    for stretch in ((0.0, 60.0), (60.0, 300.0), (300.0, 360.0), (540.0, HORIZON_S)):
        source.draw(0, *stretch)
    drawn_and_foreseen = [message for message in other.sent if message[0] != "restore"]
    assert drawn_and_foreseen == [
        ("draw", (0.0, 60.0)),
        ("expect", (60.0, 120.0)),
        ("draw", (60.0, 300.0)),
        ("draw", (300.0, 360.0)),
        ("expect", (360.0, 420.0)),
        ("draw", (540.0, HORIZON_S)),
    ]


class Connected:
    """The end of a connection on whose other end there is somebody."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def poll(self) -> bool:
        return True

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def recv(self) -> Any:
        return Arrivals(np.empty(0), np.empty(0, dtype=np.int32)) if self.sent else True


@pytest.mark.usefixtures("always")
def test_what_another_process_would_not_know_is_drawn_here(tmp_path, monkeypatch):
    """A file may change until it comes, and a kind that somebody brought it does not have."""
    assert is_worth_drawing_beside(planned("poisson", "constant", tmp_path))
    assert not is_worth_drawing_beside(planned("trace", "constant", tmp_path))
    monkeypatch.setattr(beside, "BROUGHT", ["something"])
    assert not is_worth_drawing_beside(planned("poisson", "constant", tmp_path))


def test_runs_foresee_the_windows_that_they_ask_for(tmp_path, monkeypatch):
    """Where few requests are open."""
    monkeypatch.setattr(windows, "MOST_REQUESTS", 60)
    server = {"service": {"kind": "affine", "base_s": 0.001}}
    plan = scenario_of(fleet=(group("poisson", "diurnal", 40),), horizon_s=HORIZON_S, server=server)
    world, asked = World(plan), list[tuple[float, float]]()

    class Asked(ScenarioArrivals):
        def draw(self, index: int, start_s: float, end_s: float) -> Arrivals:
            asked.append((start_s, end_s))
            return super().draw(index, start_s, end_s)

    simulate(world, made_up(plan), tmp_path, source=Asked(world))
    assert len(asked) > 3
    made = WindowsByWork(world)
    assert [end_s for _, end_s in asked] == [min(made.end(start_s, 0), HORIZON_S) for start_s, _ in asked]
