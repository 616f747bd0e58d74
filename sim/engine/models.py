"""What the models of every version say: labels of all servers, scores of the rejectors still in use.
Looked up by `sim.engine.window` for decisions and by `sim.results.table` for rows; grows with each round of
training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import RunFailed
from sim.messages import Tables, Update
from sim.world.versions import Instants

Scores = NDArray[np.float32]


class Models:
    """Tables by version.

    server_label: int16 (versions, models, n), -1 where none is made yet. newest: the last that is. scores:
    per group the tables of the versions in use, float32 (rows, n), or (rows, options, n) where each option
    has a score of its own; None if its score is drawn per request. prototypes: by merged version, from 1 on,
    what the nearest says, as in `Update.nearest`.
    """

    def __init__(self, tables: Tables, versions: int) -> None:
        label = np.atleast_2d(tables.server_label)
        self.server_label = np.full((versions, *label.shape), -1, dtype=np.int16)
        self.server_label[0] = label
        self.newest = 0
        self.scores: list[dict[int, Scores] | None] = [
            None if group.score is None else {0: group.score} for group in tables.groups
        ]
        self.prototypes: list[tuple[NDArray[np.int16] | None, ...]] = []

    def add(self, version: int, update: Update) -> None:
        """Takes the tables of the next version, of the rejectors alone where the server learned nothing.
        Raises RunFailed if they have another shape."""
        self.newest = version
        if update.nearest:
            self.prototypes.append(update.nearest)
        if update.server_label is not None:
            self._make_room(version)
            label = np.atleast_2d(update.server_label)
            if label.shape != self.server_label[0].shape:
                raise RunFailed("learn", f"version {version}: the server's answers have another shape")
            self.server_label[version] = label
        for known, new in zip(self.scores, update.score, strict=True):
            if known is None:
                continue
            latest = known[max(known)]
            if new is not None and new.shape != latest.shape:
                raise RunFailed("learn", f"version {version}: the scores have another shape")
            known[version] = latest if new is None else new

    def _make_room(self, version: int) -> None:
        """For more versions than were known of before the run."""
        missing = version + 1 - len(self.server_label)
        if missing > 0:
            room = np.full((missing, *self.server_label.shape[1:]), -1, dtype=np.int16)
            self.server_label = np.concatenate([self.server_label, room])

    def keep(self, group: int, last_use_s: Instants, now: float) -> None:
        """Forgets a group's tables of all versions but the newest and those used after now. last_use_s: by
        version, as far as any client gets."""
        known = self.scores[group]
        if known is not None:
            used = {v for v in known if v < len(last_use_s) and last_use_s[v] > now} | {max(known)}
            self.scores[group] = {v: table for v, table in known.items() if v in used}

    def has(self, group: int, version: int) -> bool:
        """Whether a group's table of scores by this version is kept."""
        known = self.scores[group]
        return known is not None and version in known

    def table(self, group: int, version: int) -> Scores:
        """A group's table of scores by one version still in use, float32 (rows, n)."""
        known = self.scores[group]
        assert known is not None
        return known[version]

    def kept(self, tables: Tables) -> dict[str, Any]:
        """All versions but what stands in the tables before t = 0."""
        scores = [
            None
            if known is None
            else [(version, None if table is group.score else table) for version, table in known.items()]
            for known, group in zip(self.scores, tables.groups, strict=True)
        ]
        told = {"server_label": self.server_label, "newest": self.newest, "scores": scores}
        return told | {"prototypes": self.prototypes}

    def restore(self, tables: Tables, kept: dict[str, Any]) -> None:
        """Goes on where `kept` was taken."""
        self.server_label, self.newest = kept["server_label"], kept["newest"]
        self.prototypes = [tuple(one) for one in kept["prototypes"]]
        self.scores = [
            None
            if known is None or group.score is None
            else {version: group.score if table is None else table for version, table in known}
            for known, group in zip(kept["scores"], tables.groups, strict=True)
        ]

    def nearest(
        self,
        group: NDArray[np.int16],
        variant: NDArray[np.int32],
        version: NDArray[np.int32],
        sample: NDArray[np.int32],
    ) -> NDArray[np.int16]:
        """The class of the prototype nearest to each sample, of given merged versions, (n,); -1 of none."""
        found = np.full(len(sample), -1, dtype=np.int16)
        for one in np.unique(version[version > 0]).tolist():
            for g, table in enumerate(self.prototypes[one - 1]):
                if table is not None:
                    mine = np.flatnonzero((version == one) & (group == g))
                    found[mine] = table[variant[mine], sample[mine]]
        return found

    def score(
        self, group: int, version: NDArray[np.int32], row: NDArray[np.int32], sample: NDArray[np.int32]
    ) -> Scores:
        """The scores of samples by given versions and rows of a group's tables, float32 (n, scores)."""
        known = self.scores[group]
        assert known is not None
        versions = np.unique(version).tolist()
        if len(versions) == 1:
            return _looked_up(known[versions[0]], row, sample)
        found = np.empty((len(sample), next(iter(known.values()))[0, ..., 0].size), dtype=np.float32)
        for one in versions:
            mine = np.flatnonzero(version == one)
            found[mine] = _looked_up(known[one], row[mine], sample[mine])
        return found


def _looked_up(table: Scores, row: NDArray[np.int32], sample: NDArray[np.int32]) -> Scores:
    """(n, scores); what belongs to one sample is laid side by side, as it is asked for together."""
    if table.ndim == 2:
        return table[row, sample][:, None]
    return np.ascontiguousarray(np.moveaxis(table, 1, -1))[row, sample]
