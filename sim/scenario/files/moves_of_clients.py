"""Files of moves: rows of a client of the group, an instant, and the cell that it goes to.
Read for `sim.world.cells`; the rules refuse what is not sound."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile, RowFile, identity
from sim.scenario.text.wording import nearest

COLUMNS = ("client", "time", "cell")
MOST_MOVES = 10_000_000


class WrittenMoves(NamedTuple):
    """Who goes where when, by client and then by time, (m,) each: client int64, its number in its group; at_s
    float64; cell int32, its place among those of the group."""

    client: NDArray[np.int64]
    at_s: NDArray[np.float64]
    cell: NDArray[np.int32]


def moves_of_clients(path: str, clients: int, cells: tuple[str, ...]) -> WrittenMoves:
    """What a file says of a group. Raises BadFile where it is not sound: a client that the group does not
    have, a time that is not later than the one before of the same client, a cell that is none."""
    return _read(*identity(path), clients, cells)


@lru_cache(maxsize=16)
def _read(path: str, _changed_ns: int, _bytes: int, clients: int, cells: tuple[str, ...]) -> WrittenMoves:
    file = RowFile(path)
    file.require(COLUMNS)
    parts: list[tuple[NDArray[np.float64], ...]] = []
    for rows in file.read(COLUMNS):
        client, at_s = (file.numbers(rows, name) for name in ("client", "time"))
        wrong = np.flatnonzero((client != np.floor(client)) | (client < 0) | (client >= clients))
        if len(wrong):
            rule = f"must be a client of the group, a whole number from 0 to {clients - 1}"
            file.refuse(rows, int(wrong[0]), "client", float(client[wrong[0]]), rule)
        wrong = np.flatnonzero(~(at_s >= 0) | ~np.isfinite(at_s))
        if len(wrong):
            file.refuse(rows, int(wrong[0]), "time", float(at_s[wrong[0]]), "must be 0 or more seconds")
        named = file.texts(rows, "cell")
        place = np.full(len(client), -1)
        for code, cell in enumerate(cells):
            place[pc.equal(pc.utf8_trim_whitespace(named), cell).to_numpy(zero_copy_only=False)] = code
        wrong = np.flatnonzero(place < 0)
        if len(wrong):
            cell = named[int(wrong[0])].as_py()
            file.refuse(rows, int(wrong[0]), "cell", cell, f"is no cell: {nearest(cell, cells)}")
        number = np.arange(rows.first, rows.first + len(client), dtype=np.float64)
        parts.append((client, at_s, place.astype(np.float64), number))
        if rows.first + len(client) > MOST_MOVES:
            raise BadFile(f"has more than {MOST_MOVES:,} rows")
    if not sum(len(part[0]) for part in parts):
        raise BadFile("has no row")
    client, at_s, place, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(client, kind="stable")
    client, at_s, place, number = client[order], at_s[order], place[order], number[order]
    late = np.flatnonzero((np.diff(client) == 0) & (np.diff(at_s) <= 0))
    if len(late):
        first = late[np.argmin(number[late + 1])] + 1
        raise BadFile(
            f"{file.place(int(number[first]))}: time is {at_s[first]:g}: must be later than that of the row "
            f"before of client {int(client[first])}, {at_s[first - 1]:g}"
        )
    return WrittenMoves(client.astype(np.int64), at_s, place.astype(np.int32))
