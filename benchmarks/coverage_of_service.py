"""How often intervals of rates, utilisation, the queue and refusals hold the truth; a part of
`benchmarks.coverage`, whose grid asks for its lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.estimates import Z, wilson
from analysis.statistics.in_time import Interval, Span, mean_in_time, rate_in_time, share_in_time
from analysis.statistics.run_length import relaxation_s
from benchmarks.coverage_worlds import MEAN_S, Line, Queue, line_of, queue_run

Floats = NDArray[np.float64]


def of_service(runs: int, seed: int) -> Iterator[Line]:
    """Their part of the grid."""
    rng = np.random.default_rng([seed, 1])
    for load in (0.5, 0.8, 0.9):
        for relaxations in (100, 250):
            yield from service_runs(load, relaxations, runs, rng)
    for load, places in ((0.6, 2), (0.9, 5), (0.9, 20), (1.2, 10)):
        yield refusals(load, places, 250, runs, rng)


def service_runs(load: float, relaxations: float, runs: int, rng: np.random.Generator) -> Iterator[Line]:
    """Of M/M/1, by the seconds of a time line: requests that arrive, and that are answered within the time
    that one of ten exceeds, per second; utilisation; the queue. Where a coin decides what is sent: the share
    that is sent, the share that is sent and answered in that time, and a mean cost.

    naive: as if seconds, or requests, were independent.
    """
    world = Queue(load)
    span, in_time_s = world.span(relaxations), np.log(10.0) * MEAN_S / (1 - load)
    true = {"arrivals": load / MEAN_S, "in time": 0.9 * load / MEAN_S}
    true |= {
        "utilisation": load,
        "queue": load**2 / (1 - load),
        "sent": 0.5,
        "sent, in time": 0.45,
        "cost": 1.0,
    }
    found: dict[str, list[tuple[Interval, tuple[float, float]]]] = {name: [] for name in true}
    for _ in range(runs):
        times, taken_s, service_s = queue_run(world, span.to_s, rng)
        seconds = np.arange(np.floor(span.to_s))
        begun, covered = times.arrived_at_s + taken_s - service_s, np.ones(seconds.size)
        for name, counts in (("arrivals", np.ones(taken_s.size)), ("in time", (taken_s <= in_time_s) * 1.0)):
            one = rate_in_time(counts, times.arrived_at_s, seconds, covered, span)
            per_second = np.bincount(times.arrived_at_s.astype(np.int64), counts, seconds.size)
            found[name].append((one, _naive(one, per_second[: seconds.size])))
        sent, ones = rng.integers(0, 2, taken_s.size) * 1.0, np.ones(taken_s.size)
        for name, hits in (("sent", sent), ("sent, in time", sent * (taken_s <= in_time_s))):
            low, high = wilson(float(hits.mean()), float(hits.size))
            found[name].append(
                (share_in_time(hits, ones, times.arrived_at_s, span), (float(low), float(high)))
            )
        costs = 2 * sent
        one = mean_in_time(costs, ones, times.arrived_at_s, span)
        found["cost"].append((one, _naive(one, costs)))
        used = _lasting(begun, begun + service_s, seconds)
        one = mean_in_time(used, covered, seconds, span, least=0.0)
        found["utilisation"].append((one, _naive(one, used)))
        waiting = _lasting(times.arrived_at_s, begun, seconds)
        one = mean_in_time(waiting, covered, seconds, span)
        found["queue"].append((one, _naive(one, waiting)))
    for name, both in found.items():
        where = f"load {load:g}, cv 1, {relaxations:g} relaxations"
        yield line_of(where, name, true[name], [one for one, _ in both], [ends for _, ends in both])


def _naive(one: Interval, values: Floats) -> tuple[float, float]:
    reach = Z * float(values.std()) / np.sqrt(values.size)
    return one.value - reach, one.value + reach


def _lasting(from_s: Floats, to_s: Floats, seconds: Floats) -> Floats:
    """How many of the stretches [from_s, to_s) last on average in each second; (seconds,)."""
    edges, total = np.append(seconds, seconds.size), np.zeros(seconds.size + 1)
    for at_s, sign in ((np.sort(from_s), 1), (np.sort(to_s), -1)):
        before = np.searchsorted(at_s, edges, side="right")
        total += sign * (before * edges - np.append(0.0, np.cumsum(at_s))[before])
    return np.diff(total)


def refusals(load: float, places: int, relaxations: float, runs: int, rng: np.random.Generator) -> Line:
    """The share that is refused of M/M/1 with so many places to wait, all runs side by side, each begun in
    its steady state; naive: Wilson's interval of the requests."""
    relaxes_s = relaxation_s(load, MEAN_S, MEAN_S, 1.0, 1, 1.0, places)
    most, rate_hz = places + 1, (1 + load) / MEAN_S  # of arrivals and ends of service, some of nobody
    steady = load ** np.arange(most + 1) / (load ** np.arange(most + 1)).sum()
    steps = int(relaxations * relaxes_s * rate_hz)
    at_s = rng.exponential(1 / rate_hz, (steps, runs)).cumsum(axis=0)
    is_arrival = rng.random((steps, runs)) < load / (1 + load)
    inside, is_refused = rng.choice(most + 1, runs, p=steady), np.zeros((steps, runs), dtype=bool)
    for step in range(steps):
        is_refused[step] = is_arrival[step] & (inside == most)
        inside = np.clip(inside + np.where(is_arrival[step], 1, -1), 0, most)
    found, naive = [], []
    for run in range(runs):
        came = is_arrival[:, run]
        hits, when, ones = is_refused[came, run] * 1.0, at_s[came, run], np.ones(came.sum())
        found.append(share_in_time(hits, ones, when, Span(0.0, float(at_s[-1, run]), relaxes_s)))
        low, high = wilson(float(hits.mean()), float(hits.size))
        naive.append((float(low), float(high)))
    where = f"load {load:g}, {places} places, {relaxations:g} relaxations"
    return line_of(where, "refused", float(steady[-1]), found, naive)
