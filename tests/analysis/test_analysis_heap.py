"""Memory that arrays had goes back to the system where the C library can be told so."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import heap

PIECE, PIECES = 50_000, 2_000  # bytes: too few for memory of their own


def held_mib() -> float:
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("RssAnon")]
    return int(line.split()[1]) / 2**10


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of another C library nothing is asked")
def test_what_arrays_had_goes_back() -> None:
    heap.give_back()  # what other tests have left
    before = held_mib()
    arrays = [np.ones(PIECE, dtype=np.uint8) for _ in range(PIECES)]
    last = np.ones(PIECE, dtype=np.uint8)  # behind them all, so that they lie within what the library holds
    full = held_mib()
    assert full - before > PIECE * PIECES / 2**20 / 2
    del arrays
    heap.give_back()
    assert held_mib() - before < (full - before) / 2
    assert last.all()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Has another library be found."""
    heap._glibc.cache_clear()
    yield lambda found: monkeypatch.setattr(ctypes, "CDLL", found)
    monkeypatch.undo()
    heap._glibc.cache_clear()


def unreadable(_: Any) -> Any:
    raise OSError("no such library")


@pytest.mark.parametrize("found", [unreadable, lambda _: object()])
def test_of_another_library_nothing_is_asked(loaded: Any, found: Any) -> None:
    loaded(found)
    heap.give_back()
    heap.shared_by_threads()
