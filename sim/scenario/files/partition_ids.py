"""Files that say which samples each partition has, as federated partitioners give them.
A rule of `sim.scenario.rules.tables` and `agents.data.partitions` read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile, RowFile, identity

PARTITION, SAMPLE = "partition", "sample"
MOST = 2**31 - 1
Ids = NDArray[np.int64]


def partition_ids(path: str) -> tuple[Ids, ...]:
    """Per partition the numbers of its samples in the data set, ascending, each once, int64 (m,).

    Raises BadFile where a number is no number of a sample, or one stands twice in a partition.
    """
    return _partitions(*identity(path))


@lru_cache(maxsize=16)
def _partitions(path: str, _changed_ns: int, _bytes: int) -> tuple[Ids, ...]:
    found = _of_json(path) if path.endswith(".json") else _of_rows(path)
    if not found:
        raise BadFile("has no partitions")
    return tuple(_checked(number, ids) for number, ids in enumerate(found))


def _of_json(path: str) -> list[Sequence[Any]]:
    """A list of lists, or a mapping whose keys are 0, 1, 2, ..."""
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(f"cannot be read: {' '.join(str(error).split())}") from None
    if isinstance(told, dict):
        names = [str(number) for number in range(len(told))]
        if set(told) != set(names):
            raise BadFile("its partitions must be numbered 0, 1, 2, without a gap")
        told = [told[name] for name in names]
    if not isinstance(told, list) or not all(isinstance(one, list) for one in told):
        raise BadFile("must hold a list of sample numbers for each partition")
    return told


def _of_rows(path: str) -> list[Sequence[Any]]:
    file = RowFile(path)
    for name in (PARTITION, SAMPLE):
        if name not in file.names:
            raise BadFile(f"has no column {name}")
    parts = file.read([PARTITION, SAMPLE])
    rows = [(file.numbers(part, PARTITION), file.numbers(part, SAMPLE)) for part in parts]
    if not rows:
        return []
    partition, sample = (np.concatenate([row[place] for row in rows]) for place in (0, 1))
    numbers = np.unique(partition)
    if not np.array_equal(numbers, np.arange(len(numbers))):
        raise BadFile("its partitions must be numbered 0, 1, 2, without a gap")
    return [sample[partition == number] for number in numbers]


def _checked(number: int, ids: Sequence[Any]) -> Ids:
    try:
        values = np.asarray(ids, dtype=np.float64)
        wrong = ~((values >= 0) & (values <= MOST) & (values == np.floor(values)))
    except (TypeError, ValueError, OverflowError):
        raise BadFile(f"partition {number} holds what is no number of a sample") from None
    is_whole = isinstance(ids, np.ndarray) or all(type(one) is int for one in ids)  # a bool is an int, too
    if values.ndim != 1 or wrong.any() or not is_whole:
        raise BadFile(f"partition {number} holds what is no number of a sample, counted from 0")
    sorted_ids = np.sort(values.astype(np.int64))
    twice = np.flatnonzero(np.diff(sorted_ids) == 0)
    if len(twice):
        raise BadFile(f"partition {number} has sample {sorted_ids[twice[0]]} twice")
    sorted_ids.setflags(write=False)
    return sorted_ids
