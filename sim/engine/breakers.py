"""Circuit breakers: a client that has failed too often in a row stops asking for a while.
One per client of a group that has one; asked before each send by `sim.engine.at_clients`."""

from __future__ import annotations

from typing import Any

from sim.engine.state import BREAKER_TYPES, Columns
from sim.world.parameters import Rules


class Breakers:
    """The rules on the state's columns."""

    def __init__(self, rules: Rules, columns: Columns) -> None:
        self._failed, self._open_until, self._probing = (columns[name].data for name in BREAKER_TYPES)
        self._rules = rules.breakers
        self._group_of: Any = rules.clients.group.data

    def lets_pass(self, client: int, now: float) -> bool:
        """Whether it may send: its breaker is closed, or the cooldown is over and nothing probes yet."""
        rule = self._rules[self._group_of[client]]
        if rule is None or self._failed[client] < rule.failures:
            return True
        return now >= self._open_until[client] and not self._probing[client]

    def sends(self, client: int) -> None:
        """The client sends: if its breaker is open, this is the probe."""
        rule = self._rules[self._group_of[client]]
        if rule is not None and self._failed[client] >= rule.failures:
            self._probing[client] = True

    def hears(self, client: int, is_success: bool, sent: float, now: float) -> None:
        """An attempt succeeded or failed; what was sent before the last cooldown ended is ignored."""
        rule = self._rules[self._group_of[client]]
        if rule is None or sent < self._open_until[client]:
            return
        self._probing[client] = False
        if is_success:
            self._failed[client] = 0
            return
        self._failed[client] = min(self._failed[client] + 1, rule.failures)
        if self._failed[client] == rule.failures:
            self._open_until[client] = now + rule.cooldown_s
