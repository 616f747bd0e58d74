"""Room for the columns of many requests: files without a name, of which memory holds what was looked at last.
Below everything that keeps a number per request; small arrays lie in memory as ever."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from analysis.statistics.pieces import pieces

LARGE = 2**22  # bytes


def room(count: int, kind: DTypeLike) -> NDArray[Any]:
    """An array (count,) to be written: from `LARGE` bytes on in a file that goes with it, below the system's
    folder for such (`TMPDIR`); in memory where that has no room."""
    size = count * np.dtype(kind).itemsize
    if size < LARGE or not hasattr(os, "posix_fallocate"):
        return np.empty(count, kind)
    try:
        with TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and not when it is written
            return np.frombuffer(mmap.mmap(file.fileno(), size), kind)
    except OSError:
        return np.empty(count, kind)


def taken(values: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """`values[places]`, (k,), with room for it."""
    found = room(places.size, values.dtype)
    for piece in pieces(places.size):
        found[piece] = values[places[piece]]
    return found


def columns_of(frame: pd.DataFrame) -> list[NDArray[Any]]:
    """The columns of a frame as they lie there, of names their codes."""
    arrays = (frame[name].array for name in frame)
    return [
        array.codes if isinstance(array, pd.Categorical) else array.to_numpy(copy=False) for array in arrays
    ]


def files_of(arrays: Iterable[NDArray[Any]]) -> list[mmap.mmap]:
    """The files in which some of the arrays lie; what is let go of them comes back where it is looked at."""
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
