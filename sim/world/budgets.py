"""What may be sent: accounts of budgets, reserved at the send, and released when nothing was charged.
Also the server's token bucket of admission. Counted in whole numbers; the handlers take from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.registry.allotments import Allotment, Bucket
from sim.scenario import Scenario
from sim.world.population import Population

Columns = dict[str, NDArray[Any]]

NO_ACCOUNT = -1


@dataclass(frozen=True)
class Accounts:
    """Which account each client draws on, int64 (clients,), −1: none; and what is allotted to each."""

    of_client: NDArray[np.int64]
    allotments: tuple[Allotment, ...]

    def holding(self) -> NDArray[np.bool_]:
        """Which clients draw on a bucket, where a reservation keeps its room until it is settled."""
        is_bucket = np.array([isinstance(one, Bucket) for one in self.allotments] + [False])
        held: NDArray[np.bool_] = is_bucket[self.of_client]
        return held


def full(allotments: Sequence[Allotment]) -> Columns:
    """Accounts that nobody has drawn on: what is left, the mark of the allotment, and what is held."""
    left = np.array([one.full for one in allotments], dtype=np.int64)
    return {"left": left, "mark": np.zeros_like(left), "held": np.zeros_like(left)}


def accounts(scenario: Scenario, clients: Population) -> Accounts:
    """An account per client, per group, or one for all groups that share by `fleet`."""
    of_client = np.full(clients.size, NO_ACCOUNT)
    of_fleet = NO_ACCOUNT
    allotments: list[Allotment] = []
    for g, group in enumerate(scenario.fleet):
        budget, members = group.budget, np.flatnonzero(clients.group == g)
        if budget is None:
            continue
        own = budget.allotment()
        if budget.shared_by == "client":
            of_client[members] = len(allotments) + np.arange(len(members))
            allotments += [own] * len(members)
        elif budget.shared_by == "group" or of_fleet == NO_ACCOUNT:
            of_client[members] = len(allotments)
            allotments.append(own)
            of_fleet = len(allotments) - 1 if budget.shared_by == "fleet" else of_fleet
        else:
            of_client[members] = of_fleet
    return Accounts(of_client, tuple(allotments))
