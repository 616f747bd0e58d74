"""When what learners send gets through: a server that may be down, links that may be cut or slow.
Asked by `sim.world.release_schedule` for copies and by `sim.world.federation` for rejectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Group, Scenario
from sim.world.delays import Delay
from sim.world.outages.capacity import Capacity
from sim.world.outages.links import Links

MERGES = 0  # the server that merges where clients learn together: the only one, for several do not
Instants = NDArray[np.float64]
Clients = NDArray[np.int64]


class Reachable:
    """The server and each client's link, over time."""

    def __init__(self, usable: Capacity, links: Links, clients: int) -> None:
        self._usable, self._server_up = usable, _next_usable(usable)
        self._links, self.hit = links, np.flatnonzero(links.hit(clients)).tolist()

    def server_next_up(self, at_s: Instants) -> Instants:
        """The first instant from each on at which a replica is usable; inf = never."""
        piece = np.maximum(np.searchsorted(self._usable.at_s, at_s, side="right") - 1, 0)
        return np.maximum(at_s, self._server_up[piece])

    def link_is_up(self, client: int, at_s: float) -> bool:
        """Whether a client's link is up at an instant."""
        return self._links.downtime(client).is_up(at_s)

    def factor(self, client: int, at_s: float) -> float:
        """How much longer a transfer takes that begins then."""
        return self._links.factor(client, at_s)

    def over(self, client: int, at_s: float, takes_s: float, until_s: float) -> tuple[float, float]:
        """The first instant at or after `at_s` from which a transfer gets through a failing link, inf if that
        is not before `until_s`; and when the link last broke off one that had left, -inf if it never did."""
        cut, link = -np.inf, self._links.downtime(client)
        while at_s < until_s:
            leaves = float(self.server_next_up(np.array([link.next_up(at_s)]))[0])
            if link.is_up_through(leaves, leaves + takes_s * self.factor(client, leaves)):
                return (leaves if leaves < until_s else np.inf), cut
            if leaves < link.next_up(leaves):
                at_s = leaves
                continue
            at_s = link.next_change(leaves)
            if leaves < until_s:
                cut = at_s
        return np.inf, cut

    def arrivals(self, ready_s: Instants, takes_s: Instants, until_s: float) -> Instants:
        """When transfers arrive that are ready at these instants, a client each; inf where they have not left
        by `until_s`. What has left arrives, whatever becomes of the server."""
        leaves, takes = self.server_next_up(ready_s), takes_s.copy()
        for client in self.hit:
            leaves[client], _ = self.over(client, float(ready_s[client]), float(takes_s[client]), until_s)
            takes[client] *= self.factor(client, float(leaves[client]))
        return np.where(leaves < until_s, leaves + takes, np.inf)

    def accepted(self, ready_s: Instants, takes_s: Instants, until_s: float) -> Instants:
        """The same of transfers to the server: one that meets it down is sent again; inf where none is there
        by `until_s`, included."""
        found = self.arrivals(ready_s, takes_s, until_s)
        while True:
            again = (found <= until_s) & (self.server_next_up(found) > found)
            if not again.any():
                return np.where(found <= until_s, found, np.inf)
            later = self.arrivals(np.where(again, found, ready_s), takes_s, until_s)
            found = np.where(again, later, found)


class TransferTimes:
    """Seconds that a transfer takes to or from a client of a group: a latency, keyed (client, number), and
    8·bytes/bandwidth."""

    def __init__(self, scenario: Scenario, group: Group, what: str, size_bytes: int) -> None:
        self._latency = Delay(scenario.seed, what, group.link.latency)
        bandwidth_bps = group.link.bandwidth_bps
        self._transfer_s = 8.0 * size_bytes / bandwidth_bps if bandwidth_bps else 0.0

    def of(self, client: Clients, number: int, times: NDArray[np.int64] | int = 1) -> Instants:
        """Of the transfers of one number, (n,); times: as many bytes, (n,)."""
        return self._latency.many(client, number) + times * self._transfer_s


def _next_usable(usable: Capacity) -> Instants:
    """Per stretch of constant capacity: the start of the first stretch from it on with a usable replica."""
    begins = np.where(usable.usable > 0, usable.at_s, np.inf)
    found: Instants = np.minimum.accumulate(begins[::-1])[::-1]
    return found
