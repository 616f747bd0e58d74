"""What outages leave of the servers: usable replicas over time, how slow they are, and what tables tell.
Pure functions of time, known before the run; the loop only walks along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.scenario.schema.server import Outage, Station
from sim.world.outages.downtime import Downtime
from sim.world.outages.times import OutageTimes

SlowSpans = Sequence[tuple[float, float, float]]
EVERY_REPLICA = 1 << 30


@dataclass(frozen=True)
class Interval:
    """One period [from_s, until_s) of an outage; `target` as tables name it.

    takes: replicas that do not work, counted from the highest index. effect: "down" or "slowdown". factor: of
    service or transfer times; 1 where the target is down. client: whose link it is; −1: all that is hit.
    outage: its place in the scenario's list.
    """

    target: str
    from_s: float
    until_s: float
    takes: int
    effect: str
    factor: float = 1.0
    client: int = -1
    outage: int = 0


@dataclass(frozen=True)
class Capacity:
    """Usable replicas over time: `usable[i]` from `at_s[i]` (included) until `at_s[i + 1]`; at_s[0] is 0.

    Usable replicas are always those with the lowest indices. taken: how many outages keep from working;
    `usable` are what they leave of the scenario's `replicas`.
    """

    at_s: NDArray[np.float64]
    usable: NDArray[np.int64]
    taken: NDArray[np.int64]

    def usable_at(self, t: float | NDArray[np.float64]) -> NDArray[np.int64]:
        """Usable replicas at each instant (right-continuous: an outage's end counts as up)."""
        return self.usable[np.searchsorted(self.at_s, t, side="right") - 1]


@dataclass(frozen=True)
class Slowness:
    """How much longer batches take that start at an instant: (when, replicas from the highest, factor)."""

    spans: tuple[tuple[Downtime, int, float], ...]

    def beside(self, spans: SlowSpans) -> Slowness:
        """This, and (from, until, factor) that slow down every replica."""
        more = tuple((Downtime([(begin, end)]), EVERY_REPLICA, factor) for begin, end, factor in spans)
        return Slowness(self.spans + more)


def intervals(scenario: Scenario, times: tuple[OutageTimes, ...]) -> list[Interval]:
    """Every interval of every outage, in order of start; those of single clients' links come with them."""
    found = []
    for number, one in enumerate(times):
        outage = one.outage
        takes = max([_takes(outage, most_replicas(scenario.stations[hit])) for hit in one.stations] + [0])
        factor = outage.effect.slows_by()
        for client, downtime in ((-1, one.shared), *one.of_client.items()):
            found += [
                Interval(one.target_name, begin, end, takes, outage.effect.kind, factor, client, number)
                for begin, end in downtime
            ]
        for downtime in one.of_replica.values():
            name = one.target_name.rpartition("/")[0]
            told = f"{name}/replicas:1" if name else "replicas:1"
            found += [
                Interval(told, begin, end, 1, outage.effect.kind, factor, -1, number)
                for begin, end in downtime
            ]
    return sorted(found, key=lambda i: (i.from_s, i.until_s, i.target, i.factor, i.client, i.outage))


def capacity(
    scenario: Scenario, station: int, times: tuple[OutageTimes, ...], away: Sequence[Downtime] = ()
) -> Capacity:
    """Each outage of a server takes its replicas from those that the others leave, as far as there are any;
    simultaneous edges are one net change. away: when single replicas are not to be had beside outages."""
    server = scenario.stations[station]
    most = most_replicas(server)
    takers = [(1, alone) for alone in away]
    for one in times:
        if station in one.stations and one.outage.effect.stops:
            takers += [(_takes(one.outage, most), one.shared)] if len(one.shared) else []
            takers += [(1, alone) for alone in one.of_replica.values()]
    edges = np.unique([0.0] + [t for _, downtime in takers for period in downtime for t in period])
    edges = edges[(edges < scenario.horizon_s) | (edges == 0.0)]
    taken = np.zeros(len(edges), dtype=np.int64)
    for takes, downtime in takers:
        taken += np.where(downtime.down_at(edges), takes, 0)
    taken = np.minimum(taken, most)
    changes = np.concatenate([[True], np.diff(taken) != 0])
    return Capacity(edges[changes], np.maximum(server.replicas - taken[changes], 0), taken[changes])


def mean_availability(scenario: Scenario, station: int, known: Capacity) -> float:
    """The share of [0, horizon_s) in which at least one replica of a server is usable, from 0 to 1.

    What `training.availability: observed` stands for: the outages of the server and its replicas as this run
    will meet them; links, queues and deadlines, which may lose more, are left out.
    """
    lengths = np.diff(np.append(known.at_s, scenario.horizon_s))
    most = most_replicas(scenario.stations[station])
    return float(lengths[known.taken < most].sum() / scenario.horizon_s)


def slowness(scenario: Scenario, station: int, times: tuple[OutageTimes, ...]) -> Slowness:
    """The slowdowns of a server and of its replicas, in the order of the scenario."""
    spans, most = [], most_replicas(scenario.stations[station])
    for one in times:
        effect, target = one.outage.effect, one.outage.target
        if not effect.stops and station in one.stations:
            spans.append((one.shared, target.replicas(most), effect.slows_by()))
    return Slowness(tuple(spans))


def most_replicas(server: Station) -> int:
    """As many replicas as there will ever be."""
    return server.replicas if server.autoscaling is None else server.autoscaling.max


def _takes(outage: Outage, most: int) -> int:
    """How many replicas it stops."""
    return outage.target.replicas(most) if outage.effect.stops else 0
