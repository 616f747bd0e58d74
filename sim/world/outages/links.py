"""The links between clients and server as outages leave them: cut, or slow.
Asked by the loop for each message of a client that some outage of links hits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sim.world.outages.downtime import Downtime, either
from sim.world.outages.times import OutageTimes

_WHOLE = Downtime()


class Links:
    """Per client when its link is cut, and when and by which factor transfers that begin take longer."""

    __slots__ = ("_cut", "_slow")

    def __init__(self, times: tuple[OutageTimes, ...]) -> None:
        cut: dict[int, list[Downtime]] = {}
        self._slow: dict[int, list[tuple[Downtime, float]]] = {}
        for one in times:
            if not one.outage.target.hits_links:
                continue
            for client, when in _by_client(one):
                if one.outage.effect.stops:
                    cut.setdefault(client, []).append(when)
                else:
                    self._slow.setdefault(client, []).append((when, one.outage.effect.slows_by()))
        # Clients that are cut off together share one time line.
        merged: dict[tuple[int, ...], Downtime] = {}
        self._cut: dict[int, Downtime] = {}
        for client, whens in cut.items():
            lines = tuple(map(id, whens))
            if lines not in merged:
                merged[lines] = either(*whens)
            self._cut[client] = merged[lines]

    def hit(self, clients: int) -> NDArray[np.bool_]:
        """Which clients some outage of links hits, bool (clients,)."""
        hit = np.zeros(clients, dtype=bool)
        hit[[*self._cut, *self._slow]] = True
        return hit

    def downtime(self, client: int) -> Downtime:
        """When this client's link is cut."""
        return self._cut.get(client, _WHOLE)

    def slowdowns(self, client: int) -> Sequence[tuple[Downtime, float]]:
        """When, and by which factor, its transfers take longer."""
        return self._slow.get(client, ())

    def factor(self, client: int, now: float) -> float:
        """How much longer a transfer takes that begins now: the product of the slowdowns."""
        found = 1.0
        for when, factor in self.slowdowns(client):
            if not when.is_up(now):
                found *= factor
        return found


def _by_client(one: OutageTimes) -> Iterator[tuple[int, Downtime]]:
    shared = len(one.shared) > 0
    for client in one.clients.tolist():
        own = one.of_client.get(client)
        if own is not None:
            yield client, either(one.shared, own) if shared else own
        elif shared:
            yield client, one.shared
