"""What clients' heads say of samples, by version: tables that learners made during the run.
Held by `sim.engine.learning`; asked once the features of an answer are back at the client."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.world.versions import Instants, Versions

OfGroups = tuple[NDArray[np.int16] | None, ...]


class HeadTables:
    """By version, from 1 on, per group int16 (clients, n), None of a group without heads. Version 0 is the
    server's own last layer, which needs no table."""

    def __init__(self) -> None:
        self._tables: dict[int, OfGroups] = {}

    def add(self, version: int, tables: OfGroups) -> None:
        """Takes the tables of a version, of a run in which heads learn."""
        if tables:
            self._tables[version] = tables

    def forget(self, heads: Versions | None, completed_at_s: Instants, now: float) -> None:
        """Drops versions that no client has after now, nor had as an answer came of which the row is still to
        be written. completed_at_s: of the rows in the state, NaN: not yet known."""
        if heads is None or not self._tables:
            return
        last_use_s = heads.last_use_s(0, len(heads.first) - 1)
        since_s = min(now, float(np.nanmin(completed_at_s, initial=np.inf)))
        used = [version for version in self._tables if version < len(last_use_s)]
        self._tables = {version: self._tables[version] for version in used if last_use_s[version] >= since_s}

    def said(
        self,
        group: NDArray[np.integer],
        member: NDArray[np.integer],
        version: NDArray[np.int32],
        sample: NDArray[np.int32],
        server: NDArray[np.int16],
    ) -> NDArray[np.int16]:
        """What heads of these versions say, (n,). member: clients as their group numbers them; server: what
        the server's model says of each."""
        found = server.astype(np.int16)
        for one in np.unique(version[version > 0]).tolist():
            for place, table in enumerate(self._tables[one]):
                mine = np.flatnonzero((version == one) & (group == place))
                if table is not None:
                    found[mine] = table[member[mine], sample[mine]]
        return found

    def kept(self) -> list[tuple[int, list[NDArray[np.int16] | None]]]:
        """All of them."""
        return [(version, list(tables)) for version, tables in self._tables.items()]

    def restore(self, kept: list[tuple[int, list[NDArray[np.int16] | None]]]) -> None:
        """Goes on where `kept` was taken."""
        self._tables = {int(version): tuple(tables) for version, tables in kept}
