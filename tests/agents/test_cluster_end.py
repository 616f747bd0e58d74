"""A cluster's last process: it ends whoever still writes in the folder, removes that, and harms nobody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agents.backends import cluster_end
from agents.backends.cluster import private_folder

SLEEP = ["sleep", "600"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "session"
    (made / "logs").mkdir(parents=True)
    (made / "logs/raylet.out").write_text("begun")
    return made


@pytest.fixture
def writer(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """As Ray's: all that it is known by is its open log."""
    with (folder / "logs/raylet.out").open("a") as log:
        process = ended(SLEEP, stdout=log)
    with process:  # this process must not be a writer itself
        yield process


class ended(subprocess.Popen[bytes]):  # noqa: N801  (used as a context, like a function)
    """A process that lives no longer than the test."""

    def __exit__(self, *broken: object) -> None:
        self.kill()
        super().__exit__(*broken)


def test_whoever_has_opened_no_log_yet_is_known_by_where_it_will_lie(folder: Path, tmp_path: Path) -> None:
    """As Ray's first process in its first moments; one that is told of another folder's log is left alone."""
    (tmp_path / "link").symlink_to(tmp_path)
    wait = [sys.executable, "-c", "import time; time.sleep(600)"]
    end = [sys.executable, "-I", "-S", cluster_end.__file__, str(tmp_path / "link/session")]
    with (
        ended([*wait, f"--log_dir={folder}/logs"]) as of_it,
        ended([*wait, f"--log_dir={tmp_path}/link/session/logs"]) as by_the_link,
        ended([*wait, f"--log_dir={folder}-2/logs"]) as of_another,
    ):
        subprocess.run(end, stdin=subprocess.DEVNULL, timeout=60, check=True)
        assert of_it.wait(timeout=60) == -9
        assert by_the_link.wait(timeout=60) == -9
        assert of_another.poll() is None
    assert not folder.exists()


def test_it_looks_again_for_whoever_is_just_being_started(
    folder: Path, writer: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its fork and its program a process has neither a log nor a command line of its own."""
    looks = iter([[], [writer.pid]])
    monkeypatch.setattr(cluster_end, "_processes", lambda: next(looks, []))
    cluster_end.end(folder, spared=set())
    assert writer.wait(timeout=60) == -9


@pytest.fixture
def bystanders(folder: Path, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """One reads a log, one writes beside the folder, one names the folder and works in it."""
    (tmp_path / "session-2").mkdir()
    with (
        (folder / "logs/raylet.out").open() as log,
        (tmp_path / "session-2/log").open("w") as other,
        ExitStack() as stack,
    ):
        kinds: list[tuple[list[str], dict[str, Any]]] = [
            (SLEEP, {"stdin": log}),
            (SLEEP, {"stdout": other}),
            (["tail", "-f", str(folder / "logs/raylet.out")], {"stdout": subprocess.DEVNULL, "cwd": folder}),
        ]
        yield [stack.enter_context(ended(words, **how)) for words, how in kinds]


def test_whoever_writes_there_ends_with_the_owner_and_nobody_else(
    folder: Path, writer: subprocess.Popen[bytes], bystanders: list[subprocess.Popen[bytes]]
) -> None:
    """The owner is killed: no word of it reaches anybody but by its end."""
    owner = f"""
import subprocess, sys
log = open({str(folder / "logs/owner.out")!r}, "w")
watch = [{sys.executable!r}, "-I", "-S", {cluster_end.__file__!r}, {str(folder)!r}]
watcher = subprocess.Popen(watch, stdin=subprocess.PIPE)
print(watcher.pid, flush=True)
watcher.wait()
"""
    with ended([sys.executable, "-c", owner], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        watcher = Path("/proc") / process.stdout.readline().decode().strip()
        assert writer.poll() is None
        process.kill()
        assert writer.wait(timeout=60) == -9
        process.stdout.read()  # until the watcher has ended, which holds the other end
    assert not (watcher / "exe").exists()
    assert not folder.exists()
    assert [one.poll() for one in bystanders] == [None] * 3


def test_a_folder_may_be_named_by_a_link(
    folder: Path, writer: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """As below a /tmp that is one."""
    (tmp_path / "link").symlink_to(tmp_path)
    words = [sys.executable, "-I", "-S", cluster_end.__file__, str(tmp_path / "link/session")]
    subprocess.run(words, stdin=subprocess.DEVNULL, timeout=60, check=True)
    assert writer.wait(timeout=60) == -9
    assert not folder.exists()


def test_an_owner_that_is_alive_is_spared_though_it_writes_there() -> None:
    """As this process does, whose core of Ray keeps a log open."""
    with private_folder() as folder:
        log = (folder / "core.log").open("w")
    assert not folder.exists()
    log.close()


def test_what_was_left_where_nobody_saw_to_it_is_removed_by_the_next_cluster() -> None:
    with private_folder() as folder:
        left = folder.parent / "left-behind"
        (left / "logs").mkdir(parents=True)
        with private_folder() as another:
            assert not left.exists()
            assert folder.exists()
        assert not another.exists()


def test_two_clusters_that_begin_at_once_leave_each_other_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second looks for what was left behind while the first starts its last process."""
    start = subprocess.Popen
    begun: list[Path] = []

    def begin_another(*words: Any, **how: Any) -> subprocess.Popen[bytes]:
        monkeypatch.setattr(subprocess, "Popen", start)
        with private_folder() as another:
            begun.append(another)
        return start(*words, **how)

    monkeypatch.setattr(subprocess, "Popen", begin_another)
    with private_folder() as folder:
        assert begun
        assert folder.exists()
