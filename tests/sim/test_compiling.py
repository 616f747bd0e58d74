"""Where compiled code is kept, and that whatever happens to that folder costs time and nothing else."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from here import running_with
from hypothesis import given
from strategies import worlds
from tried import tried
from worlds import MadeUpLearner, made_up, scenario_of

from sim.engine.handlers import walk
from sim.engine.learning import Learning
from sim.engine.state import at_start
from sim.policy.controllers import RateControl
from sim.world.world import World

kept = pytest.importorskip("sim.engine.compiling.kept")
turns = pytest.importorskip("sim.engine.compiling.turns")
decorators = pytest.importorskip("sim.engine.compiling.decorators")
numba = pytest.importorskip("numba")


fingerprint = pytest.importorskip("sim.engine.compiling.fingerprint").fingerprint
beside = pytest.importorskip("sim.engine.compiling.beside")
compiled_clock = pytest.importorskip("sim.engine.compiled_clock")
compiled_functions = pytest.importorskip("sim.engine.compiled_functions")
target = pytest.importorskip("sim.engine.compiling.target")

ROOT = Path(__file__).resolve().parents[2]
USERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
TYPES = (numba.int64,)


def one_more(number):
    return number + 1


def made() -> object:
    """The function, as a process that has just begun has it."""
    whole = decorators.whole(one_more)
    kept.ready(whole, TYPES)
    assert whole(1) == 2
    return whole


def is_read(function: object) -> bool:
    """Whether it came from the cache."""
    return sum(function.stats.cache_hits.values()) == 1


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_what_was_compiled_is_read():
    assert not is_read(made())
    assert is_read(made())


def test_the_tools_own_prices_are_read_too(monkeypatch):
    hits = []
    for _ in range(2):  # two processes, as far as this table tells
        monkeypatch.setattr(compiled_functions, "_COMPILED", {})
        found = compiled_functions.compiled_price(RateControl)
        hits.append([is_read(one.dispatcher) for one in found])
    assert hits == [[False] * 3, [True] * 3]


def test_what_arguments_are_unless_told_is_in_the_fingerprint():
    found = set()
    for default in (2.0, 5.0):

        def times(number, by=default):
            return number * by

        found.add(fingerprint(times, TYPES))
    assert len(found) == 2


def test_what_is_called_by_address_is_kept_by_what_it_gives_too():
    as_float, as_int = numba.float64(numba.int64), numba.int64(numba.int64)
    assert fingerprint(one_more, as_float) != fingerprint(one_more, as_int)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("left", [0, 40])
def test_a_damaged_file_is_told_and_made_anew(suffix, left, cache, caplog):
    made()
    (path,) = cache.rglob(f"*{suffix}")
    path.write_bytes(path.read_bytes()[:left])
    assert not is_read(made())
    assert "cannot be used" in caplog.text
    assert is_read(made())


def test_a_full_disk_is_told_and_nothing_of_it_stays(cache, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(numba.core.caching.IndexDataCacheFile, "_save_data", full)
        made()
    assert "No space left on device" in caplog.text
    assert not [path for path in cache.rglob("*") if path.is_file()]
    made()
    assert is_read(made())


def test_somebody_without_a_home_compiles_each_time(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    made()
    assert not is_read(made())


def test_a_home_that_cannot_be_written_compiles_each_time(monkeypatch):
    """Numba would choose a folder beside the sources, where it finds old code after a change elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    made()
    assert not is_read(made())


# Numba unpickles what it finds, so nothing is read that others could have written.


def test_what_is_kept_is_for_its_user_alone(tmp_path, monkeypatch):
    """Also the folders above it, which others could else put another in the place of."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/cache"))
    before = os.umask(0o002)  # as where every user has a group
    try:
        made()
    finally:
        assert os.umask(before) == 0o002
    kept_there = list((tmp_path / "home").rglob("*"))
    assert {path.suffix for path in kept_there if path.is_file()} == {".nbi", ".nbc"}
    assert not any(path.stat().st_mode & 0o077 for path in kept_there)
    assert is_read(made())


@pytest.fixture
def planted(cache) -> dict[str, Path]:
    """Files that run something when they are unpickled, where compiled code was."""
    made()
    for path in cache.rglob("*.nb?"):
        path.write_bytes(pickle.dumps(Planted(cache / "ran")))
    (code,) = cache.rglob("*.nbc")
    return {"file": code, "entry": code.parent, "all": code.parents[1], "home": cache}


class Planted:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_what_is_planted_would_run(planted, cache):
    """So the tests below would see it."""
    assert planted["home"] == cache
    made()
    assert (cache / "ran").exists()


@pytest.mark.parametrize("who_may_write", [0o020, 0o002], ids=["its group", "all"])
@pytest.mark.parametrize("where", ["file", "entry", "all", "home"])
def test_what_others_could_have_written_is_never_read(where, who_may_write, planted, cache, caplog):
    path = planted[where]
    path.chmod(path.stat().st_mode | who_may_write)
    private_told(caplog, f"{path} can be written by others")
    assert not (cache / "ran").exists()


@pytest.mark.parametrize("where", ["file", "entry", "all", "home"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_belongs_to_others_is_never_read(where, planted, cache, caplog):
    os.chown(planted[where], 12_345, 12_345)
    private_told(caplog, f"{planted[where]} belongs to another user")
    assert not (cache / "ran").exists()


def test_a_link_leads_to_nothing_that_others_could_write(planted, cache, caplog, monkeypatch):
    """Neither on the way nor in place of the entry."""
    (cache / "open").mkdir()
    (cache / "open").chmod(0o777)
    (cache / "open/l2h-fleet").symlink_to(planted["all"])
    (cache / "link").symlink_to(cache / "open")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "link"))
    private_told(caplog, f"{cache / 'open'} can be written by others")
    assert not (cache / "ran").exists()


def test_below_a_sticky_folder_it_is_kept(cache, monkeypatch):
    """As /tmp is: only the owner of what lies there can put something else in its place."""
    (cache / "tmp").mkdir()
    (cache / "tmp").chmod(0o1777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "tmp"))
    made()
    assert is_read(made())


def test_without_owners_of_files_it_is_kept(monkeypatch):
    made()
    monkeypatch.delattr(os, "geteuid")
    assert is_read(made())


def private_told(caplog, why: str) -> None:
    """Nothing is kept there, the function is compiled all the same, and one line says so, once."""
    assert not is_kept()
    for _ in range(2):
        assert not is_read(made())
    (message,) = caplog.messages
    assert message.startswith(why)
    assert message.endswith("so compiled code is neither read nor kept there, and compiled anew")


def test_one_process_compiles_while_others_wait(cache):
    (cache / "l2h-fleet").mkdir()
    other = os.open(cache / "l2h-fleet", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    waiting = threading.Thread(target=made)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    assert not list(cache.rglob("*.nbi"))
    os.close(other)
    waiting.join(60)
    assert is_read(made())


def test_what_is_there_is_read_while_another_process_compiles(monkeypatch):
    """For instance for another clone: its turn is nobody's business here."""
    made()
    monkeypatch.setattr(turns, "my_turn", None)
    assert is_read(made())


def test_who_gets_its_turn_clears_away_what_killed_processes_left(cache):
    """Else the next process at work on anything would be taken for one that compiles this."""
    left = cache / "l2h-fleet" / "kernel-other" / "begun"
    left.parent.mkdir(parents=True)
    left.touch()
    with turns.my_turn():
        assert not left.exists()


def test_who_waits_for_a_process_in_the_line_is_told(cache):
    """It compiles something else first."""
    whole, told = decorators.whole(one_more), []
    (cache / "l2h-fleet").mkdir()
    other = os.open(cache / "l2h-fleet", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    waiting = threading.Thread(target=kept.wait, args=(whole, TYPES, told.append))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    assert set(told) == {0.0}
    os.close(other)
    waiting.join(60)
    assert not waiting.is_alive()


def test_nobody_waits_for_ever(cache, monkeypatch):
    """The other one may have been stopped."""
    monkeypatch.setattr(turns, "PATIENCE_S", 0.1)
    (cache / "l2h-fleet").mkdir()
    other = os.open(cache / "l2h-fleet", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    made()
    os.close(other)


def test_code_of_other_sources_goes_when_nobody_used_it_for_a_month(cache):
    """What is read is used; folders that are not ours stay."""
    above, now = cache / "l2h-fleet", time.time()
    old, young, strange = (above / name for name in ("kernel-0.1-old", "kernel-0.1-young", "data"))
    for folder in (old, young, strange):
        folder.mkdir(parents=True)
        (folder / "walk.nbi").write_text("")
        os.utime(folder, (now, now - (29 if folder == young else 31) * 86_400))
    made()
    (own,) = set(above.iterdir()) - {old, young, strange}
    assert sorted(above.iterdir()) == sorted((own, young, strange))
    os.utime(own, (now, now - 31 * 86_400))
    assert is_read(made())
    assert own.stat().st_mtime == pytest.approx(now, abs=600)


def is_kept() -> bool:
    return kept.is_kept(decorators.whole(one_more), TYPES)


def test_whether_it_must_be_compiled_is_known_before(cache, monkeypatch):
    assert not is_kept()
    made()
    assert is_kept()
    assert not kept.is_kept(decorators.whole(one_more), (numba.float64,))
    (index,) = cache.rglob("*.nbi")
    (code,) = cache.rglob("*.nbc")
    content = code.read_bytes()
    code.unlink()  # as whoever is killed between the two leaves it
    assert not is_kept()
    code.write_bytes(content)
    index.unlink()
    assert not is_kept()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert is_kept()


def test_how_long_another_process_has_been_at_it_is_known(cache):
    """It holds the lock and says when it began; without the lock it has been killed."""
    whole = decorators.whole(one_more)
    folder = kept.cache_folder(whole, TYPES)
    folder.mkdir(parents=True)
    (folder / "begun").touch()
    os.utime(folder / "begun", (time.time() - 7, time.time() - 7))
    assert kept.compiling_since_s(whole, TYPES) is None
    other = os.open(cache / "l2h-fleet", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    assert kept.compiling_since_s(whole, TYPES) == pytest.approx(7, abs=5)
    (folder / "begun").unlink()  # it compiles something else
    assert kept.compiling_since_s(whole, TYPES) is None
    os.close(other)


def test_who_waits_is_told_and_goes_on_when_it_is_there_or_given_up(cache):
    whole = decorators.whole(one_more)
    folder = kept.cache_folder(whole, TYPES)
    for ends in ("there", "given up"):
        told: list[float] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "begun").touch()
        other = os.open(cache / "l2h-fleet", os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=kept.wait, args=(whole, TYPES, told.append))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        if ends == "there":
            (folder / "walk.nbi").touch()
            (folder / "walk.nbc").touch()
        else:
            os.close(other)
        waiting.join(10)
        assert not waiting.is_alive()
        assert told
        if ends == "there":
            os.close(other)
            shutil.rmtree(folder)


def test_nothing_that_a_killed_process_left_stays(cache):
    made()
    (code,) = cache.rglob("*.nbc")
    half = code.with_name(f"{code.name}.tmp.k1ll3d")
    half.write_text("half of it")
    assert is_read(made())
    assert half.exists()  # somebody may be writing it
    os.utime(half, (0, 0))
    assert is_read(made())
    assert not half.exists()
    assert sorted(path.suffix for path in code.parent.iterdir()) == [".nbc", ".nbi"]


# What an entry follows from.

FACTOR, SHAPE = 2, ("a", 3)
NAMED = frozenset({"x", "y", "z"})


def twice(number):
    return FACTOR * number


def of_all(number):
    return decorated(number) + SHAPE[1] + np.sqrt(number)


decorated = decorators.handler(twice)


def test_what_is_called_and_what_constants_are_is_in_the_fingerprint(monkeypatch):
    """Also of functions that other functions call; not where they stand."""
    before = fingerprint(of_all, TYPES)
    assert fingerprint(of_all, TYPES) == before
    assert fingerprint(of_all, (numba.int32,)) != before
    for name, value in (
        ("FACTOR", 3),
        ("FACTOR", 2.0),
        ("SHAPE", ("a", 4)),
        ("decorated", decorators.view(twice)),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(globals(), name, value)
            assert fingerprint(of_all, TYPES) != before, name
    assert fingerprint(of_all, TYPES) == before


def test_every_number_that_the_event_loop_names_is_in_its_fingerprint():
    """Numba itself looks at one file; constants come from modules around it."""
    types, python = target.argument_types(), compiled_clock.linked[walk.walk].py_func
    before, known = fingerprint(target.function, types), python.__globals__
    numbers = [name for name in python.__code__.co_names if isinstance(known.get(name), int)]
    assert len(numbers) > 3
    for name in numbers:
        with patch.dict(known, {name: known[name] + 1}):
            assert fingerprint(target.function, types) != before, name
    assert fingerprint(target.function, types) == before


def test_fields_of_tuples_are_in_the_fingerprint():
    """Numba's own name of a type has their types alone, and code knows them by place."""
    found = {
        fingerprint(twice, (numba.typeof(namedtuple("Pair", names)(1, 1)),))
        for names in ("a b", "b a", "a c")
    }
    assert len(found) == 3


@tried(50)
@given(worlds())
def test_every_run_asks_for_the_types_that_are_compiled_beside(world):
    known = World(world[0])
    learning = Learning(known, made_up(world[0]), MadeUpLearner(world[0], made_up(world[0])))
    clock = compiled_clock.CompiledClock(known.parameters)
    found = compiled_clock.types_of(clock.context_of_nothing(at_start(known), learning))
    assert found == target.argument_types()


def test_an_array_of_another_type_or_order_is_refused():
    """The compiled code is called past Numba's own look at types."""
    known = World(scenario_of())
    learning = Learning(known, made_up(known.scenario))
    clock = compiled_clock.CompiledClock(known.parameters)
    found = clock.context_of_nothing(at_start(known), learning)
    kinds, arrays = compiled_clock.types_of(found)[0], found.arrays
    expected = compiled_clock.expected_of(kinds)
    compiled_clock.check(expected, arrays)
    for wrong in (arrays.scale.astype(np.float32), np.zeros(8)[::2]):
        with pytest.raises(TypeError, match=r"^scale is "):
            compiled_clock.check(expected, arrays._replace(scale=wrong))


TINY = """
from sim.engine.compiling.decorators import handler, whole
from sim.tiny_constants import STEP

@handler
def step(number):
    return number + STEP

@whole
def walk(number):
    return step(step(number))
"""
ASK = """
import numba
from sim import tiny
from sim.engine.compiling import kept
was = kept.is_kept(tiny.walk, (numba.int64,))
kept.ready(tiny.walk, (numba.int64,))
print(was, sum(tiny.walk.stats.cache_hits.values()), tiny.walk(1))
"""


def a_clone(folder: Path, step: int, note: str = "") -> Path:
    """A copy of the tree with something small to compile, all of it newer than what is kept."""
    shutil.copytree(ROOT / "sim", folder / "sim", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "sim/tiny.py").write_text(note + TINY)
    (folder / "sim/tiny_constants.py").write_text(f"STEP = {step}\n")
    return folder


def told_in(clone: Path, code: str, cache: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=clone,
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout.strip()


@pytest.mark.slow
def test_clones_with_the_same_sources_share_what_one_compiled(cache):
    first, second = (a_clone(cache / name, step=1) for name in ("first", "second/clone"))
    moved, other = a_clone(cache / "moved", 1, "# a line more\n\n"), a_clone(cache / "other", step=2)
    assert told_in(first, ASK, cache) == "False 0 3"
    assert told_in(second, ASK, cache) == "True 1 3"
    assert told_in(moved, ASK, cache) == "True 1 3"
    assert told_in(other, ASK, cache) == "False 0 5"
    assert told_in(first, ASK, cache) == "True 1 3"
    assert len(list(cache.rglob("*.nbc"))) == 2


REAL = """
from sim.engine.compiling import kept, target
print(target.is_kept(), end=' ')
kept.ready(target.function, target.argument_types())
print(sum(target.function.stats.cache_hits.values()))
"""


@pytest.mark.slow  # if this is the first to want it
@pytest.mark.timeout(900)
def test_clones_share_the_event_loop(tmp_path):
    """In the user's own cache, where other tests look for it, too."""
    told_in(ROOT, REAL, USERS)
    assert told_in(a_clone(tmp_path / "clone", step=1), REAL, USERS) == "True 1"


# In another process.

TARGET = """
import numba
from sim.engine.compiling import kept
from sim.tiny import walk as function

def argument_types():
    return (numba.int64,)

def is_kept():
    return kept.is_kept(function, argument_types())
"""
UNTIL_IT_HAS_BEGUN = """
import os, signal, time
from pathlib import Path
from sim.engine.compiling import beside, kept, target
began, cache = time.monotonic(), Path(os.environ["XDG_CACHE_HOME"])
def until(is_so):
    while not is_so():
        assert time.monotonic() < began + 60
        time.sleep(0.02)
def since_s():
    return kept.compiling_since_s(target.function, target.argument_types())
with beside.compiled_beside({}):
    until(lambda: any(cache.rglob("begun")))
    {}
"""


@pytest.fixture
def clone(cache):
    """A copy of the tree in which there is little to compile."""
    folder = a_clone(cache / "clone", step=1)
    (folder / "sim/engine/compiling/target.py").write_text(TARGET)
    return folder


@pytest.mark.slow
def test_what_is_compiled_beside_is_found(clone, cache):
    then = "until(target.is_kept)"
    told_in(clone, UNTIL_IT_HAS_BEGUN.format("", then), cache)
    assert told_in(clone, REAL, cache) == "True 1"
    assert not running_with("XDG_CACHE_HOME", cache)


@pytest.mark.slow
def test_what_is_ended_on_the_way_leaves_nothing_that_anybody_takes_for_code(clone, cache):
    then = "print(since_s() is None)\nprint(since_s(), target.is_kept())"
    assert told_in(clone, UNTIL_IT_HAS_BEGUN.format("", then), cache) == "False\nNone False"
    assert told_in(clone, REAL, cache) == "False 0"
    assert told_in(clone, REAL, cache) == "True 1"


def test_it_ends_with_its_parent_however_that_ends(clone, cache):
    """Also where that is killed and can end nobody."""
    then = "os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(subprocess.CalledProcessError) as told:
        told_in(clone, UNTIL_IT_HAS_BEGUN.format("", then), cache)
    assert told.value.returncode == -signal.SIGKILL
    until_all_have_ended(cache)
    assert told_in(clone, REAL, cache) == "False 0"


@pytest.mark.slow
def test_it_may_go_on_by_itself_and_ends_when_it_is_through(clone, cache):
    told_in(clone, UNTIL_IT_HAS_BEGUN.format("lambda: True", ""), cache)
    until_all_have_ended(cache)
    assert told_in(clone, REAL, cache) == "True 1"


def until_all_have_ended(cache: Path) -> None:
    end = time.monotonic() + 60
    while running_with("XDG_CACHE_HOME", cache):
        assert time.monotonic() < end
        time.sleep(0.05)
