"""How long a real replica is busy with a batch: as the scenario's law says, slept, or as the model takes.
Needs the standard library alone, since replicas start anew after an outage."""

from __future__ import annotations

from typing import NamedTuple

SHORTEST_S = 1e-6  # as in the simulation


class Law(NamedTuple):
    """scale: seconds of a batch by its size. slow: (from, until, how many replicas from the highest, factor)
    of each slowdown. Seconds of the run: `speed` of them pass in each of wall time, since `origin`. model:
    the folder of the model that answers (`agents.server.runnable`); without one, service is slept."""

    scale: list[float]
    slow: list[tuple[float, float, int, float]]
    replicas: int
    origin: float
    speed: float
    model: str = ""

    def order(
        self, replica: int, factor: float, works: list[float], samples: list[int], started: float
    ) -> tuple[float, float, list[int]]:
        """What a replica is told of a batch that starts at this monotonic instant: wall seconds to sleep, or
        by how much it is slower than its machine, and the samples to answer. factor: of the one at its head.
        """
        slower = self._slower(replica, started)
        if self.model:
            return 0.0, slower, samples
        takes = self.scale[len(works)] * factor * (sum(works) / len(works))
        return max(takes, SHORTEST_S) * slower / self.speed, slower, []

    def _slower(self, replica: int, started: float) -> float:
        at_s, above = (started - self.origin) * self.speed, self.replicas - replica - 1
        slower = 1.0
        for begin, end, hits, by in self.slow:
            if hits > above and begin <= at_s < end:
                slower *= by
        return slower
