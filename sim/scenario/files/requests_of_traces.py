"""What a trace says, row by row: whose requests it gives, and those of a batch of its rows.
Shared by the readers of rows and of counts, `sim.scenario.files.traces` and `.minute_counts`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sim.registry.trace_formats import Roles
from sim.scenario.files.rows import BadFile, RowFile, Rows
from sim.scenario.text.wording import nearest, show

NOBODY = -1  # of a client: the file names none, so the request is dealt to one
NO_SAMPLE = -1


class Trace(NamedTuple):
    """Whose requests a file gives: those of `group`, one of `groups`, with that many clients.

    time_scale: seconds of a run that one of the file's is; for what `totals` and `count_before` say. roles:
    its columns, of which those in `needs` must be there. start: t = 0, as for `Instants`. sorts: rows stand
    in no order. seed: for the instants that counts leave open.
    """

    file: str
    group: str
    groups: tuple[str, ...]
    clients: int
    time_scale: float = 1.0
    format: str = "csv"
    roles: Roles = Roles("time", "client", "group")
    needs: tuple[str, ...] = ()
    unit: str = "s"
    start: float | str | None = None
    client_by: str = "number"
    sorts: bool = False
    seed: int = 0


class Counted(NamedTuple):
    """What was read for a batch: rows of the file, how many of them are other groups' or stand before the
    start; and how many clients the file has named so far."""

    rows: int = 0
    others: int = 0
    early: int = 0
    names: int = 0

    def and_then(self, later: Counted) -> Counted:
        """Of this batch and of one behind it."""
        added = (self.rows + later.rows, self.others + later.others, self.early + later.early)
        return Counted(*added, max(self.names, later.names))


NOTHING_COUNTED = Counted()


class Requests(NamedTuple):
    """Requests of the group, in order: their seconds, clients (−1: the file names none), rows of the file
    counted from 0, samples (−1: the file names none) and work (NaN: the file says none), shape (n,) each."""

    at_s: NDArray[np.float64]
    client: NDArray[np.int64]
    row: NDArray[np.int64]
    sample: NDArray[np.int32]
    work: NDArray[np.float64]
    counted: Counted = NOTHING_COUNTED

    def part(self, which: slice | NDArray[np.int64], counted: Counted = NOTHING_COUNTED) -> Requests:
        """Some of the requests, in this order."""
        told = self.row[which], self.sample[which], self.work[which]
        return Requests(self.at_s[which], self.client[which], *told, counted)


NONE = Requests(
    np.empty(0),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int32),
    np.empty(0),
)


def joined(parts: Sequence[Requests]) -> Requests:
    """The requests of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Requests(
        np.concatenate([part.at_s for part in parts]),
        np.concatenate([part.client for part in parts]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.sample for part in parts]),
        np.concatenate([part.work for part in parts]),
        reduce(Counted.and_then, [part.counted for part in parts]),
    )


def mine(file: RowFile, rows: Rows, trace: Trace, n: int) -> NDArray[np.bool_]:
    """The rows of the trace's group among n. Raises BadFile for a group that there is not."""
    if trace.roles.group not in rows.columns:
        return np.ones(n, dtype=np.bool_)
    column = file.texts(rows, trace.roles.group)
    found = np.zeros(len(column), dtype=np.bool_)
    for name in pc.unique(column).to_pylist():
        here = pc.equal(column, name).to_numpy(zero_copy_only=False)
        if name not in trace.groups:
            place = file.place(rows.first + int(np.argmax(here)))
            raise BadFile(f"{place}: there is no group {show(name)}: {nearest(name, trace.groups)}")
        if name == trace.group:
            found = here
    return found


class Clients:
    """Which client of its group each row is about.

    By `number`: the field is it. By `order`: names in the order in which they first appear among the group's
    rows, one client each; where there are more names than clients, clients take several, in turn. By `hash`:
    a hash of the name alone, so that it is the same in every file. A row without a name has `NOBODY`.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace, self._known = trace, dict[str, int]()

    @property
    def names(self) -> int:
        """How many names there were."""
        return len(self._known)

    def of(self, file: RowFile, rows: Rows, own: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Of the group's own rows, int64. Raises BadFile for a number that no client has."""
        name = self._trace.roles.client
        if name not in rows.columns:
            return np.full(np.count_nonzero(own), NOBODY)
        if self._trace.client_by == "number":
            return self._numbered(file, rows, own, name)
        column = file.texts(rows, name).filter(pa.array(own))
        coded = pc.dictionary_encode(pc.utf8_trim_whitespace(column))
        client = np.array([self._client(one) for one in coded.dictionary.to_pylist()], dtype=np.int64)
        found: NDArray[np.int64] = client[coded.indices.to_numpy(zero_copy_only=False)]
        return found

    def _client(self, name: str) -> int:
        if not name:
            return NOBODY
        if name not in self._known:
            place = len(self._known)
            if self._trace.client_by == "hash":
                place = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
            self._known[name] = place % self._trace.clients
        return self._known[name]

    def _numbered(self, file: RowFile, rows: Rows, own: NDArray[np.bool_], name: str) -> NDArray[np.int64]:
        try:
            client = file.numbers(rows, name)
        except BadFile as error:
            raise BadFile(f"{error}, or client_by: order for names") from None
        most = self._trace.clients
        wrong = np.flatnonzero(own & ~((client >= 0) & (client < most) & (client == np.floor(client))))
        if len(wrong):
            row = int(wrong[0])
            place, shown = file.place(rows.first + row), f"{client[row]:.12g}"
            numbers = "0" if most == 1 else f"0 to {most - 1}"
            raise BadFile(f"{place}: {name} is {shown}: group {self._trace.group} has the clients {numbers}")
        return client[own].astype(np.int64)


def samples(file: RowFile, rows: Rows, trace: Trace, own: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Which sample each of the group's own rows asks about, int32; a field may be empty. Raises BadFile."""
    name = trace.roles.sample
    if name is None:
        return np.full(np.count_nonzero(own), NO_SAMPLE, dtype=np.int32)
    found = file.numbers(rows, name, nothing=NO_SAMPLE)
    wrong = (found < NO_SAMPLE) | (found != np.floor(found)) | (found >= 2**31)
    _refuse(file, rows, name, found, wrong & own, "must be the number of a sample in the data set, from 0")
    return found[own].astype(np.int32)


def work(file: RowFile, rows: Rows, trace: Trace, own: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much work each of the group's own rows brings, float64: the sum of its columns. Raises BadFile."""
    total = np.full(len(own), 0.0 if trace.roles.work else np.nan)
    for name in trace.roles.work:
        found = file.numbers(rows, name)
        _refuse(file, rows, name, found, own & ~(np.isfinite(found) & (found >= 0)), "must be 0 or more")
        total += found
    return total[own]


def durations(file: RowFile, rows: Rows, name: str) -> NDArray[np.float64]:
    """How long each row's request took, in the file's unit. Raises BadFile."""
    found = file.numbers(rows, name)
    _refuse(file, rows, name, found, ~(np.isfinite(found) & (found >= 0)), "a duration must be 0 or more")
    return found


def _refuse(
    file: RowFile, rows: Rows, name: str, found: NDArray[np.float64], wrong: NDArray[np.bool_], rule: str
) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        file.refuse(rows, row, name, float(found[row]), rule)
