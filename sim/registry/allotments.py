"""What an account allots, in whole numbers: a bucket that fills, or so much in each period.
Kinds of budgets and of admission give them; `sim.world.budgets` says who draws on which."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

TOKEN = 1_000_000  # one send: whole numbers, since ten times 0.1 must be one
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
