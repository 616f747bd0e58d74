"""About how large the samples are that a user brings, from names and headers alone: nothing is loaded.
For the estimate of memory; `agents.data.brought` reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sim.scenario.files.rows import BadFile, identity
from sim.scenario.files.table_files import NpzFile
from sim.scenario.text.wording import show

NUMBER_BYTES = 8  # of text, or packed
UNPACKED = 10  # times the size of a picture's file: its pixels
CHANNELS = 3


class Size(NamedTuple):
    """samples: where they can be counted, else 1; numbers: in all of them."""

    samples: int
    numbers: float


def size_of(path: str, image_size: int | None) -> Size:
    """Of a folder of pictures, an archive of arrays or a table; of what cannot be read, 1."""
    try:
        return _size(*identity(path), image_size)
    except BadFile:
        return Size(1, 1)


@lru_cache(maxsize=8)
def _size(path: str, _changed_ns: int, _bytes: int, image_size: int | None) -> Size:
    try:
        if os.path.isdir(path):
            files = [os.path.getsize(file) for file in files_below(Path(path))]
            of_each = CHANNELS * image_size**2 if image_size else 0
            return Size(max(1, len(files)), len(files) * of_each if of_each else UNPACKED * sum(files) or 1)
        if path.endswith(".npz"):
            shapes = [shape for shape, _ in NpzFile(path).shapes.values()]
            numbers = sum(float(np.prod(shape, dtype=np.float64)) for shape in shapes)
            return Size(max((shape[0] for shape in shapes if shape), default=1), numbers)
        return Size(1, os.path.getsize(path) / NUMBER_BYTES)
    except (OSError, ValueError, BadFile):
        return Size(1, 1)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in a folder and its folders, by name. Raises BadFile for a folder that is a link: what is
    behind it would not be counted."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in folders:
            if (Path(place) / name).is_symlink():
                raise BadFile(f"its folder {show(name)} is a link: put the folder itself there")
        for name in sorted(names):
            yield Path(place) / name
