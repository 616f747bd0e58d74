"""Files that appear whole or not at all, whatever comes in between."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sim.whole_files import write_whole


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
