"""The memory that the C library holds for arrays to come: large reports leave it little.
Used by `analysis.side_by_side` and `analysis.run_folder.traffic`; of another library than glibc nothing."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


def shared_by_threads() -> None:
    """From now on, to its end, new threads of this process are given no heap of their own, but one that there
    is: what one lets go of serves another."""
    if (library := _glibc()) is not None:
        library.mallopt(ARENA_MAX, 1)


def give_back() -> None:
    """What arrays had goes back to the system."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> Any:
    """The C library, where it is one that can be told; else None."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (AttributeError, OSError, TypeError):
        return None
