"""Worlds whose truth is known, for `benchmarks.coverage`: queues by Lindley's recursion, thousands of runs in
a second, and how a line of its table is counted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.in_time import Interval, Span
from analysis.statistics.percentiles import Latencies
from analysis.statistics.run_length import relaxation_s

Floats = NDArray[np.float64]
MEAN_S = 0.1  # of a service


class Queue(NamedTuple):
    """One server at a load; cv of the service times (lognormal, exponential at 1); stops: how much of the
    load are rare jobs of `stop_s`, such as outages are to those who wait."""

    load: float
    cv: float = 1.0
    stops: float = 0.0
    stop_s: float = 5.0

    @property
    def relaxation_s(self) -> float:
        alone_s = relaxation_s(self.load, MEAN_S, MEAN_S, self.cv, 1)
        return max(alone_s, self.stop_s / self.stops) if self.stops else alone_s

    def span(self, relaxations: float) -> Span:
        return Span(0.0, relaxations * self.relaxation_s, self.relaxation_s, max(1.0, (1 + self.cv**2) / 2))


class Line(NamedTuple):
    """printed: the share of the runs with an interval; covered, of those; naive: as if independent."""

    world: str
    number: str
    runs: int
    printed: float
    covered: float
    naive: float


def queue_run(world: Queue, end_s: float, rng: np.random.Generator) -> tuple[Latencies, Floats, Floats]:
    """The requests of [0, end) after a long warm-up, cut at the end, how long each takes, and its service
    (n,)."""
    before_s = 20 * world.relaxation_s
    arrived = poisson((world.load - world.stops) / MEAN_S, before_s + end_s, rng) - before_s
    service = service_times(world.cv, arrived.size, rng)
    stops = poisson(world.stops / world.stop_s, before_s + end_s, rng) - before_s
    at_s = np.concatenate([arrived, stops])
    order = np.argsort(at_s, kind="stable")
    work = np.concatenate([service, np.full(stops.size, world.stop_s)])[order]
    left = np.append(0.0, np.cumsum(work[:-1] - np.diff(at_s[order])))
    taken = np.empty(at_s.size)
    taken[order] = left - np.minimum.accumulate(left) + work
    counted = arrived >= 0
    arrived_s, taken_s = arrived[counted], taken[: arrived.size][counted]
    is_open = arrived_s + taken_s > end_s
    relaxations = end_s / world.relaxation_s
    times = Latencies(arrived_s, np.where(is_open, np.nan, taken_s), end_s, relaxations)
    return times, taken_s, service[counted]


def poisson(rate_hz: float, end_s: float, rng: np.random.Generator) -> Floats:
    return np.sort(rng.uniform(0, end_s, rng.poisson(rate_hz * end_s)))


def service_times(cv: float, count: int, rng: np.random.Generator) -> Floats:
    if cv == 1:
        return rng.exponential(MEAN_S, count)
    sigma = np.sqrt(np.log1p(cv**2))
    return rng.lognormal(np.log(MEAN_S) - sigma**2 / 2, sigma, count)


def line_of(
    world: str, number: str, true: float, found: list[Interval], naive: list[tuple[float, float]]
) -> Line:
    told = [one for one in found if one.why is None]
    covered = float(np.mean([one.low <= true <= one.high for one in told])) if told else float("nan")
    other = float(np.mean([low <= true <= high for low, high in naive])) if naive else float("nan")
    return Line(world, number, len(found), len(told) / len(found), covered, other)
