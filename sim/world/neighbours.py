"""Who is whose neighbour in a round of a federation, and which of a cluster uploads for all of it.
Pure functions of the scenario; `sim.world.federation` asks them round by round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario
from sim.world.delays import Delay
from sim.world.reachable import Reachable

Instants = NDArray[np.float64]
Mask = NDArray[np.bool_]
Clusters = NDArray[np.int32]


def clusters_of(place: NDArray[np.integer], size: int) -> Clusters:
    """The cluster of each client, named by its first, int32 (clients,). place: what only clients of one
    cluster share, (clients,): of those that do, each `size` in order of their numbers."""
    order = np.argsort(place, kind="stable")
    begins = np.append(True, np.diff(place[order]) != 0)
    rank = np.arange(len(place)) - np.maximum.accumulate(np.where(begins, np.arange(len(place)), 0))
    first = np.maximum.accumulate(np.where(rank % size == 0, np.arange(len(place)), 0))
    found = np.empty(len(place), dtype=np.int32)
    found[order] = order[first]
    return found


@dataclass(frozen=True)
class Gathered:
    """What clusters have in a round before anything is uploaded: whose numbers each first has, from when on.

    gives: bool (clients,), who sends what it learned to a neighbour; head: int32 (clients,), to whom, who is
    its own where it uploads itself, -1 of who takes no part; ready_at_s: float64 (clients,), when a head has
    all that it uploads, inf of everybody else.
    """

    gives: Mask
    head: Clusters
    ready_at_s: Instants


def alone(present: Mask, ready_s: float) -> Gathered:
    """Each that takes part uploads for itself."""
    every = np.arange(len(present), dtype=np.int32)
    return Gathered(
        np.zeros(len(present), np.bool_), np.where(present, every, -1), np.where(present, ready_s, np.inf)
    )


def gathered(
    cluster: Clusters, present: Mask, ready_s: float, takes_s: Instants, reachable: Reachable
) -> Gathered:
    """All that take part in a cluster send what they learned to its head, who waits for the last of them.

    takes_s: float64 (clients,), to a neighbour. The head: see `sim.scenario.schema.federation.Neighbours`.
    """
    every, many = np.arange(len(present)), len(present)
    is_up = np.ones(many, dtype=np.bool_)
    for client in reachable.hit:
        is_up[client] = reachable.link_is_up(client, ready_s)
    first = np.full(many, 2 * many)  # by cluster; whose link is down comes after all whose link is up
    np.minimum.at(first, cluster[present], np.where(is_up, every, every + many)[present])
    head = np.where(present, first[cluster] % many, -1).astype(np.int32)
    gives = present & (head != every)
    ready = np.where(present & ~gives, ready_s, np.inf)
    np.maximum.at(ready, head[gives], ready_s + takes_s[gives])
    return Gathered(gives, head, ready)


class BetweenTimes:
    """Seconds that a transfer takes from a client to a neighbour: a latency, keyed (client, number), and
    8·bytes/bandwidth."""

    def __init__(self, scenario: Scenario, what: str) -> None:
        assert scenario.federation is not None
        assert scenario.federation.neighbours is not None
        link = scenario.federation.neighbours.link
        self._latency, self._bandwidth_bps = Delay(scenario.seed, what, link.latency), link.bandwidth_bps

    def of(self, client: NDArray[np.int64], number: int, size_bytes: NDArray[np.int64] | int) -> Instants:
        """Of the transfers of one number, (n,)."""
        transfer_s = 8.0 * np.asarray(size_bytes) / self._bandwidth_bps if self._bandwidth_bps else 0.0
        return self._latency.many(client, number) + transfer_s
