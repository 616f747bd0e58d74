"""Files that appear whole or not at all, whatever comes in between."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.errors import BadInput
from sim.results.cache_folder import CACHE_VARIABLE, cache_root
from sim.results.whole_files import in_words, require_writable, sweep, write_whole


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the disk takes bytes into its cache and finds no place for them."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_bytes_are_written_and_replaced_whole(tmp_path):
    write_whole(tmp_path / "deep/file", b"first, longer")
    write_whole(tmp_path / "deep/file", b"second")
    assert files(tmp_path) == {"deep/file": "second"}


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"old")
    fill_the_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", b"new")
    assert files(tmp_path) == {"file": "old"}


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """What is renamed is what was synced."""
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(sorted(path.name for path in tmp_path.iterdir())))
    write_whole(tmp_path / "file", b"x")
    ((hidden,),) = seen
    assert hidden.startswith(".file.")
    assert files(tmp_path) == {"file": "x"}


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"x")
    assert files(tmp_path) == {}


def test_others_may_read_what_is_written(tmp_path):
    write_whole(tmp_path / "file", b"x")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


WRITE_FOR_EVER = """
import os, sys, time
from pathlib import Path
from sim.results.whole_files import write_whole
os.fsync = lambda _: (print("under way", flush=True), time.sleep(600))
write_whole(Path(sys.argv[1]), b"half")
"""


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    (tmp_path / ".gitignore").write_text("none of ours")
    words = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "deep/file")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout.readline() == "under way\n"
            sweep(tmp_path)
            (hidden,) = (tmp_path / "deep").iterdir()
            assert hidden.read_text() == "half"
        finally:
            writer.kill()
    assert hidden.exists()
    sweep(tmp_path)
    assert files(tmp_path) == {".gitignore": "none of ours"}


def test_a_writer_whose_file_was_swept_before_it_was_locked_takes_another(tmp_path, monkeypatch):
    lock, swept = fcntl.flock, []

    def sweep_first(handle: int, how: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob(".file*"))
            swept[0].unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    write_whole(tmp_path / "file", b"x")
    assert swept
    assert files(tmp_path) == {"file": "x"}


def test_a_folder_in_the_place_of_a_file_is_told_and_nothing_is_left(tmp_path):
    (tmp_path / "risk.svg").mkdir()
    with pytest.raises(BadInput, match=r"risk\.svg: is a folder, and a file is to stand there"):
        write_whole(tmp_path / "risk.svg", b"picture")
    assert [path.name for path in tmp_path.iterdir()] == ["risk.svg"]


def refuse_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no file can be made, as on a file system that may only be read."""

    def read_only(path: object, *_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "open", read_only)


def test_what_cannot_be_written_is_told_by_its_own_name(tmp_path, monkeypatch):
    """Not by that of the hidden file beside it, which nobody knows."""
    refuse_files(monkeypatch)
    with pytest.raises(OSError, match="Read-only") as refused:
        write_whole(tmp_path / "file", b"x")
    assert in_words(refused.value) == f"{tmp_path / 'file'}: cannot be written (Read-only file system)"


def test_a_disk_that_is_full_at_the_end_names_the_file(tmp_path, monkeypatch):
    fill_the_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left") as refused:
        write_whole(tmp_path / "file", b"x")
    assert in_words(refused.value) == f"{tmp_path / 'file'}: cannot be written (No space left on device)"


def test_what_is_no_matter_of_writing_is_not_told_as_one():
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a")
    assert in_words(error) == "a: cannot be used (No such file or directory)"
    assert in_words(OSError("by a library")) == "by a library"


def test_whether_a_folder_can_be_written_is_known_before_it_is_made(tmp_path, monkeypatch):
    require_writable(tmp_path / "deep/er", "--out")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"^--out .*file/x: cannot be written \(Not a directory\)$"):
        require_writable(tmp_path / "file/x", "--out")
    assert files(tmp_path) == {"file": ""}
    refuse_files(monkeypatch)
    with pytest.raises(BadInput, match=r"^--run-cache .*er: cannot be written \(Read-only file system\)$"):
        require_writable(tmp_path / "deep/er", "--run-cache")


def test_a_cache_whose_name_no_file_could_have_is_told_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("x" * 300, "/".join(["y" * 200] * 25)):
        monkeypatch.setenv(CACHE_VARIABLE, root)
        with pytest.raises(BadInput, match=r"^L2H_CACHE .*: cannot be written \(File name too long\)"):
            cache_root()
