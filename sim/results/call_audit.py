"""Calls of serverless servers, recounted from their starts and ends alone: which were cold, and had to be.
Asked by `sim.results.verify`; shares nothing with the handlers."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from sim.engine.state import Ended
from sim.errors import RunFailed
from sim.world.parameters import Parameters

Call = tuple[float, int, int, float, bool]


class CallAudit:
    """Recounts in the order of the starts; what it depends on is kept with checkpoints.

    ended: of each instance, server after server, when its last call ended (-inf: there was none; NaN: an
    outage stopped it). calls: not yet recounted: start, server, instance, end, whether it was cold.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._stations = parameters.stations
        self._first = np.cumsum([0, *(one.replicas if one.serverless else 0 for one in parameters.stations)])
        self.ended = np.full(self._first[-1], -np.inf)
        self.calls: list[Call] = []

    def add(self, ended: Ended, open_since: float) -> None:
        """Takes the attempts of rows that ended. Raises RunFailed if one was warm and could not be, or cold
        and need not be. open_since: when the oldest request arrived that has not ended; later calls are
        recounted later."""
        if not len(self.ended):
            return
        sends = ended.sends
        mine = np.isin(sends["server"], np.flatnonzero([bool(one.serverless) for one in self._stations]))
        mine &= ~np.isnan(sends["started"])
        columns = (sends[name][mine] for name in ("started", "server", "replica", "finished", "is_cold"))
        self.calls += zip(*(column.tolist() for column in columns), strict=True)
        self.calls.sort()
        known = 0
        while known < len(self.calls) and self.calls[known][0] < open_since:
            self._recount(*self.calls[known])
            known += 1
        del self.calls[:known]

    def _recount(self, at_s: float, server: int, instance: int, ends: float, is_cold: bool) -> None:
        if is_cold == self._is_warm(server, instance, at_s):
            told = "cold" if is_cold else "warm"
            raise RunFailed("run", f"a call at {at_s} s was {told} on instance {instance}")
        if is_cold:
            for other in range(int(self._stations[server].capacity.usable_at(at_s))):
                # What ends at this very instant may end after the call began.
                idle = self.ended[self._first[server] + other] < at_s and not self._begins(
                    at_s, server, other
                )
                if idle and self._is_warm(server, other, at_s):
                    raise RunFailed("run", f"a call at {at_s} s was cold, and instance {other} was warm")
        self.ended[self._first[server] + instance] = ends

    def _begins(self, at_s: float, server: int, instance: int) -> bool:
        """Whether a call begins there at this very instant, which may be before another one does."""
        place = bisect_left(self.calls, (at_s, server, instance))
        return place < len(self.calls) and self.calls[place][:3] == (at_s, server, instance)

    def _is_warm(self, server: int, instance: int, at_s: float) -> bool:
        """Whether an instance that nothing keeps busy is warm: its last call is not long over, and no outage
        took it since."""
        station, ended = self._stations[server], self.ended[self._first[server] + instance]
        assert station.serverless is not None
        if instance < station.serverless.provisioned:
            return True
        if not at_s <= ended + station.serverless.keep_alive_s:
            return False
        edges = station.capacity.at_s
        since = np.append(ended, edges[(edges > ended) & (edges <= at_s)])
        return bool(station.capacity.usable_at(since).min() > instance)
