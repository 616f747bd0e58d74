"""Outages read from a file: CSV or Parquet with the columns from_s and until_s.
Also what a run saved in `outages.parquet`, which then names targets, clients and effects as well."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile, RowFile, Rows, identity
from sim.scenario.text.wording import show
from sim.world.outages.downtime import Downtime

_TIMES = ("from_s", "until_s")
_WORDS = ("target", "effect")
_EFFECTS = ("down", "slowdown")
_EVERYBODY = -1
_NUMBERS = {
    "client_id": "the number of a client, or -1 for all",
    "outage": "the place of an outage in a scenario's list, or -1",
}


class _Periods(NamedTuple):
    """Rows of a file, in its order: seconds float64 (n,), clients int64 (n,), words (n,); first: its row."""

    first: int
    from_s: NDArray[np.float64]
    until_s: NDArray[np.float64]
    client: NDArray[np.int64]
    target: NDArray[Any]  # "" where the file does not say
    effect: NDArray[Any]
    outage: NDArray[np.int64]  # -1 where the file does not say


def read_trace(
    file: str, target: str, effect: str, clients: int, number: int = 0
) -> tuple[Downtime, dict[int, Downtime]]:
    """What a file says about one target: periods of all, and of single clients by their number.

    Rows that name another target or effect are left out, and where several outages have the same, those of
    others than the one at the place `number` in the list, if it is among them; the columns target, effect,
    client_id (−1: all of the target) and outage may be missing. clients: how many there are, 0 where the
    target is no link. Raises BadFile, with the line: a file that cannot be read or lacks a column, a time
    that is none or negative, an end before its start, starts out of order, a client or an effect that there
    is not, nothing left.
    """
    by_client: dict[int, list[tuple[float, float]]] = {}
    parts = _read(file, identity(file))
    alike = [np.isin(part.target, ("", target)) & np.isin(part.effect, ("", effect)) for part in parts]
    is_own = any((part.outage[mine] == number).any() for part, mine in zip(parts, alike, strict=True))
    for part, same in zip(parts, alike, strict=True):
        mine = same & (part.outage == number) if is_own else same
        strange = np.flatnonzero(mine & (part.client >= clients))
        if len(strange):
            what = f"there are {clients} clients" if clients else "its target is no link"
            place = RowFile(file).place(part.first + int(strange[0]))
            raise BadFile(f"{place}: names client {part.client[strange[0]]}: {what}")
        columns = (column[mine].tolist() for column in (part.client, part.from_s, part.until_s))
        for client, begin, end in zip(*columns, strict=True):
            by_client.setdefault(client, []).append((begin, end))
    if not by_client:
        raise BadFile(f"has no period of {target} ({effect})")
    shared = Downtime(by_client.pop(_EVERYBODY, []))
    return shared, {client: Downtime(periods) for client, periods in sorted(by_client.items())}


@lru_cache(maxsize=4)  # by what tells one version of a file from another
def _read(path: str, _identity: object) -> tuple[_Periods, ...]:
    file = RowFile(path)
    for name in _TIMES:
        if name not in file.names:
            raise BadFile(f"has no column {name}, but {', '.join(file.names)}")
    names = [name for name in (*_TIMES, *_WORDS, "client_id", "outage") if name in file.names]
    latest: dict[Any, float] = {}
    return tuple(_part(file, rows, latest) for rows in file.read(names))


def _part(file: RowFile, rows: Rows, latest: dict[Any, float]) -> _Periods:
    """Some rows, sound. latest: per target, effect and client when its last period began; kept up to date."""
    from_s, until_s = (_seconds(file, rows, name) for name in _TIMES)
    client, outage = (_numbers(file, rows, name, said) for name, said in _NUMBERS.items())
    target, effect = (_words(file, rows, name) for name in _WORDS)
    found = _Periods(rows.first, from_s, until_s, client, target, effect, outage)
    for row, (begin, end) in enumerate(zip(from_s.tolist(), until_s.tolist(), strict=True)):
        whose = found.target[row], found.effect[row], int(found.client[row]), int(found.outage[row])
        wrong = None
        if end <= begin:
            wrong = f"ends at {end:.12g}, which is not after {begin:.12g}"
        elif begin < latest.get(whose, 0.0):
            wrong = f"begins at {begin:.12g}: must not lie before the line above it"
        if wrong:
            raise BadFile(f"{file.place(rows.first + row)}: {wrong}")
        latest[whose] = begin
    return found


def _seconds(file: RowFile, rows: Rows, name: str) -> NDArray[np.float64]:
    found = file.numbers(rows, name)
    _refuse(file, rows, name, ~(np.isfinite(found) & (found >= 0)), found, "must be seconds from 0 on")
    return found


def _numbers(file: RowFile, rows: Rows, name: str, said: str) -> NDArray[np.int64]:
    if name not in rows.columns:
        return np.full(len(rows.columns[_TIMES[0]]), _EVERYBODY)
    found = file.numbers(rows, name)
    is_one = (found == np.floor(found)) & (found >= _EVERYBODY) & (found < 2**31)
    _refuse(file, rows, name, ~is_one, found, f"must be {said}")
    return found.astype(np.int64)


def _words(file: RowFile, rows: Rows, name: str) -> NDArray[Any]:
    if name not in rows.columns:
        return np.full(len(rows.columns[_TIMES[0]]), "")
    found = np.array(file.texts(rows, name).to_pylist(), dtype=str)
    _refuse(file, rows, name, found == "", found, "must say what the row is about")
    if name == "effect":
        _refuse(file, rows, name, ~np.isin(found, _EFFECTS), found, "must be down or slowdown")
    return found


def _refuse(file: RowFile, rows: Rows, name: str, wrong: NDArray[np.bool_], found: Any, rule: str) -> None:
    """Raises BadFile at the first row that is wrong."""
    if wrong.any():
        row = int(np.argmax(wrong))
        value = found[row].item()
        shown = f"{value:.12g}" if isinstance(value, float) else show(value) if value else "nothing"
        raise BadFile(f"{file.place(rows.first + row)}: {name} is {shown}: {rule}")
