"""A shared link of the reference loop: payloads pass one after the other, or all at once with equal shares.

Where this file and the product disagree, this file is right. How much a link lets pass by an instant follows
from the scenario, before any rule, and is asked from `sim.world.network`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import simpy
from reference_server import Timeline

from sim.engine.events import Kind
from sim.world.network import Network, bits_by, passed_at

Life = Iterator[simpy.Event]


class Link:
    """One of them. Of a queue, `level` is the bits that will have passed when all who came have; of a link
    that is shared, those that each who is on it has had since it was empty."""

    def __init__(self, env: Timeline, network: Network, place: int) -> None:
        self.env, self.network, self.place = env, network, place
        self.level, self.seen = 0.0, 0.0
        self.on_it: list[tuple[float, tuple[int, int], simpy.Event]] = []
        self.plans = 0

    def carry(self, send: Any, bits: float) -> Life:
        """From the instant at which a payload comes to that at which it has passed."""
        if self.network.is_shared[self.place]:
            self.share()
            passed = self.env.event()
            self.on_it.append((self.level + bits, send.place, passed))
            self.plan()
            yield passed
        else:
            self.level = max(self.level, self.could_by_now()) + bits
            yield self.env.at(self.instant(self.level), Kind.REACH, *send.place)

    def share(self) -> None:
        could = self.could_by_now()
        if self.on_it:
            self.level += (could - self.seen) / len(self.on_it)
        self.seen = could

    def plan(self) -> None:
        """Who has the least left passes next, unless somebody comes before."""
        self.plans += 1
        if not self.on_it:
            self.level = 0.0
            return
        first = min(self.on_it, key=lambda one: one[:2])
        left = max(0.0, first[0] - self.level) * len(self.on_it)
        end = self.env.at(self.instant(self.seen + left), Kind.REACH, *first[1])
        end.callbacks.append(lambda _, plan=self.plans: self.ends(first, plan))

    def ends(self, one: tuple[float, tuple[int, int], simpy.Event], plan: int) -> None:
        if plan != self.plans:
            return
        self.on_it.remove(one)
        self.level, self.seen = one[0], self.could_by_now()
        self.plan()
        one[2].succeed()

    def could_by_now(self) -> float:
        return float(bits_by(self.network.lines, self.place, self.env.now))

    def instant(self, bits: float) -> float:
        return max(self.env.now, float(passed_at(self.network.lines, self.place, bits)))
