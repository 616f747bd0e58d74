"""Sums over many values piece by piece, so that what is derived of them never lies there whole.
Up to `AT_ONCE` values are one piece: their sums are the same to the last bit as those of the whole array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**20
Floats = NDArray[np.float64]
Values = Callable[[slice], Floats]  # those of some places


def pieces(count: int) -> Iterator[slice]:
    """The places below `count`, in order; at least one piece."""
    for first in range(0, max(1, count), AT_ONCE):
        yield slice(first, min(count, first + AT_ONCE))


def floats(values: NDArray[Any]) -> Values:
    """An array (n,) as numbers of double precision."""
    return lambda places: values[places].astype(np.float64, copy=False)


def total(values: Values, count: int) -> float:
    """The sum of so many values."""
    return float(sum(values(places).sum() for places in pieces(count)))


def mean_among(values: NDArray[Any], among: NDArray[np.bool_]) -> float:
    """The mean of the values (n,) in a mask (n,); there must be some."""
    if values.dtype == bool:
        return int(np.count_nonzero(values & among)) / int(np.count_nonzero(among))
    kept = (values[places][among[places]].astype(np.float64, copy=False) for places in pieces(among.size))
    return float(sum(part.sum() for part in kept)) / int(np.count_nonzero(among))


def stretches(
    values: Values, count: int, is_kept: Callable[[Floats, slice], NDArray[np.bool_]], several: int, most: int
) -> list[Floats]:
    """The values that are kept, in order; of more than `most` the beginnings of `several` equal stretches,
    `most` values in all.

    is_kept: of the values of a piece and their places.
    """
    masks = [np.packbits(is_kept(values(places), places)) for places in pieces(count)]
    held = [int(np.bitwise_count(mask).sum()) for mask in masks]
    kept = sum(held)
    if kept > most:
        each, more = divmod(kept, several)
        starts = [place * each + min(place, more) for place in range(several)]
        wanted = [(start, start + most // several) for start in starts]
    else:
        wanted = [(0, kept)]
    found: list[list[Floats]] = [[] for _ in wanted]
    at = 0
    for places, mask, size in zip(pieces(count), masks, held, strict=True):
        spans = [(max(first, at) - at, min(end, at + size) - at) for first, end in wanted]
        if any(first < end for first, end in spans):
            whole = values(places)
            picked = whole[np.unpackbits(mask, count=whole.size).astype(bool)]
            for parts, (first, end) in zip(found, spans, strict=True):
                parts.extend([picked[first:end]] * (first < end))
        at += size
    return [np.concatenate([np.zeros(0), *parts]) for parts in found]
