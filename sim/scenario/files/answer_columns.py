"""The columns of a table of answers, read in one pass, each checked where its row can still be named.
Part of `sim.scenario.files.answers`, which puts them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile
from sim.scenario.files.table_files import AnyTable, open_table
from sim.scenario.text.wording import nearest, show

POOLS = ("client", "server", "rejector", "calibration", "traffic")
HELD_OUT = "held_out"  # of the traffic pool: what trains nothing
LEFT_ASIDE = "note"
MOST = 1e6  # of a cost and of work, as of a weight


class Kind(NamedTuple):
    """How a column's numbers are kept, and which are allowed."""

    dtype: str
    is_allowed: Callable[[NDArray[Any]], NDArray[np.bool_]]
    rule: str


def _label(x: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((x >= 0) & (x < 2**15 - 1) & (x == np.floor(x)))


def _real(x: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):  # as it will be kept
        return np.asarray(np.isfinite(x.astype("f4")))


LABEL = Kind("i2", _label, "must be a class, a whole number from 0")
SHARE = Kind("f4", lambda x: np.asarray((x >= 0) & (x <= 1)), "must lie between 0 and 1")
REAL = Kind("f4", _real, "must be a finite number, of at most 3.4e38")
COST = Kind("f8", lambda x: np.asarray((x >= 0) & (x <= MOST)), "must lie between 0 and 1e6")
WORK = Kind("f8", lambda x: np.asarray((x > 0) & (x <= MOST)), "must be greater than 0, and at most 1e6")
KINDS = {
    "label": LABEL,
    "client_label": LABEL,
    "server_label": LABEL,
    "client_quality": SHARE,
    "server_quality": SHARE,
    "probability": SHARE,
    "logits": REAL,
    "features": REAL,
    "score": REAL,
    "cost": COST,
    "work": WORK,
}
ALONE = ("label", "pool")  # columns whose name has no second part
IN_PARTS = ("probability", "logits")  # a vector, or a column for each of its numbers: probability.NAME.0, .1


class Read(NamedTuple):
    """What a file holds: whole columns by name, (n,) or (n, width), read-only."""

    columns: dict[str, Any]
    size: int
    place: Callable[[int], str]
    pool: NDArray[np.int8] | None
    held_out: NDArray[np.bool_] | None

    def of(self, kind: str) -> list[str]:
        """The columns of a kind, in the order of the file."""
        return [name for name in self.columns if name.partition(".")[0] == kind]

    def owner(self, column: str) -> str:
        """Whose a column is: what is behind its kind, without the number of a part of a vector."""
        kind, _, name = column.partition(".")
        if kind in IN_PARTS and self.columns[column].ndim == 1:
            return name.rpartition(".")[0]
        return name

    def named(self, side: str) -> list[str]:
        """The models of clients or servers, by first mention. A model with probabilities alone is a client's
        unless the file has it as a server's."""
        kinds = (f"{side}_label", f"{side}_quality")
        found = [self.owner(column) for column in self.columns if column.partition(".")[0] in kinds]
        if side == "client":
            others = self.named("server")
            found += [
                self.owner(c) for kind in IN_PARTS for c in self.of(kind) if self.owner(c) not in others
            ]
        return list(dict.fromkeys(found))

    def vectors(self, kind: str, name: str) -> NDArray[np.float32] | None:
        """The vectors of a model, float32 (n, width), from one column or from numbered ones. Raises BadFile
        where a number is missing."""
        whole = self.columns.get(f"{kind}.{name}")
        if whole is not None and whole.ndim == 2:
            return np.asarray(whole)
        parts = [column for column in self.of(kind) if self.owner(column) == name]
        if not parts:
            return None
        by_number = {f"{kind}.{name}.{number}": number for number in range(len(parts))}
        if set(parts) != set(by_number) or len(parts) < 2:
            told = ", ".join(parts)
            raise BadFile(f"{told}: the numbers of the classes of {name} must be 0, 1, 2, without a gap")
        return _stacked([self.columns[column] for column in by_number])

    def features(self) -> NDArray[np.float32]:
        """All features side by side, float32 (n, width)."""
        parts = self.of("features")
        if len(parts) == 1 and self.columns[parts[0]].ndim == 2:
            return np.asarray(self.columns[parts[0]])
        return _stacked([self.columns[name] for name in parts]) if parts else np.empty((self.size, 0), "f4")


def read_columns(path: str) -> Read:
    """The columns of a file. Raises BadFile for unknown ones, and at the first row that is not allowed."""
    file = open_table(path)
    wanted = [name for name in file.names if name.partition(".")[0] != LEFT_ASIDE]
    for name in wanted:
        _require_known(name)
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted if name != "pool"}
    words: list[Any] = []
    for rows in file.read(wanted):
        for name, parts in kept.items():
            parts.append(_checked(file, rows, name))
        if "pool" in wanted:
            words += file.words(rows, "pool")
    columns = {name: _whole(name, kept.pop(name)) for name in list(kept)}
    size = len(next(iter(columns.values()), ()))
    if not size:
        raise BadFile("has no rows")
    pool, held_out = _pools(words, file.place) if words else (None, None)
    return Read(columns, size, file.place, pool, held_out)


def _require_known(name: str) -> None:
    kind, _, rest = name.partition(".")
    is_known = kind in KINDS or kind in ALONE
    if (is_known and (kind in ALONE) != bool(rest)) or name == "features":
        return
    known = [*ALONE, *(f"{one}.NAME" for one in KINDS if one not in ALONE)]
    aside = f"call it {LEFT_ASIDE}.{name} to leave it aside"
    raise BadFile(f"{show(name)} is no column of a table of answers: {nearest(name, known)}; {aside}")


def _checked(file: AnyTable, rows: Any, name: str) -> NDArray[Any]:
    kind, values = KINDS[name.partition(".")[0]], file.numbers(rows, name)
    if values.ndim == 2 and name.partition(".")[0] not in (*IN_PARTS, "features"):
        raise BadFile(f"{name} has {values.shape[1]} numbers a row: must be one")
    allowed = kind.is_allowed(values)
    if not allowed.all():
        at = np.argwhere(~allowed)[0]
        shown = "not a number" if np.isnan(values[tuple(at)]) else f"{values[tuple(at)]:g}"
        raise BadFile(f"{file.place(rows.first + int(at[0]))}: {name} is {shown}: {kind.rule}")
    return values.astype(kind.dtype, copy=False)


def _whole(name: str, parts: list[NDArray[Any]]) -> NDArray[Any]:
    widths = {part.shape[1:] for part in parts}
    if len(widths) > 1:
        raise BadFile(f"{name} has rows of unequal length: {', '.join(str(w[0]) for w in sorted(widths))}")
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0)
    whole.setflags(write=False)
    return whole


def _stacked(columns: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.stack(list(columns), axis=1).astype(np.float32, copy=False)
    found.setflags(write=False)
    return found


def _pools(
    words: list[Any], place: Callable[[int], str]
) -> tuple[NDArray[np.int8], NDArray[np.bool_] | None]:
    codes = {name: number for number, name in enumerate(POOLS)} | {HELD_OUT: POOLS.index("traffic")}
    try:
        pool = np.array([codes[word] for word in words], dtype=np.int8)
    except (KeyError, TypeError):  # a list has no hash
        row = next(row for row, word in enumerate(words) if not isinstance(word, str) or word not in codes)
        known = nearest(str(words[row]), list(codes))
        raise BadFile(f"{place(row)}: pool is {show(words[row])}: {known}") from None
    held_out = np.array([word == HELD_OUT for word in words])
    return pool, held_out if held_out.any() else None
