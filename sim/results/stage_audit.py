"""A recount of pipelines: no replica has more batches in it than stages, and none overtakes another.
Asked by `sim.results.verify`, from the attempts alone."""

from __future__ import annotations

import numpy as np

from sim.engine.state import Columns
from sim.errors import RunFailed
from sim.world.parameters import Parameters


def audit_stages(parameters: Parameters, sends: Columns) -> None:
    """Raises RunFailed if attempts that have ended went through a pipeline in another way."""
    for number, station in enumerate(parameters.stations):
        if station.stages > 1:
            mine = (sends["server"] == number) & ~np.isnan(sends["finished"])
            replica, started, finished = (sends[name][mine] for name in ("replica", "started", "finished"))
            order = np.lexsort((finished, started, replica))
            replica, started, finished = replica[order], started[order], finished[order]
            first = np.append(True, (np.diff(replica) != 0) | (np.diff(started) != 0))[: len(order)]
            replica, started, finished = replica[first], started[first], finished[first]
            n, who = station.stages, f"pipeline {station.name}"
            overtakes = (replica[1:] == replica[:-1]) & (finished[1:] < finished[:-1])
            if np.any(overtakes):
                raise RunFailed("run", f"a batch of {started[1:][overtakes][0]} s overtook another in {who}")
            too_early = (replica[n:] == replica[:-n]) & (started[n:] < finished[:-n])
            if np.any(too_early):
                raise RunFailed(
                    "run", f"more than {n} batches were in {who} at {started[n:][too_early][0]} s"
                )
