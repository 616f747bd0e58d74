"""When requests arrive: for every chunk of virtual time the instants and clients, group by group.
`sim.engine.run` asks once per chunk; nothing here depends on the policy, so policies share their traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.world.arrivals.processes import Columns, Drawn, sort
from sim.world.arrivals.trace import told_of
from sim.world.world import World


@dataclass(frozen=True)
class Arrivals:
    """Requests that arrive in one chunk, by client and then by time: at_s float64 (n,), client int32 (n,).

    told: what traces say of them, `trace_row` int64, `sample` int32 and `work` float64 (n,); −1 and NaN where
    they say nothing. None where no trace plays.
    """

    at_s: NDArray[np.float64]
    client: NDArray[np.int32]
    told: Columns | None = None


class ArrivalSource(Protocol):
    """Gives the arrivals of chunk `index`, which covers [start_s, end_s), whatever was asked before.

    `state` and `restore` carry the position over, so that a run can go on elsewhere.
    """

    def draw(self, index: int, start_s: float, end_s: float) -> Arrivals: ...
    def state(self) -> Columns: ...
    def restore(self, state: Columns) -> None: ...


class ScenarioArrivals:
    """The arrivals that a scenario describes.

    Laws: whoever asks for whatever stretches in whatever order gets the same requests to the last bit, so
    the length of a chunk changes no arrival and a longer horizon only adds some; a group behind changes
    nothing of those before it. Going forward is what costs least: an earlier stretch is drawn from t = 0.
    `state` and `restore` carry the position over, so that a run can go on elsewhere without that.
    """

    def __init__(self, world: World) -> None:
        scenario, clients = world.scenario, world.population
        self._groups = [
            group.arrivals.process.source(scenario, clients, place)
            for place, group in enumerate(scenario.fleet)
        ]
        self._presence = world.presence

    def draw(self, _index: int, start_s: float, end_s: float) -> Arrivals:
        """The requests in [start_s, end_s), by client and then by time."""
        drawn = [self._of_those_there(Drawn(*group.draw(start_s, end_s))) for group in self._groups]
        at, client = (np.concatenate([one[place] for one in drawn]) for place in (0, 1))
        if all(one.told is None for one in drawn):
            return Arrivals(at, client)
        told = [told_of(one) for one in drawn]
        return Arrivals(at, client, {name: np.concatenate([one[name] for one in told]) for name in told[0]})

    def _of_those_there(self, drawn: Drawn) -> Drawn:
        """What its clients would ask while they are away does not happen; nothing else changes."""
        if not self._presence.comes_and_goes.any():
            return drawn
        kept = self._presence.is_there(drawn.at_s, drawn.client)
        told = None if drawn.told is None else {name: of[kept] for name, of in drawn.told.items()}
        return Drawn(drawn.at_s[kept], drawn.client[kept], told)

    def state(self) -> Columns:
        """All that is kept between two draws: arrays of its own, named `place.name`."""
        return {
            f"{place}.{name}": array
            for place, group in enumerate(self._groups)
            for name, array in group.state().items()
        }

    def restore(self, state: Columns) -> None:
        """Goes on where `state` was taken, of the same scenario."""
        for place, group in enumerate(self._groups):
            mine = f"{place}."
            group.restore({n.removeprefix(mine): a for n, a in state.items() if n.startswith(mine)})


def in_order(at_s: NDArray[np.float64], client: NDArray[np.int32], end_s: float) -> Arrivals:
    """Arrivals before `end_s`, sorted by client and then by time."""
    kept = at_s < end_s
    return Arrivals(*sort(at_s[kept], client[kept])[:2])
