"""Who is there: clients that join and leave, drawn before the run.
Made once per run; `sim.world.arrivals.source` leaves out what would arrive while its client is away."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from sim.registry.durations import length_biased, mean_s, quantile
from sim.scenario import Group, Scenario
from sim.streams import Draws, stream
from sim.world.population import Population

Instants = NDArray[np.float64]
Visit = tuple[int, float, float]


@dataclass(frozen=True)
class Presence:
    """Visits [from_s, until_s) of clients of groups with a `presence`, by client and then by time.
    comes_and_goes: bool (clients,), who is of such a group; all others are always there."""

    client: NDArray[np.int32]
    from_s: Instants
    until_s: Instants
    comes_and_goes: NDArray[np.bool_]

    def is_there(self, at_s: Instants, client: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each client is there at its instant; (n,) both."""
        found = ~self.comes_and_goes[client]
        asked = np.flatnonzero(~found)
        if len(asked):
            number = np.zeros(len(asked), dtype=np.int64)
            # One sort tells how many visits of its client have begun by an instant, and how many are over.
            for edges, sign in ((self.from_s, 1), (self.until_s, -1)):
                who = np.concatenate([self.client, client[asked]])
                when = np.concatenate([edges, at_s[asked]])
                is_asked = np.arange(len(when)) >= len(edges)
                order = np.lexsort((is_asked, when, who))
                began = np.cumsum(~is_asked[order])
                number[order[is_asked[order]] - len(edges)] += sign * began[is_asked[order]]
            found[asked] = number > 0
        return found

    def away(self, client: int, horizon_s: float) -> list[tuple[float, float]]:
        """When a client is away before the horizon."""
        if not self.comes_and_goes[client]:
            return []
        mine = self.client == client
        begins, ends = np.append(0.0, self.until_s[mine]), np.append(self.from_s[mine], horizon_s)
        return [(a, b) for a, b in zip(begins.tolist(), ends.tolist(), strict=True) if a < b]


def presence(scenario: Scenario, clients: Population) -> Presence:
    """The visits of a run. The law: a longer horizon only adds to them."""
    visits: list[Visit] = []
    comes_and_goes = np.zeros(clients.size, dtype=bool)
    for place, (group, first) in enumerate(zip(scenario.fleet, clients.first, strict=True)):
        if group.presence is not None:
            comes_and_goes[first : first + group.clients] = True
            drawn = _drawn(scenario, group, place) if group.presence.at is None else _written(group)
            visits += [(first + who, begin, end) for who, begin, end in drawn]
    visits.sort()
    who, begin, end = (list(column) for column in zip(*visits, strict=True)) if visits else ([], [], [])
    return Presence(
        np.array(who, dtype=np.int32), np.array(begin, float), np.array(end, float), comes_and_goes
    )


def _written(group: Group) -> list[Visit]:
    """All clients of the group, whenever it is there."""
    periods = group.presence.at if group.presence else None
    return [(who, *period) for who in range(group.clients) for period in periods or ()]


def _drawn(scenario: Scenario, group: Group, place: int) -> list[Visit]:
    """Whoever joins is the client that has been away longest; if none is, nobody joins.

    In equilibrium at t = 0: as many as join in a mean stay, give or take, are there, each for what is left of
    a stay that is met, a uniform share of a length-biased one.
    """
    rule = group.presence
    assert rule is not None
    assert rule.join_hz is not None
    assert rule.stay is not None
    stays, met = quantile(rule.stay), length_biased(rule.stay)
    draws, left = Draws(scenario.seed, "stay"), Draws(scenario.seed, "rest of a stay")
    draw = stream(scenario.seed, "join", place)
    there = min(group.clients, int(draw.poisson(rule.join_hz * mean_s(rule.stay))))
    number = (place << 32) + np.arange(there)
    ends = met(draws.many(number)) * left.many(number)
    visits = [(who, 0.0, float(end)) for who, end in enumerate(ends)]
    present = [(end, who) for who, _, end in visits]
    heapify(present)
    away, at_s, number_of = deque(range(there, group.clients)), 0.0, there
    while True:
        at_s += float(draw.exponential(1.0 / rule.join_hz))
        if at_s >= scenario.horizon_s:
            return visits
        while present and present[0][0] <= at_s:
            away.append(heappop(present)[1])
        stay_s = float(stays(draws.many(np.array([(place << 32) + number_of])))[0])
        number_of += 1
        if away and stay_s > 0:
            who = away.popleft()
            visits.append((who, at_s, at_s + stay_s))
            heappush(present, (at_s + stay_s, who))


def mean_there(group: Group) -> float | None:
    """How many clients of a group that joins at random are there on average if there are always enough."""
    rule = group.presence
    return rule.join_hz * mean_s(rule.stay) if rule and rule.join_hz and rule.stay else None
