"""What may be sent: accounts of budgets, reserved at the send, and released when nothing was charged.
Also the server's token bucket of admission. Counted in whole numbers, computed when asked, never refilled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.population import Population
from sim.scenario import Scenario
from sim.scenario.fleet import Budget, CountBudget, MoneyBudget, TokenBucket
from sim.scenario.server import Admission, TokenBucketAdmission

Columns = dict[str, NDArray[Any]]

TOKEN = 1_000_000  # one send: whole numbers, since ten times 0.1 must be one
NO_ACCOUNT = -1
_UNLIMITED = 1 << 62
_NOTHING = 1e-3  # of a millionth: what a product of decimals may fall short of


@dataclass(frozen=True)
class Bucket:
    """A token bucket, full at t = 0; tokens in millionths.

    What has been earned by an instant is a whole number, so the law holds exactly: between two instants at
    most `burst` and the difference of what has been earned are taken.
    """

    rate_hz: float
    burst: float

    def earned(self, at: float) -> int:
        """Millionths of a token earned in [0, at]."""
        return floor(self.rate_hz * at * TOKEN + _NOTHING)

    @property
    def full(self) -> int:
        return floor(self.burst * TOKEN + _NOTHING)

    def take(self, left: Any, mark: Any, account: int, now: float) -> bool:
        """Takes a token if there is one; `mark` is what had been earned when the account was last asked."""
        earned = self.earned(now)
        has: int = min(self.full, left[account] + earned - mark[account])
        mark[account] = earned
        left[account] = has - TOKEN if has >= TOKEN else has
        return has >= TOKEN

    def release(self, left: Any, _mark: Any, account: int, _sent: float) -> None:
        left[account] = min(self.full, left[account] + TOKEN)


@dataclass(frozen=True)
class Periods:
    """At most `limit` of the sends of one period [n·per_s, (n + 1)·per_s), n rounded down."""

    per_s: float
    limit: int

    @property
    def full(self) -> int:
        return self.limit

    def take(self, left: Any, mark: Any, account: int, now: float) -> bool:
        """Takes one of this period's sends; `mark` is the period in which the account was last asked."""
        period = int(now / self.per_s)
        if period != mark[account]:
            mark[account], left[account] = period, self.limit
        if left[account] <= 0:
            return False
        left[account] -= 1
        return True

    def release(self, left: Any, mark: Any, account: int, sent: float) -> None:
        if int(sent / self.per_s) == mark[account]:
            left[account] += 1


Allotment = Bucket | Periods


def allotment(budget: Budget) -> Allotment:
    """A budget as whole numbers; money as the sends that it buys, by the decimals as they are written."""
    if isinstance(budget, TokenBucket):
        return Bucket(budget.rate_hz, budget.burst)
    if isinstance(budget, CountBudget):
        return Periods(budget.per_s, budget.limit)
    if budget.price == 0:
        return Periods(budget.per_s, _UNLIMITED)
    return Periods(budget.per_s, min(Fraction(str(budget.limit)) // Fraction(str(budget.price)), _UNLIMITED))


def admission_bucket(admission: Admission) -> tuple[Bucket, ...]:
    """The one account that a server draws on which admits by a token bucket; else none."""
    if isinstance(admission, TokenBucketAdmission):
        return (Bucket(admission.rate_hz, admission.burst),)
    return ()


@dataclass(frozen=True)
class Accounts:
    """Which account each client draws on, int64 (clients,), −1: none; and what is allotted to each account.

    prices: per client, what a charged attempt costs in money.
    """

    of_client: NDArray[np.int64]
    allotments: tuple[Allotment, ...]
    prices: NDArray[np.float64]


def full(allotments: Sequence[Allotment]) -> Columns:
    """Accounts that nobody has drawn on."""
    left = np.array([one.full for one in allotments], dtype=np.int64)
    return {"left": left, "mark": np.zeros(len(left), dtype=np.int64)}


def accounts(scenario: Scenario, clients: Population) -> Accounts:
    """An account per client, per group, or one for all groups that share by `fleet`."""
    of_client = np.full(clients.size, NO_ACCOUNT)
    prices, of_fleet = np.zeros(clients.size), NO_ACCOUNT
    allotments: list[Allotment] = []
    for g, group in enumerate(scenario.fleet):
        budget, members = group.budget, np.flatnonzero(clients.group == g)
        if budget is None:
            continue
        prices[members] = budget.price if isinstance(budget, MoneyBudget) else 0.0
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
    return Accounts(of_client, tuple(allotments), prices)


Take = Callable[[int, float], bool]


def drawing(found: Accounts, columns: Columns) -> tuple[Take, Callable[[int, float], None]]:
    """`take(client, now)` and `release(client, sent)` on the accounts; who has none may always send."""
    of_client: Any = found.of_client.data
    left, mark, allotments = columns["left"].data, columns["mark"].data, found.allotments

    def take(client: int, now: float) -> bool:
        account: int = of_client[client]
        return account < 0 or allotments[account].take(left, mark, account, now)

    def release(client: int, sent: float) -> None:
        account = of_client[client]
        if account >= 0:
            allotments[account].release(left, mark, account, sent)

    return take, release
