"""Room for the columns of many requests: files without a name, of which memory holds what was looked at last.
Below everything that keeps a number per request; small arrays lie in memory as ever."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from math import inf
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from analysis.statistics.pieces import AT_ONCE, pieces

LARGE = 2**22  # bytes
SPARE = 40  # open files that are left to others, of those that a process may have


def room(count: int, kind: DTypeLike) -> NDArray[Any]:
    """An array (count,) to be written: from `LARGE` bytes on in a file that goes with it, below the system's
    folder for such (`TMPDIR`); in memory where that has no room, or few more files may be open."""
    return _Laid(count, kind).whole()


class _Laid:
    """An array (count,) that is written from its beginning to its end: where it lies in a file at less cost
    than through a mapping, which the system fills page by page."""

    def __init__(self, count: int, kind: DTypeLike) -> None:
        self._kind, self._at = np.dtype(kind), 0
        self._size = count * self._kind.itemsize
        self._file = _file_of(self._size)
        self._memory = np.empty(count if self._file is None else 0, kind)

    def add(self, values: NDArray[Any]) -> None:
        if self._file is None:
            self._memory[self._at : self._at + values.size] = values
            self._at += values.size
        else:
            self._file.write(np.ascontiguousarray(values, self._kind).data)

    def whole(self) -> NDArray[Any]:
        if self._file is None:
            return self._memory
        with self._file as file:
            file.flush()
            return np.frombuffer(mmap.mmap(file.fileno(), self._size), self._kind)


def _file_of(size: int) -> IO[bytes] | None:
    """A file with room for so many bytes; None where they should lie in memory."""
    if size < LARGE or not hasattr(os, "posix_fallocate"):
        return None
    try:
        file = TemporaryFile()  # noqa: SIM115  (closed as it is mapped)
    except OSError:
        return None
    try:
        next_free = os.dup(file.fileno())  # the number that the mapping takes
        os.close(next_free)
        if next_free + SPARE <= _most_files():
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and not when it is written
            return file
    except OSError:
        pass
    file.close()
    return None


def _most_files() -> float:
    """How many files this process may have open."""
    import resource  # noqa: PLC0415  (not there where nothing lies in files)

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if soft == resource.RLIM_INFINITY else soft


def taken(values: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """`values[places]`, (k,), with room for it."""
    return laid_down(lambda piece: values[places[piece]], places.size, values.dtype)


def picked(values: NDArray[Any], among: NDArray[np.bool_]) -> NDArray[Any]:
    """`values[among]`, (k,), with room for it."""
    found = _Laid(int(np.count_nonzero(among)), values.dtype)
    for piece in pieces(among.size):
        found.add(values[piece][among[piece]])
    return found.whole()


def put_back(values: NDArray[Any], among: NDArray[np.bool_], otherwise: float) -> NDArray[np.float64]:
    """An array (n,) with the values (k,), in order, where a mask (n,) has them, and `otherwise` elsewhere."""
    done = 0

    def some(piece: slice) -> NDArray[np.float64]:
        nonlocal done
        mine = among[piece]
        found, first = np.full(mine.size, otherwise), done
        done += int(np.count_nonzero(mine))
        found[mine] = values[first:done]
        return found

    return laid_down(some, among.size, np.float64)


def places_in(among: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The places that a mask (n,) has, ascending, (k,), with room for them."""
    found = _Laid(int(np.count_nonzero(among)), np.int32)
    for piece in pieces(among.size):
        found.add(np.flatnonzero(among[piece]).astype(np.int32) + np.int32(piece.start))
    return found.whole()


def laid_down(values: Callable[[slice], NDArray[Any]], count: int, kind: DTypeLike) -> NDArray[Any]:
    """So many values, piece by piece, with room for them."""
    return laid_beside(lambda piece: [values(piece)], count, [kind])[0]


def laid_beside(
    values: Callable[[slice], Sequence[NDArray[Any]]], count: int, kinds: Sequence[DTypeLike]
) -> list[NDArray[Any]]:
    """The same of several arrays whose values are found together."""
    found = [_Laid(count, kind) for kind in kinds]
    for piece in pieces(count):
        for one, part in zip(found, values(piece), strict=True):
            one.add(part)
    return [one.whole() for one in found]


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
        if places.size > AT_ONCE // 16:  # fewer may touch few of its pages
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
