"""Whom attempts asked, and what that cost: options as columns, by group and place.
Asked by `sim.results.table` for whole chunks of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.engine.state import Columns
from sim.world.parameters import Parameters


@dataclass(frozen=True)
class Whom:
    """The options of every group, one after the other: server, model, int64, and c_e of a charged send,
    float64 (options,). first: per group where its own begin. group: of each client. sample_c_e: float64
    (models, n) where samples have costs of their own."""

    server: NDArray[np.int64]
    model: NDArray[np.int64]
    c_e: NDArray[np.float64]
    first: NDArray[np.int64]
    group: NDArray[np.int16]
    sample_c_e: NDArray[np.float64] | None

    @staticmethod
    def of(parameters: Parameters, models: int, sample_c_e: NDArray[np.float64] | None) -> Whom:
        every = [option for options in parameters.options for option in options]
        own = None if sample_c_e is None else np.broadcast_to(sample_c_e, (models, sample_c_e.shape[-1]))
        return Whom(
            server=np.array([option.server for option in every]),
            model=np.array([option.model for option in every]),
            c_e=np.array([option.c_e for option in every], dtype=np.float64),
            first=np.cumsum([0, *map(len, parameters.options)]),
            group=parameters.clients.group,
            sample_c_e=own,
        )

    def place(self, client: NDArray[np.int32], option: NDArray[np.int8]) -> NDArray[np.int64]:
        """Where the options of these clients stand among all; of the first where none was asked, -1."""
        found: NDArray[np.int64] = self.first[self.group[client]] + np.maximum(option, 0)
        return found

    def models(self, client: NDArray[np.int32], asked: Columns) -> NDArray[np.int64]:
        """The models that answered these attempts, or would have; of none asked that of the first option."""
        found: NDArray[np.int64] = np.where(
            asked["model"] >= 0, asked["model"], self.model[self.place(client, asked["option"])]
        )
        return found

    def versions(
        self,
        client: NDArray[np.int32],
        asked: Columns,
        version: NDArray[np.int32],
        of_models: NDArray[np.int32],
    ) -> NDArray[np.int32]:
        """Of versions of all models together, (n,), -1 of none, that of the one that answered, or would have.
        of_models: (versions, models), where there are several."""
        if of_models.shape[1] == 1:
            return version
        own = of_models[np.maximum(version, 0), self.models(client, asked)]
        return np.where(version >= 0, own, np.int32(-1))

    def columns(self, client: NDArray[np.int32], asked: Columns) -> Columns:
        """What tables tell of attempts."""
        server = self.server[self.place(client, asked["option"])]
        return {"option": asked["option"], "server": server, "model": self.models(client, asked)}

    def cost(self, rows: Columns, sends: Columns, charged: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What the charged attempts of each row cost."""
        row, option, n = sends["row"][charged], sends["option"][charged], len(rows["client"])
        if self.sample_c_e is None and np.all(self.c_e == self.c_e[0]):
            return float(self.c_e[0]) * np.bincount(row, minlength=n).astype(np.float64)
        client = rows["client"][row]
        if self.sample_c_e is None:
            price = self.c_e[self.place(client, option)]
        else:
            models = self.models(client, {name: sends[name][charged] for name in ("option", "model")})
            price = self.sample_c_e[models, rows["sample"][row]]
        return np.bincount(row, weights=price, minlength=n).astype(np.float64)
