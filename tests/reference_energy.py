"""The energy of one client of the reference loop: what its battery holds, and what its device draws.

Whole nanojoules. Where this file and the product disagree, this file is right. What has been harvested by an
instant follows from the scenario, before any rule, and is asked from `sim.world.network`.
"""

from __future__ import annotations

from math import floor, inf, nan
from typing import Any

from sim.scenario import Group
from sim.scenario.schema.fleet import Link
from sim.world.energy import Power
from sim.world.network import bits_by

NANO = 1e9


def whole(nanojoules: float) -> int:
    return floor(nanojoules + 0.5)


class Device:
    """Draws from its battery, or from mains, and is silent while that is empty."""

    def __init__(self, group: Group, power: Power, place: int) -> None:
        self.device, self.power, self.place = group.device, power, place
        self.battery = group.device.battery
        self.left = whole(self.full_or(self.battery.start_j) * NANO) if self.battery else 0
        self.now, self.is_silent, self.deaths = 0.0, False, []
        self.harvested = self.spilled = self.idled = self.inferred = self.sent = self.in_vain = 0
        self.silent_s, self.listens_until = 0.0, -inf
        self.free_at = -inf
        self.turns = self.turns_of_harvest()
        self.turn_at, self.watts = next(self.turns)

    def full_or(self, joules: float | None) -> float:
        return self.battery.capacity_j if joules is None else joules

    def turns_of_harvest(self) -> Any:
        """(instant, watts until then), one after the other."""
        harvest = self.battery.harvest if self.battery else None
        if harvest is None:
            yield inf, self.battery.harvest_w if self.battery else 0.0
        at_s, watts, period_s = harvest.pieces()
        rounds = 0
        while True:
            for i, one in enumerate(watts.tolist()):
                last = i + 1 == len(watts)
                end = period_s * (rounds + 1) if last else period_s * rounds + float(at_s[i + 1])
                yield end, one
            rounds += 1

    # Time passes.

    def passes(self, now: float) -> None:
        while self.battery and self.now < now:
            stop = min(now, self.turn_at)
            turns = stop == self.turn_at
            (self.rests if self.is_silent else self.idles)(stop)
            if turns and self.now == self.turn_at:
                self.turn_at, self.watts = next(self.turns)

    def rests(self, stop: float) -> None:
        """Nothing is drawn until there is enough to work again."""
        restart = whole(self.battery.restart_j * NANO) if self.battery.restart_j else inf
        again = inf
        if self.left >= restart:
            again = self.now
        elif self.watts > 0 and restart < inf:
            again = self.now + (restart - self.left) / (self.watts * NANO)
        until = min(again, stop)
        self.silent_s += until - self.now
        self.charges(until)
        self.keeps(0)
        self.now, self.is_silent = until, again > stop

    def idles(self, stop: float) -> None:
        loses = self.device.idle_w * NANO - self.watts * NANO
        empty = self.now + self.left / loses if loses > 0 else inf
        until = min(empty, stop)
        self.charges(until)
        wants = whole(self.device.idle_w * NANO * until) - whole(self.device.idle_w * NANO * self.now)
        self.now = until
        if empty <= stop or wants >= self.left:
            self.idled += self.left
            self.runs_empty()
        else:
            self.idled += wants
            self.keeps(wants)

    def charges(self, until: float) -> None:
        came = whole(bits_by(self.power.harvest, self.place, until)) - self.harvested
        self.harvested += came
        self.left += came

    def keeps(self, goes: int) -> None:
        """What is left after this, as far as there is room."""
        full = whole(self.battery.capacity_j * NANO)
        self.left -= goes
        self.spilled += max(0, self.left - full)
        self.left = min(self.left, full)

    def runs_empty(self) -> None:
        self.left, self.is_silent = 0, True
        self.deaths.append(self.now)
        self.free_at = self.now

    # What requests do.

    def works(self, now: float, request: Any) -> bool:
        """It has worked since the request came."""
        self.passes(now)
        return not self.is_silent and not (self.deaths and self.deaths[-1] >= request.arrived)

    def begins(self, now: float, request: Any) -> bool:
        if not self.works(now, request):
            return False
        got = self.take(request, whole(self.device.inference_j * NANO))
        self.inferred += got
        return not self.is_silent

    def sends(self, now: float, request: Any, link: Link, longer: float) -> bool:
        """The payload, and a tail behind it; of a tail that is on, what is left of it is paid already."""
        takes_s = link.transfer_s * longer
        already_s = max(0.0, self.listens_until - now)
        wants = whole(link.tx_w * NANO * takes_s) + whole(
            link.rx_w * NANO * max(0.0, link.tail_s - already_s)
        )
        self.listens_until = max(self.listens_until, now + (takes_s + link.tail_s))
        self.sent += self.take(request, wants)
        return not self.is_silent

    def computes(self, request: Any, joules: float) -> bool:
        """Its part of an option, as it is taken on."""
        self.inferred += self.take(request, whole(joules * NANO))
        return not self.is_silent

    def take(self, request: Any, wants: int) -> int:
        if self.battery and wants >= self.left:
            got, self.in_vain = self.left, self.in_vain + wants - self.left
            self.runs_empty()
        else:
            got, self.left = wants, self.left - wants if self.battery else 0
        request.drawn += got
        return got

    def charge(self) -> float:
        return self.left / whole(self.battery.capacity_j * NANO) if self.battery else 1.0

    def account(self, horizon_s: float) -> dict[str, float]:
        """As the table `energy` tells it, in nanojoules."""
        self.passes(horizon_s)
        if not self.battery:
            self.idled = whole(self.device.idle_w * NANO * horizon_s)
        return {
            "harvested_j": self.harvested / NANO,
            "spilled_j": self.spilled / NANO,
            "idle_j": self.idled / NANO,
            "inference_j": self.inferred / NANO,
            "radio_j": self.sent / NANO,
            "left_j": self.left / NANO if self.battery else nan,
            "empty_at_s": self.deaths[0] if self.deaths else nan,
            "times_empty": len(self.deaths),
            "silent_s": self.silent_s,
        }
