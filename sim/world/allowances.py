"""Who has retry tokens together: each client, the clients of a group, or those of the fleet.
Made once per run; what is left of them stands in the state of the loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.world.population import Population


@dataclass(frozen=True)
class Allowances:
    """of_client: the account of each client, int64 (clients,); members: how many clients may draw on each
    account, int64 (accounts,). A client's own account has its number; those that are shared come behind."""

    of_client: NDArray[np.int64]
    members: NDArray[np.int64]


def allowances(scenario: Scenario, clients: Population) -> Allowances:
    """An account per client, and one for each group or for the fleet where they share."""
    of_client, shared = np.arange(clients.size), dict[str, int]()
    for g, group in enumerate(scenario.fleet):
        by = group.retry.allowance_by if group.retry else "client"
        if by != "client":
            owner = group.group if by == "group" else ""
            of_client[clients.group == g] = shared.setdefault(owner, clients.size + len(shared))
    sharing = np.bincount(of_client, minlength=clients.size + len(shared))
    return Allowances(of_client, np.append(np.ones(clients.size, dtype=np.int64), sharing[clients.size :]))
