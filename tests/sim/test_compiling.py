"""Where compiled code is kept, and that whatever happens to that folder costs time and nothing else."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

compiling = pytest.importorskip("sim.engine.compiling")
numba = pytest.importorskip("numba")


def one_more(number):
    return number + 1


def made() -> object:
    """The function, as a process that has just begun has it."""
    whole = compiling.whole(one_more)
    compiling.ready(whole, (numba.int64,))
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


def test_nobody_waits_for_ever(cache, monkeypatch):
    """The other one may have been stopped."""
    monkeypatch.setattr(compiling, "PATIENCE_S", 0.1)
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


def test_whether_it_must_be_compiled_is_known_before(cache, monkeypatch):
    assert not compiling.is_kept()
    made()
    assert compiling.is_kept()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "other"))
    assert not compiling.is_kept()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert compiling.is_kept()
