"""What keeps a client of the reference loop from sending: its circuit breaker and its budget.

Where this file and the product disagree, this file is right.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import floor, inf

from sim.registry.budgets import Budget, CountBudget, MoneyBudget
from sim.scenario.schema.fleet import Breaker

TOKEN = 1_000_000


class Bucket:
    """Tokens in millionths: what has been earned by an instant is a whole number, so nothing drifts."""

    def __init__(self, rate_hz: float, burst: float) -> None:
        self.rate_hz, self.cap = rate_hz, floor(burst * TOKEN + 1e-3)
        self.level, self.held, self.earned = self.cap, 0, 0

    def fill(self, now: float) -> None:
        """What is held, since it may be released, keeps its room in the bucket."""
        earned = floor(self.rate_hz * now * TOKEN + 1e-3)
        self.level = min(self.cap - self.held, self.level + earned - self.earned)
        self.earned = earned

    def take(self, now: float, is_held: bool = False) -> bool:
        self.fill(now)
        if self.level < TOKEN:
            return False
        self.level -= TOKEN
        self.held += TOKEN if is_held else 0
        return True

    def settle(self, _sent: float, now: float, is_spent: bool) -> None:
        self.fill(now)
        self.held -= TOKEN
        if not is_spent:
            self.level += TOKEN


class Periods:
    """At most `limit` sends that were sent in one period [n·per_s, (n + 1)·per_s).

    An instant short of a begin by no more than the rounding of decimals lies at it.
    """

    def __init__(self, per_s: float, limit: float) -> None:
        self.per_s, self.limit = per_s, limit
        self.reserved: Counter[int] = Counter()

    def period_of(self, at: float) -> int:
        return int(at / self.per_s * (1 + 2**-50))

    def take(self, now: float, _is_held: bool = False) -> bool:
        period = self.period_of(now)
        if self.reserved[period] >= self.limit:
            return False
        self.reserved[period] += 1
        return True

    def settle(self, sent: float, _now: float, is_spent: bool) -> None:
        if not is_spent:
            self.reserved[self.period_of(sent)] -= 1


def account(budget: Budget) -> Bucket | Periods:
    """A budget, full; money is counted in whole sends, by the decimals as they are written."""
    match budget:
        case CountBudget():
            return Periods(budget.per_s, budget.limit)
        case MoneyBudget(price=0.0):
            return Periods(budget.per_s, inf)
        case MoneyBudget():
            return Periods(budget.per_s, Fraction(str(budget.limit)) // Fraction(str(budget.price)))
        case _:
            return Bucket(budget.rate_hz, budget.burst)


class CircuitBreaker:
    """Opens after `failures` failed attempts on end, or by the share of the last `window` that failed; after
    the cooldown come the probes, which must all succeed."""

    def __init__(self, rule: Breaker) -> None:
        self.rule = rule
        self.last: list[bool] = []  # what became of the attempts since it closed
        self.open_until = -inf
        self.is_open = False
        self.probes = self.passed = 0  # since the cooldown ended

    def lets_pass(self, now: float) -> bool:
        return not self.is_open or (now >= self.open_until and self.probes < self.rule.probes)

    def sends(self) -> None:
        self.probes += self.is_open

    def forgets(self, sent: float) -> None:
        """An attempt is waited for no more: if it was a probe, another may go."""
        self.probes -= self.is_open and sent >= self.open_until

    def hears(self, is_success: bool, sent: float, now: float) -> None:
        """What became of an attempt; those sent before the last cooldown ended are ignored."""
        if sent < self.open_until:
            return
        if self.is_open:
            self.passed += is_success
            if is_success and self.passed < self.rule.probes:
                return
            self.last, self.is_open = [], False
            opens = not is_success
        else:
            self.last.append(is_success)
            opens = self.too_many_failed()
        if opens:
            self.is_open, self.open_until = True, now + self.rule.cooldown_s
        self.probes = self.passed = 0

    def too_many_failed(self) -> bool:
        if self.rule.ratio is None:
            on_end = self.last[-self.rule.failures :]
            return len(on_end) == self.rule.failures and not any(on_end)
        last = self.last[-self.rule.window :]
        share = Fraction(str(self.rule.ratio))
        return len(last) == self.rule.window and last.count(False) >= share * self.rule.window
