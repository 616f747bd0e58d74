"""Runs that break off and go on to the same bytes; and checkpoints that are not what they were."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from arrival_kinds import EVERY, group, scenario
from hypothesis import given
from hypothesis import strategies as st
from strategies import several, worlds
from test_engine import busy
from tried import tried
from worlds import MadeUpLearner, group_of, made_up, scenario_of

from sim.engine.run import Chunk, Run
from sim.errors import RunFailed
from sim.results import checkpoints
from sim.results.checkpoints import Checkpoints
from sim.results.packing import pack, unpack
from sim.simulation import simulate
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

BEGUN = {"scenario": {"seed": 7}}
LEARNING = {
    "feedback": "deferred_only",
    "online": {
        "every_s": 40.0,
        "steps": 2,
        "step_s": 4.0,
        "rejector_steps": 1,
        "rejector_step_s": 0.5,
        "source": "deferred",
    },
}


def told(chunk: Chunk) -> tuple[Any, ...]:
    """Everything that a chunk gave but the wall time; tables as bytes, since NaN is not NaN."""
    tables = (chunk.requests, chunk.attempts, pa.table(chunk.seconds))
    return chunk.end, [as_bytes(table) for table in tables], chunk.learning, chunk.arrived, chunk.steps


def as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


@tried(40)
@given(worlds() | several(), st.data())
def test_a_run_that_is_kept_and_restored_at_any_chunk_ends_is_the_same(world, data):
    """Each time in a new `Run` and with a new learner, to which nothing else was told."""
    asked, arrivals, chunk_s = world
    learned = made_up(asked)

    def fresh() -> Run:
        return Run(
            World(asked), learned, arrivals, MadeUpLearner(asked, learned), windows=EvenWindows(chunk_s)
        )

    whole, broken = fresh(), fresh()
    while not whole.is_over:
        expected, found = whole.advance(), broken.advance()
        assert told(found) == told(expected)
        if data.draw(st.booleans()):
            content = pack(broken.kept())
            broken = fresh()
            broken.restore(unpack(content))
    broken.finish()


@pytest.mark.slow
@pytest.mark.parametrize(("process", "shape"), EVERY)
def test_arrivals_go_on_where_they_were(process, shape, tmp_path):
    asked = scenario(group(process, shape, clients=5, folder=tmp_path))
    learned = made_up(asked)
    whole = Run(World(asked), learned, ScenarioArrivals(World(asked)), windows=EvenWindows(60.0))
    chunks = [whole.advance() for _ in range(3)]
    first = Run(World(asked), learned, ScenarioArrivals(World(asked)), windows=EvenWindows(60.0))
    assert told(first.advance()) == told(chunks[0])
    then = Run(World(asked), learned, ScenarioArrivals(World(asked)), windows=EvenWindows(60.0))
    then.restore(unpack(pack(first.kept())))
    assert [told(then.advance()) for _ in range(2)] == [told(chunk) for chunk in chunks[1:]]
    then.finish()


def content(folder: Path) -> dict[str, bytes]:
    """The files of a run, by name, the checkpoint's left out."""
    return {
        name: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (name := str(path.relative_to(folder))).startswith("checkpoint")
    }


class Cut(Exception):
    """The end of a process, in a test."""


def cut_at(chunks: int) -> Any:
    """A listener that ends the run after so many chunks, as it would tell of the last."""
    left = iter(range(chunks - 1))

    def listen(_at: float, _n: int) -> None:
        if next(left, None) is None:
            raise Cut

    return listen


def kept_in(folder: Path, every_s: float = 0.0, begun: Any = BEGUN) -> Checkpoints:
    made = Checkpoints(folder, every_s)
    made.begin(begun)
    return made


def learning() -> Any:
    """A scenario of six chunks that learns while it runs."""
    return busy().model_copy(update={"horizon_s": 350.0, "training": scenario_of(training=LEARNING).training})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    asked, learned = learning(), made_up(learning())
    simulate(World(asked), learned, folder, learner=MadeUpLearner(asked, learned))
    return content(folder)


def go_on(folder: Path, kept: Checkpoints, **extra: Any) -> Any:
    asked, learned = learning(), made_up(learning())
    learner = MadeUpLearner(asked, learned)
    return simulate(
        World(asked), learned, folder, learner=learner, checkpoints=kept, since=kept.newest(), **extra
    )


def broken_off(folder: Path, chunks: int) -> None:
    with pytest.raises(Cut):
        go_on(folder, kept_in(folder), progress=cut_at(chunks))


@pytest.mark.parametrize("chunks", [1, 2, 5, 6])
def test_a_run_that_broke_off_ends_with_the_same_files(chunks, undisturbed, tmp_path):
    """A chunk is written, and told, before its checkpoint: so the last one is done again."""
    broken_off(tmp_path, chunks)
    ends: list[float] = []
    done = go_on(tmp_path, kept_in(tmp_path), progress=lambda at, _: ends.append(at))
    assert content(tmp_path) == undisturbed
    assert len(ends) == 6 - (chunks - 1)
    assert done.requests > 500


def test_it_may_break_off_again_and_again(undisturbed, tmp_path):
    for _ in range(5):
        broken_off(tmp_path, 2)
    go_on(tmp_path, kept_in(tmp_path))
    assert content(tmp_path) == undisturbed


def test_asked_to_stop_it_leaves_a_checkpoint_first(undisturbed, tmp_path):
    kept = kept_in(tmp_path, every_s=1e9)
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path, kept, is_to_stop=lambda: True)
    assert [place.name for place in kept.folder.glob("at-*")] == ["at-0000001"]
    ends: list[float] = []
    go_on(tmp_path, kept_in(tmp_path), progress=lambda at, _: ends.append(at))
    assert len(ends) == 5
    assert content(tmp_path) == undisturbed


def test_what_was_written_after_the_checkpoint_is_dropped(undisturbed, tmp_path):
    broken_off(tmp_path, 3)
    (tmp_path / "requests/part-0000077.parquet").write_bytes(b"of another time")
    (tmp_path / "requests/.part-0000003.parquet.x1y2").write_bytes(b"half")
    (tmp_path / "checkpoint/.at-0000003.partial").mkdir()
    (tmp_path / ".timeline.parquet.partial").write_bytes(b"half")
    (tmp_path / "failure.txt").write_text("a story")
    go_on(tmp_path, kept_in(tmp_path))
    assert content(tmp_path) == undisturbed
    assert not list(tmp_path.rglob(".*"))


def test_the_two_newest_are_kept_and_nothing_after_the_end(tmp_path):
    broken_off(tmp_path, 5)
    kept = kept_in(tmp_path)
    names = {path.name for path in kept.folder.iterdir()}
    assert names == {"run.json", "timeline", "at-0000003", "at-0000004"}
    go_on(tmp_path, kept)
    kept.discard()
    assert not (tmp_path / "checkpoint").exists()


def truncate(place: Path) -> None:
    file = place / "loop"
    file.write_bytes(file.read_bytes()[:-100])


def turn_a_bit(place: Path) -> None:
    file = place / "learning"
    old = bytearray(file.read_bytes())
    old[-1] ^= 1
    file.write_bytes(old)


def lose_a_file(place: Path) -> None:
    (place / "learners").unlink()


def empty_the_manifest(place: Path) -> None:
    (place / "manifest.json").write_text("")


def forget_the_files(place: Path) -> None:
    (place / "manifest.json").write_text('{"format": 3, "run": "x", "files": [1]}')


def be_of_tomorrow(place: Path) -> None:
    known = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps(known | {"format": 99}))


def lose_a_part(place: Path) -> None:
    (place.parents[1] / "requests/part-0000003.parquet").unlink()


def shorten_a_part(place: Path) -> None:
    file = place.parents[1] / "attempts/part-0000003.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def turn_a_bit_of_a_part(place: Path) -> None:
    file = place.parent / "timeline/part-0000003.parquet"
    old = bytearray(file.read_bytes())
    old[len(old) // 2] ^= 1
    file.write_bytes(old)


HARMS = {
    truncate: "its loop has [0-9]+ bytes, not [0-9]+",
    turn_a_bit: "its learning does not have the recorded checksum",
    lose_a_file: "its learners cannot be read",
    empty_the_manifest: r"its manifest\.json cannot be read",
    forget_the_files: r"its manifest\.json cannot be read",
    be_of_tomorrow: f"was written in format 99, not {checkpoints.FORMAT}",
    lose_a_part: r"requests/part-0000003\.parquet is missing",
    shorten_a_part: r"attempts/part-0000003\.parquet is not as it was written",
    turn_a_bit_of_a_part: r"checkpoint/timeline/part-0000003\.parquet is not as it was written",
}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_one_that_is_damaged_is_told_and_the_one_before_is_used(harm, undisturbed, tmp_path, caplog):
    broken_off(tmp_path, 5)
    harm(tmp_path / "checkpoint/at-0000004")
    ends: list[float] = []
    go_on(tmp_path, kept_in(tmp_path), progress=lambda at, _: ends.append(at))
    assert len(ends) == 3
    assert content(tmp_path) == undisturbed
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path}/checkpoint/at-0000004: ")
    assert line.endswith("; it is not used")
    assert "\n" not in line
    assert re.search(HARMS[harm], line)


def test_where_none_can_be_used_the_run_starts_again(undisturbed, tmp_path, caplog):
    broken_off(tmp_path, 5)
    for place in (tmp_path / "checkpoint").glob("at-*"):
        truncate(place)
    go_on(tmp_path, kept_in(tmp_path))
    assert len(caplog.messages) == 2
    assert content(tmp_path) == undisturbed


def test_one_of_another_run_is_not_used(tmp_path, caplog):
    broken_off(tmp_path / "other", 5)
    other = kept_in(tmp_path / "mine", begun={"scenario": {"seed": 8}})
    shutil.copytree(tmp_path / "other", tmp_path / "mine", dirs_exist_ok=True)
    assert other.newest() is None
    assert all("belongs to another run; it is not used" in line for line in caplog.messages)
    assert len(caplog.messages) == 2


def test_one_that_does_not_fit_what_the_models_say_fails_the_run(tmp_path):
    broken_off(tmp_path, 3)
    asked, kept = learning(), kept_in(tmp_path)
    others = made_up(asked, seed=1)
    learner = MadeUpLearner(asked, others)
    with pytest.raises(RunFailed, match="the models answer otherwise than when the checkpoint was written"):
        simulate(World(asked), others, tmp_path, learner=learner, checkpoints=kept, since=kept.newest())


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_a_disk_that_is_full_leaves_the_last_good_one(fails_at, tmp_path, monkeypatch):
    """Whichever write of the second checkpoint fails: its files, its manifest, its folder, the rename."""
    kept = kept_in(tmp_path)
    kept.save_run(0, {"a": {"x": 1}, "b": {"y": 2}})
    calls = iter(range(1, 99))

    def full(_: int) -> None:
        if next(calls) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        if fails_at <= 5:
            with pytest.raises(RunFailed, match=r"at-0000000: cannot be written \(No space left on device\)"):
                kept.save_run(0, {"a": {"x": 3}, "b": {"y": 4}})
    assert not list(tmp_path.rglob(".*"))
    found = kept_in(tmp_path).newest()
    assert found in ({"a": {"x": 1}, "b": {"y": 2}}, {"a": {"x": 3}, "b": {"y": 4}})


def test_they_wait_until_they_are_a_small_share_of_the_time(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(checkpoints, "perf_counter", lambda: clock[0])

    def pack_slowly(_value: Any) -> bytes:
        clock[0] += 1.0
        return b"x"

    monkeypatch.setattr(checkpoints, "pack", pack_slowly)
    kept = kept_in(tmp_path, every_s=10.0)
    clock[0] = 9.9
    assert not kept.is_due()
    clock[0] = 10.0
    assert kept.is_due()
    kept.save_run(1, {"a": 1})
    assert (kept.cost.written, kept.cost.seconds, kept.cost.last_bytes) == (1, 1.0, 1)
    clock[0] = 11.0 + 29.9
    assert not kept.is_due(), "a second for each thirty"
    clock[0] = 11.0 + 30.1
    assert kept.is_due()


def test_nothing_is_left_of_them_where_none_are_wanted(tmp_path):
    asked = scenario_of(horizon_s=90.0, fleet=(group_of(),))
    simulate(World(asked), made_up(asked), tmp_path)
    assert not (tmp_path / "checkpoint").exists()
