"""Models that came into the memory of a server's replicas, recounted from starts and ends alone.
Asked by `sim.results.verify`; shares nothing with the handlers."""

from __future__ import annotations

from bisect import bisect_right
from math import inf

import numpy as np
from numpy.typing import NDArray

from sim.engine.events import LOST
from sim.engine.state import Ended
from sim.errors import RunFailed
from sim.results.whom import Whom
from sim.world.parameters import Parameters
from sim.world.stations import Station

# When a request of a batch began, server, replica, when it ended, model, how often that came in for it, how
# often the request was put back, and when it was finished.
Start = tuple[float, int, int, float, int, int, int, float]
Steps = list[tuple[float, int]]


class LoadAudit:
    """Recounts in the order of the starts; what it depends on is kept with checkpoints.

    starts: not yet recounted. in_memory: of each replica its models, the last used behind; of those of
    servers that swap, server after server. is_known: whether that is sure. last_at, last_ends: when its last
    batch began and ended.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._stations, self._whom = parameters.stations, Whom.of(parameters, 0, None)
        room = [one.most_replicas if one.swaps else 0 for one in parameters.stations]
        self._first = [sum(room[:n]) for n in range(len(room) + 1)]
        self.starts: list[Start] = []
        self.in_memory = [
            [
                model
                for (model, *_), since in zip(one.widths, one.memory_at_start(), strict=True)
                if since > -inf
            ]
            for one, n in zip(parameters.stations, room, strict=True)
            for _ in range(n)
        ]
        self.is_known = [True] * len(self.in_memory)
        self.last_at, self.last_ends = ([-inf] * len(self.in_memory) for _ in range(2))

    def add(self, ended: Ended, open_since: float, steps: list[Steps]) -> None:
        """Takes the attempts of rows that ended. Raises RunFailed if a model came in that was there, or was
        used and was not. open_since: when the oldest request arrived that has not ended; later batches are
        recounted later. steps: of each server (instant, usable replicas), as far as it was played."""
        if not self.in_memory:
            return
        sends = ended.sends
        mine = np.isin(sends["server"], np.flatnonzero(np.diff(self._first)))
        mine &= ~np.isnan(sends["started"])
        closed_at = np.where(sends["cause"] == LOST, sends["closed_at"], np.inf)
        ends = np.where(np.isnan(sends["finished"]), closed_at, sends["finished"])
        model = self._whom.models(ended.rows["client"][sends["row"]], sends)
        others = (sends[name] for name in ("loads", "returns", "finished"))
        columns = (*(sends[name] for name in ("started", "server", "replica")), ends, model, *others)
        self.starts += zip(*(column[mine].tolist() for column in columns), strict=True)
        self.starts.sort()
        back = [
            [_back_up(np.array(of_server).T, replica) for replica in range(room)]
            for room, of_server in zip(np.diff(self._first).tolist(), steps, strict=True)
        ]
        known = 0
        while known < len(self.starts) and self.starts[known][0] < open_since:
            batch = self._batch_at(known)
            _, server, replica, *_ = batch[0]
            self._recount(batch, *back[server][replica])
            known += len(batch)
        del self.starts[:known]

    def _batch_at(self, place: int) -> list[Start]:
        """The requests of the batch that begins at a place."""
        end = place + 1
        while end < len(self.starts) and self.starts[end][:3] == self.starts[place][:3]:
            end += 1
        return self.starts[place:end]

    def _recount(self, batch: list[Start], back: list[float], is_sure: list[bool]) -> None:
        """back: when the replica was up anew; is_sure: of each whether nothing else changed then."""
        at_s, server, replica, ends, model, loads, returns, finished = batch[0]
        place = self._first[server] + replica
        since, until = bisect_right(back, self.last_at[place]), bisect_right(back, at_s)
        for which in range(since, until):
            self._come_back(place, back[which], is_sure[which])
        there = self.in_memory[place]
        for one in batch[1:]:
            loads, returns = loads + one[5], returns + one[6]
        more = loads - (model not in there)
        if more and self.is_known[place]:
            again = self._stations[server].in_flight == "restart" and bisect_right(back, ends) > until
            if more < 0 or not (returns or again):
                told = "came into memory and was" if more > 0 else "was not in memory and did not come"
                raise RunFailed("run", f"a model {told} there for a batch of {at_s} s on replica {replica}")
        if there[-1:] != [model]:
            takes_s = self._stations[server].load_s or 0.0
            if self.is_known[place] and model not in there and finished - at_s < takes_s:
                raise RunFailed("run", f"a batch of {at_s} s was finished before its model can be in memory")
            self._use(there, server, model)
        self.last_at[place], self.last_ends[place] = at_s, ends

    def _come_back(self, place: int, up_s: float, is_sure: bool) -> None:
        """Of what was in memory the model is left of a batch that the replica still has."""
        kept = self.last_ends[place] >= up_s
        self.in_memory[place] = self.in_memory[place][-1:] if kept else []
        self.is_known[place] = is_sure

    def _use(self, there: list[int], server: int, model: int) -> None:
        """A model is the last used one, and what was not used for longest goes out for it."""
        station = self._stations[server]
        if model in there:
            there.remove(model)
        else:
            needed = sum(takes for one, _, takes in station.widths if one == model)
            while there and _bytes(station, there) + needed > station.memory_bytes:
                there.pop(0)
        there.append(model)


def _bytes(station: Station, models: list[int]) -> float:
    """What these take, added up in the order in which they are written."""
    return sum(takes for one, _, takes in station.widths if one in models)


def _back_up(changes: NDArray[np.float64], replica: int) -> tuple[list[float], list[bool]]:
    """When a replica was up anew, and of each instant whether nothing else changed at it."""
    at_s, usable = changes
    found = at_s[1:][(usable[:-1] <= replica) & (usable[1:] > replica)]
    times, changes_then = np.unique(at_s, return_counts=True)
    return found.tolist(), (changes_then[np.searchsorted(times, found)] == 1).tolist()
