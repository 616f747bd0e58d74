"""Budgets: what limits how much may be sent, by a client, its group or the fleet.
`sim.world.budgets` says whose account each is; rules ask how much one allows."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sim.periods import periods_before
from sim.registry.allotments import Allotment, Bucket, Periods
from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import MOST_TOKENS, NonNegative, Positive, Span, Whole

SharedBy = Literal["client", "group", "fleet"]
_UNLIMITED = 1 << 62  # sends


class SendBudget(Kind):
    """What a kind of budget gives; each says in `shared_by` who has one together."""

    kind: str
    if TYPE_CHECKING:
        shared_by: SharedBy

    def allowed_in(self, horizon_s: float) -> float:
        """The most sends that it allows in a run."""
        raise NotImplementedError

    def allotment(self) -> Allotment:
        """What its account allots, in whole numbers."""
        raise NotImplementedError


BUDGETS: PartFamily[SendBudget] = PartFamily("budget", "budget")


@BUDGETS.part
class TokenBucket(SendBudget):
    """A bucket of sends that begins full."""

    kind: Literal["token_bucket"]
    examples: ClassVar[Examples] = {"token_bucket": {"rate_hz": 0.5, "burst": 3.0}}
    rate_hz: Positive
    """Sends per second that it earns."""
    burst: Annotated[float, Field(ge=1, le=MOST_TOKENS)]
    """Sends that it holds at most."""
    shared_by: SharedBy = "client"
    """Who has one bucket together."""

    def allowed_in(self, horizon_s: float) -> float:
        return self.burst + self.rate_hz * horizon_s

    def allotment(self) -> Bucket:
        return Bucket(self.rate_hz, self.burst)


@BUDGETS.part
class CountBudget(SendBudget):
    """So many sends in each period from t = 0."""

    kind: Literal["count"]
    examples: ClassVar[Examples] = {"count": {"per_s": 60.0, "limit": 5}}
    per_s: Span
    """Length of a period."""
    limit: Whole
    """Sends in a period."""
    shared_by: SharedBy = "client"
    """Who has one budget together."""

    def allowed_in(self, horizon_s: float) -> float:
        return periods_before(horizon_s, self.per_s) * self.limit

    def allotment(self) -> Periods:
        return Periods(self.per_s, self.limit)


@BUDGETS.part
class MoneyBudget(SendBudget):
    """So much money for sends in each period from t = 0."""

    kind: Literal["money"]
    examples: ClassVar[Examples] = {"money": {"per_s": 60.0, "limit": 1.0, "price": 0.1}}
    per_s: Span
    """Length of a period."""
    limit: NonNegative
    """Money in a period."""
    price: NonNegative
    """Money per charged send."""
    shared_by: SharedBy = "client"
    """Who has one budget together."""

    def allowed_in(self, horizon_s: float) -> float:
        return periods_before(horizon_s, self.per_s) * self.sends()

    def allotment(self) -> Periods:
        return Periods(self.per_s, int(min(self.sends(), _UNLIMITED)))

    def sends(self) -> float:
        """Sends that the money of a period buys, by the decimals as they are written; inf: they are free."""
        return Fraction(str(self.limit)) // Fraction(str(self.price)) if self.price else inf


if TYPE_CHECKING:
    Budget = SendBudget
else:
    Budget = BUDGETS.union()
