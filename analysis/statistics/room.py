"""Room for the columns of many requests: files without a name, of which memory holds what was looked at last.
Below everything that keeps a number per request; small arrays lie in memory as ever."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable
from math import inf
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from analysis.statistics.pieces import AT_ONCE, pieces

LARGE = 2**22  # bytes
SPARE = 40  # open files that are left to others, of those that a process may have


def room(count: int, kind: DTypeLike) -> NDArray[Any]:
    """An array (count,) to be written: from `LARGE` bytes on in a file that goes with it, below the system's
    folder for such (`TMPDIR`); in memory where that has no room, or few more files may be open."""
    size = count * np.dtype(kind).itemsize
    if size < LARGE or not hasattr(os, "posix_fallocate"):
        return np.empty(count, kind)
    try:
        with TemporaryFile() as file:
            next_free = os.dup(file.fileno())  # the number that the mapping takes
            os.close(next_free)
            if next_free + SPARE > _most_files():
                return np.empty(count, kind)
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and not when it is written
            return np.frombuffer(mmap.mmap(file.fileno(), size), kind)
    except OSError:
        return np.empty(count, kind)


def _most_files() -> float:
    """How many files this process may have open."""
    import resource  # noqa: PLC0415  (not there where nothing lies in files)

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if soft == resource.RLIM_INFINITY else soft


def taken(values: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """`values[places]`, (k,), with room for it."""
    return laid_down(lambda piece: values[places[piece]], places.size, values.dtype)


def laid_down(values: Callable[[slice], NDArray[Any]], count: int, kind: DTypeLike) -> NDArray[Any]:
    """So many values, piece by piece, with room for them."""
    found = room(count, kind)
    for piece in pieces(count):
        found[piece] = values(piece)
    let_go([found])
    return found


def joined(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """One array behind the other, as numbers of double precision, with room for both."""
    found = room(first.size + second.size, np.float64)
    for piece in pieces(first.size):
        found[piece] = first[piece]
    found[first.size :] = second
    let_go([found, first])
    return found


def let_go(arrays: Iterable[NDArray[Any]]) -> None:
    """What lies in files need not be in memory until somebody looks at it again."""
    for one in files_of(arrays):
        one.madvise(mmap.MADV_DONTNEED)


def columns_of(frame: pd.DataFrame) -> list[NDArray[Any]]:
    """The columns of a frame as they lie there, of names their codes."""
    arrays = (frame[name].array for name in frame)
    return [
        array.codes if isinstance(array, pd.Categorical) else array.to_numpy(copy=False) for array in arrays
    ]


def rows_of(columns: dict[str, Any], places: NDArray[Any]) -> dict[str, Any]:
    """Some rows of columns, of names as `pd.Categorical`, by their places (k,), with room for them."""
    found: dict[str, Any] = {}
    for name, whole in columns.items():
        codes = whole.codes if isinstance(whole, pd.Categorical) else whole
        found[name] = taken(codes, places)
        if codes is not whole:
            found[name] = pd.Categorical.from_codes(found[name], dtype=whole.dtype, validate=False)
        if places.size > AT_ONCE:
            let_go([codes])
    return found


def thinned(frame: pd.DataFrame, nth: int) -> pd.DataFrame:
    """Every nth row, from the first on; column by column, since files come into memory."""
    found = {}
    for name in frame:
        found[name] = frame[name].iloc[::nth].copy()
        let_go(columns_of(frame[[name]]))
    return pd.DataFrame(found)


def files_of(arrays: Iterable[NDArray[Any]]) -> list[mmap.mmap]:
    """The files in which some of the arrays lie."""
    found = []
    for array in arrays:
        owner: Any = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, memoryview):
            owner = owner.obj
        if isinstance(owner, mmap.mmap):
            found.append(owner)
    return found
