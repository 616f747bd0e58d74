"""How long a real replica is busy with a batch: the scenario's law, slept.
Needs the standard library alone, since replicas start anew after an outage."""

from __future__ import annotations

from typing import NamedTuple

SHORTEST_S = 1e-6  # as in the simulation


class Law(NamedTuple):
    """scale: seconds of a batch by its size. slow: (from, until, how many replicas from the highest, factor)
    of each slowdown. Seconds of the run: `speed` of them pass in each of wall time, since `origin`."""

    scale: list[float]
    slow: list[tuple[float, float, int, float]]
    replicas: int
    origin: float
    speed: float

    def wall_s(self, replica: int, factor: float, works: list[float], started: float) -> float:
        """Wall seconds of a batch that starts at this monotonic instant; factor: of the one at its head."""
        takes = self.scale[len(works)] * factor * (sum(works) / len(works))
        takes = max(takes, SHORTEST_S)
        at_s, above = (started - self.origin) * self.speed, self.replicas - replica - 1
        for begin, end, hits, by in self.slow:
            if hits > above and begin <= at_s < end:
                takes *= by
        return takes / self.speed
