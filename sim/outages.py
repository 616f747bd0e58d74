"""What works when: the outages of a scenario, composed into the number of usable replicas over time.
Pure functions of time, known before the run; the loop only walks along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.scenario.server import Intervals, Outage, ReplicasTarget


@dataclass(frozen=True)
class Interval:
    """One period [from_s, until_s) in which `target` ("server" or "replicas:N") does not work."""

    target: str
    from_s: float
    until_s: float
    takes: int  # replicas, counted from the highest index


@dataclass(frozen=True)
class Capacity:
    """Usable replicas over time: `usable[i]` from `at_s[i]` (included) until `at_s[i + 1]`; at_s[0] is 0.

    Usable replicas are always those with the lowest indices.
    """

    at_s: NDArray[np.float64]
    usable: NDArray[np.int64]

    def usable_at(self, t: float | NDArray[np.float64]) -> NDArray[np.int64]:
        """Usable replicas at each instant (right-continuous: an outage's end counts as up)."""
        return self.usable[np.searchsorted(self.at_s, t, side="right") - 1]


def intervals(scenario: Scenario) -> list[Interval]:
    """Every interval of every outage, in order of start."""
    found = [
        Interval(target_name(outage), float(begin), float(end), _takes(outage, scenario.server.replicas))
        for outage in scenario.server.outages
        if isinstance(outage.when, Intervals)
        for begin, end in outage.when.at
    ]
    return sorted(found, key=lambda i: (i.from_s, i.until_s, i.target))


def capacity(scenario: Scenario) -> Capacity:
    """A replica is up iff every outage that targets it is up; simultaneous edges are one net change."""
    replicas, periods = scenario.server.replicas, intervals(scenario)
    edges = np.unique([0.0] + [t for p in periods for t in (p.from_s, p.until_s)])
    edges = edges[(edges < scenario.horizon_s) | (edges == 0.0)]
    taken = np.zeros(len(edges), dtype=np.int64)
    for p in periods:
        taken = np.where((p.from_s <= edges) & (edges < p.until_s), np.maximum(taken, p.takes), taken)
    usable = replicas - taken
    changes = np.concatenate([[True], np.diff(usable) != 0])
    return Capacity(edges[changes], usable[changes])


def mean_availability(scenario: Scenario) -> float:
    """The share of [0, horizon_s) in which at least one replica is usable, from 0 to 1.

    What `training.availability: observed` stands for: the outages of the server and its replicas as this run
    will meet them; links, queues and deadlines, which may lose more, are left out.
    """
    known = capacity(scenario)
    lengths = np.diff(np.append(known.at_s, scenario.horizon_s))
    return float(lengths[known.usable > 0].sum() / scenario.horizon_s)


def target_name(outage: Outage) -> str:
    """How tables name a target: "server" or "replicas:N"."""
    if isinstance(outage.target, ReplicasTarget):
        return f"replicas:{outage.target.count}"
    return outage.target.kind


def _takes(outage: Outage, replicas: int) -> int:
    return outage.target.count if isinstance(outage.target, ReplicasTarget) else replicas
