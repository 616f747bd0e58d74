"""Limits on a process, told in one line before a library meets them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_AS, RLIMIT_NOFILE, setrlimit

import pytest

from agents.backends import cluster, limits
from agents.backends.limits import GIB, WITH_RAY, WITHOUT, require_room, threads_that_start
from sim.errors import BadInput, RunFailed

ROOT = Path(__file__).resolve().parents[1]


def test_a_memory_limit_is_told_before_anything_is_loaded_or_written(tmp_path: Path) -> None:
    """Libraries would break in ways of their own, or wait for ever: 1.4 GiB are too few to load them."""
    words = [sys.executable, str(ROOT / "run_sim.py"), "run", "smoke", "--local"]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: setrlimit(RLIMIT_AS, (1_500_000 * 1024, RLIM_INFINITY)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "too little memory may be mapped: ulimit -v 1500000 allows 1.4 GiB of addresses, this needs 2 GiB "
        "or more: ulimit -v unlimited\n"
    )
    assert list(tmp_path.iterdir()) == []


def begun_with_files(soft: int, hard: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """The shortest command, in a process that may have so many files open, and by its own will so many."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), "--version"],
        cwd=folder,
        preexec_fn=lambda: setrlimit(RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_limit_of_open_files_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    done = begun_with_files(12, 12, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "too few files may be open: 12, this needs 64 or more: raise the limit (ulimit -Hn, or that of the "
        "container)\n"
    )


def test_a_limit_of_open_files_that_this_process_may_raise_itself_is_raised(tmp_path: Path) -> None:
    done = begun_with_files(12, 64, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_ray_needs_more_open_files_than_a_process_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 32 it made a wait of half a minute, for a file of its own that never came."""
    monkeypatch.setattr(limits, "files_that_open", lambda count: min(count, 128))
    require_room(WITHOUT)
    with pytest.raises(BadInput, match=r"128, Ray .* needs 256 .*--local"):
        require_room(WITH_RAY)


@pytest.mark.parametrize(("needs", "remedy"), [(WITHOUT, "of the container)"), (WITH_RAY, "do without it")])
def test_a_limit_of_threads_is_told(
    monkeypatch: pytest.MonkeyPatch, needs: limits.Needs, remedy: str
) -> None:
    monkeypatch.setattr(limits, "threads_that_start", lambda _: 7)
    with pytest.raises(BadInput, match=rf"7 more, .* needs {needs.threads} or more: .*ulimit -u") as refused:
        require_room(needs)
    assert str(refused.value).endswith(remedy)


def test_ray_needs_more_than_a_process_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "getrlimit", lambda _: (4 * GIB, RLIM_INFINITY))
    require_room(WITHOUT)
    with pytest.raises(BadInput, match=r"Ray .* needs 20 GiB .*--local"):
        require_room(WITH_RAY)


def test_threads_that_were_tried_are_gone_and_those_that_cannot_start_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, tried = threading.active_count(), []
    start = threading.Thread.start

    def third_fails(thread: threading.Thread) -> None:
        tried.append(thread)
        if len(tried) == 3:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", third_fails)
    assert threads_that_start(5) == 2
    assert threading.active_count() == before


def test_a_cluster_without_room_is_refused_with_what_does_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "threads_that_start", lambda _count: 7)
    with pytest.raises(BadInput, match=r"7 more, Ray .* needs 320 or more: .*; --server processes does$"):
        cluster.start_private(ExitStack(), 1, "; --server processes does")


def test_a_cluster_that_does_not_come_up_twice_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[Path] = []

    def timed_out(*_words: object, _temp_dir: str, **_options: object) -> None:
        folders.append(Path(_temp_dir))
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(cluster.ray, "init", timed_out)
    monkeypatch.setattr(cluster, "require_room", lambda _needs: None)
    with pytest.raises(RunFailed) as failed, ExitStack() as at_end:
        cluster.start_private(at_end, 2)
    assert failed.value.stage == "load"
    assert failed.value.why == (
        "Ray did not start (The current node timed out during startup); --local and --jobs 1 do without it"
    )
    first, second = folders
    assert first != second
    assert not first.exists()
    assert not second.exists()
