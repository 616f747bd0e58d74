"""What may be sent: accounts of budgets, reserved at the send, and released when nothing was charged.
Also the server's token bucket of admission. Counted in whole numbers; the handlers take from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.registry.admission import Admission, TokenBucketAdmission
from sim.registry.budgets import Budget, CountBudget, MoneyBudget, TokenBucket
from sim.scenario import Scenario
from sim.world.population import Population

Columns = dict[str, NDArray[Any]]

TOKEN = 1_000_000  # one send: whole numbers, since ten times 0.1 must be one
NO_ACCOUNT = -1
_UNLIMITED = 1 << 62
NOTHING = 1e-3  # of a millionth: what a product of decimals may fall short of


@dataclass(frozen=True)
class Bucket:
    """A token bucket, full at t = 0; tokens in millionths.

    A reservation that may still be released is held: it keeps its room in the bucket until the client learns
    what became of it. Else the bucket would fill up behind it, and be fuller than full once it is released.
    What has been earned by an instant is a whole number, so the law holds exactly: between two instants at
    most `burst` and the difference of what has been earned are spent.
    """

    rate_hz: float
    burst: float

    @property
    def full(self) -> int:
        return floor(self.burst * TOKEN + NOTHING)


@dataclass(frozen=True)
class Periods:
    """At most `limit` of the sends of one period of `sim.periods`."""

    per_s: float
    limit: int

    @property
    def full(self) -> int:
        return self.limit


Allotment = Bucket | Periods


def allotment(budget: Budget) -> Allotment:
    """A budget as whole numbers; money as the sends that it buys."""
    if isinstance(budget, TokenBucket):
        return Bucket(budget.rate_hz, budget.burst)
    if isinstance(budget, CountBudget):
        return Periods(budget.per_s, budget.limit)
    if isinstance(budget, MoneyBudget):
        return Periods(budget.per_s, int(min(budget.sends(), _UNLIMITED)))
    raise TypeError(f"nobody keeps accounts of {budget.kind}")


def admission_bucket(admission: Admission) -> tuple[Bucket, ...]:
    """The one account that a server draws on which admits by a token bucket; else none."""
    if isinstance(admission, TokenBucketAdmission):
        return (Bucket(admission.rate_hz, admission.burst),)
    return ()


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
        own = allotment(budget)
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
