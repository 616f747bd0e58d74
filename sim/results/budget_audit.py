"""What was charged to each account, counted again from the sends alone, in whole numbers.
Asked by `sim.results.verify`; shares nothing with the accounts of `sim.world.budgets` that gave the sends
leave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.periods import period_of
from sim.registry.allotments import TOKEN, Allotment, Bucket
from sim.world.budgets import Columns

# What is earned by an instant is rounded to whole millionths there and here, and a burst as well.
_ROUNDING = 3


def nothing_charged(allotments: Sequence[Allotment]) -> Columns:
    """Accounts that nothing was charged to, int64 (accounts,).

    charged: sends so far, in a period those of it. mark: of periods the last one; of a bucket the least that
    charges were ever ahead of what had been earned, in millionths.
    """
    return {name: np.zeros(len(allotments), dtype=np.int64) for name in ("charged", "mark")}


def charge(ledger: Columns, account: int, allotment: Allotment, sent: float) -> bool:
    """Adds a send, none earlier than the one before; whether the account may hold that much.

    The law of a bucket: the sends of [s, t] take at most its burst and what is earned from s to t, for every
    s. With what charges are ahead of what has been earned, y, that is y(t) + 1 − min y <= burst.
    """
    charged, mark = ledger["charged"], ledger["mark"]
    if isinstance(allotment, Bucket):
        ahead = int(charged[account]) * TOKEN - _millionths(allotment.rate_hz, sent)
        least = mark[account] = min(int(mark[account]), ahead) if charged[account] else ahead
        charged[account] += 1
        return ahead + TOKEN - int(least) <= _millionths(allotment.burst, 1.0) + _ROUNDING
    period = period_of(sent, allotment.per_s)
    charged[account] = charged[account] + 1 if period == mark[account] else 1
    mark[account] = period
    return bool(charged[account] <= allotment.limit)


def _millionths(rate: float, for_s: float) -> int:
    """What is earned in that time, rounded down: no product of floats, which would round by itself."""
    (rate_up, rate_down), (up, down) = rate.as_integer_ratio(), for_s.as_integer_ratio()
    return rate_up * up * TOKEN // (rate_down * down)
