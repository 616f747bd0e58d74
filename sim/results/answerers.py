"""Who gave each answer: the server, the client's model, its nearest prototype, or nobody.
Asked by `sim.results.table` for whole chunks of rows; prototypes come from `sim.engine.learning`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.engine.learning import Learning
from sim.engine.state import Columns
from sim.results.columns import OUTCOMES
from sim.results.columns_by_run import BY_HEAD, NEAREST, answerers
from sim.scenario import Scenario

LOCAL, REMOTE, IN_FLIGHT, NO_POWER = (
    OUTCOMES.index(outcome) for outcome in ("local", "remote", "in_flight", "no_power")
)
BY_CLIENT, BY_SERVER, BY_NONE, BY_PROTOTYPE = range(4)


@dataclass(frozen=True)
class Answerers:
    """Per group, bool (groups,), whom its clients fall back to: client: their own model, or their prototypes
    while they have some, prototype; head: whether they answer by their own heads what a server sends back."""

    client: NDArray[np.bool_]
    prototype: NDArray[np.bool_]
    head: NDArray[np.bool_]

    @staticmethod
    def of(scenario: Scenario) -> Answerers:
        falls_to = [group.fallback for group in scenario.fleet]
        return Answerers(
            np.array([one != "none" for one in falls_to]),
            np.array([one == "prototype" for one in falls_to]),
            np.array([group.reply == "features" for group in scenario.fleet]),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What codes stand for, in a run of such groups."""
        return answerers(bool(self.prototype.any()))

    def by(self, outcome: NDArray[np.int8], group: NDArray[np.int16]) -> NDArray[np.int64]:
        """Codes by what became of requests, (n,), prototypes apart."""
        found: NDArray[np.int64] = np.select(
            [outcome == LOCAL, outcome == REMOTE, (outcome == IN_FLIGHT) | (outcome == NO_POWER)],
            [BY_CLIENT, BY_SERVER, BY_NONE],
            np.where(self.client[group], BY_CLIENT, BY_NONE),
        )
        return found

    def nearest(
        self, rows: Columns, group: NDArray[np.int16], by: NDArray[np.int64], learning: Learning
    ) -> Columns:
        """The columns NEAREST: of what clients answered in place of a server, as they then had prototypes;
        nothing where no group falls back to them."""
        if not self.prototype.any():
            return {}
        label, age = np.full(len(group), -1, dtype=np.int16), np.full(len(group), np.nan)
        fell = np.flatnonzero((by == BY_CLIENT) & (rows["outcome"] != LOCAL) & self.prototype[group])
        told = learning.nearest(rows["client"][fell], rows["sample"][fell], rows["completed_at"][fell])
        label[fell], age[fell] = told["label"], told["age"]
        return dict(zip((field.name for field in NEAREST), (label, age), strict=True))

    def by_head(
        self,
        rows: Columns,
        group: NDArray[np.int16],
        by: NDArray[np.int64],
        server_label: NDArray[np.int16],
        learning: Learning,
    ) -> tuple[Columns, NDArray[np.int16]]:
        """The columns BY_HEAD: of what servers sent back as features, by the heads of the instant at which
        these came; nothing where no group has heads. And what came of what was sent, (n,), of others what
        the server's model says."""
        if not self.head.any():
            return {}, server_label
        label, version = np.full(len(group), -1, dtype=np.int16), np.full(len(group), -1, dtype=np.int32)
        mine = np.flatnonzero((by == BY_SERVER) & self.head[group])
        asked = rows["client"][mine], rows["sample"][mine], rows["completed_at"][mine]
        said = learning.said_by_heads(*asked, server_label[mine])
        label[mine], version[mine] = said["label"], said["version"]
        columns = dict(zip((field.name for field in BY_HEAD), (label, version), strict=True))
        return columns, np.where(label >= 0, label, server_label)
