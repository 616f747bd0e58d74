"""A price over floats, for both clocks, and a policy in plain Python that decides the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import l2h_fleet
from l2h_fleet import LOCAL, REMOTE, Outcome, Request


@l2h_fleet.register("price", "doubling")
@dataclass(frozen=True)
class Doubling:
    """c_e, doubled with every failure on end, up to a limit."""

    unit = "cost"
    c_e: float
    most: float = 8.0

    def begin(self) -> tuple[float, ...]:
        return (1.0,)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        return p[0] * m[0]

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        m[0] = 1.0 if heard.outcome == REMOTE else min(2.0 * m[0], p[1])


@l2h_fleet.register("policy", "doubling_in_python")
class DoublingInPython:
    """The same, with an object per client."""

    def __init__(self, c_e: float, most: float = 8.0) -> None:
        self.c_e, self.most, self.factor = c_e, most, 1.0

    def decide(self, request: Request, now: float) -> int:
        return 0 if request.score > self.c_e * self.factor else LOCAL

    def hear(self, outcome: Outcome, now: float) -> None:
        self.factor = 1.0 if outcome.outcome == REMOTE else min(2.0 * self.factor, self.most)
