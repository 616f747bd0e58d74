"""Where the windows of a run end: each holds about as many requests as any other, whatever the traffic.
`sim.scenario.rules.rates` says what to expect, and `sim.engine.run` advances from one end to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sim.scenario import Scenario
from sim.scenario.rules.rates import requests_before
from sim.scenario.schema.values import CHUNK_S
from sim.world.world import World

MOST_REQUESTS = 120_000  # in a window: less than a second of SimPy's clock, some 100 MB
MOST_S = 7 * 86_400.0  # as a window has a row of the time line for each second

Work = Callable[[float], float]  # what there is to do before an instant, in requests


class Windows(Protocol):
    """The law: where a window ends decides in which part a row is written, and nothing else about it."""

    def end(self, start_s: float, open_requests: int, /) -> float:
        """Where the window ends that begins at `start_s`, with so many requests that have no outcome yet;
        maybe beyond the horizon."""


@dataclass(frozen=True)
class EvenWindows:
    """All of one length."""

    every_s: float

    def end(self, start_s: float, _open: int = 0, /) -> float:
        return (round(start_s / self.every_s) + 1) * self.every_s


class WindowsByWork:
    """Whole minutes, as many as are expected to bring `MOST_REQUESTS` requests, or other things that take as
    long; but one at least, and none that is longer than `MOST_S`. Where more requests than that are open they
    bring as many as these: each window carries all that are open, which would take the square of them.

    They follow from the scenario and from where the window before left the run, so one that goes on has the
    same ones.
    """

    def __init__(self, world: World) -> None:
        scenario, changes = world.scenario, [known.at_s for known in world.capacities]
        self._requests = [_requests(scenario, place) for place in range(len(scenario.fleet))]
        self._others = [_stays(scenario, place) for place in range(len(scenario.fleet))]
        online = scenario.training.online
        if scenario.federation is not None:
            self._others.append(
                _regular(scenario.federation.every_s / (2 * MOST_REQUESTS))
            )  # it trains, and merges
        if online is not None:
            self._others.append(
                _regular(online.shortest_s / MOST_REQUESTS)
            )  # a round takes the learners a while
        for server in scenario.stations:
            if server.autoscaling is not None:
                self._others.append(_regular(server.autoscaling.interval_s))
        self._others.append(lambda at_s: float(sum(one.searchsorted(at_s) for one in changes)))

    def end(self, start_s: float, open_requests: int = 0, /) -> float:
        first = round(start_s / CHUNK_S)
        weight = MOST_REQUESTS / max(MOST_REQUESTS, open_requests)  # of a request
        most = self._work(start_s, weight) + MOST_REQUESTS
        low, high = first + 1, first + int(MOST_S / CHUNK_S)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._work(middle * CHUNK_S, weight) <= most else (low, middle - 1)
        return low * CHUNK_S

    def _work(self, at_s: float, weight: float) -> float:
        return sum([weight * part(at_s) for part in self._requests] + [part(at_s) for part in self._others])


def _requests(scenario: Scenario, place: int) -> Work:
    return lambda at_s: requests_before(scenario, place, at_s)


def _stays(scenario: Scenario, place: int) -> Work:
    """What a window unfolds besides requests: the stays in states of an MMPP."""
    group = scenario.fleet[place]
    shape, a_second = group.arrivals.shape, group.clients * group.arrivals.process.stays_hz()
    return lambda at_s: a_second * shape.operational_s(at_s)


def _regular(every_s: float) -> Work:
    return lambda at_s: at_s / every_s
