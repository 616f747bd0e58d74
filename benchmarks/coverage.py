"""How often the intervals that the tool prints hold the truth, on a grid of worlds whose truth is known.
`python -m benchmarks.coverage` prints a line per number and world; a smaller grid is a test.

Worlds are queues by Lindley's recursion, thousands of runs in a second, and fleets of clients that answer
samples; the truth is a closed form, or a run a hundred times as long. Beside each coverage stands that of the
interval as it would be if requests were independent, and the share of the runs that print one at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, stats

from analysis.statistics.clusters import clusters
from analysis.statistics.estimates import Z, wilson
from analysis.statistics.in_time import (
    BLOCKS,
    LOOKS,
    Interval,
    alike,
    least_variance,
    mean_in_time,
    percentile_in_time,
    share_in_time,
)
from analysis.statistics.percentiles import percentile, percentile_over_runs
from analysis.statistics.pieces import floats
from analysis.statistics.units import jackknife, skewed_interval, variance_of
from benchmarks.coverage_of_service import of_service
from benchmarks.coverage_worlds import MEAN_S, Line, Queue, line_of, poisson, queue_run, service_times

Floats = NDArray[np.float64]
LEVELS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def wasted(world: Queue, late_s: float, rng: np.random.Generator, relaxations: float) -> float:
    """The share of the work that goes to requests that take longer than that: of M/M/1 by its law of waits,
    else of a very long run."""
    if world.cv == 1 and not world.stops:
        waits = (1 - world.load) / MEAN_S  # P(wait > x) = load e^{-waits x}

        def late(service_s: float) -> float:
            left_s = late_s - service_s
            return service_s * np.exp(-service_s / MEAN_S) * (world.load * np.exp(-waits * left_s))

        in_time, _ = integrate.quad(late, 0, late_s)
        anyway, _ = integrate.quad(lambda s: s * np.exp(-s / MEAN_S), late_s, np.inf)
        return float(in_time + anyway) / MEAN_S**2
    _, taken_s, service_s = queue_run(world, _long_s(world, relaxations), rng)
    return float(service_s[taken_s > late_s].sum() / service_s.sum())


def _long_s(world: Queue, relaxations: float) -> float:
    return min(100 * relaxations * world.relaxation_s, 3e6 * MEAN_S / world.load)


def truth_of(world: Queue, rng: np.random.Generator, relaxations: float) -> Floats:
    """Latencies (n,) of the steady state, sorted: exact quantiles for M/M/1, else of very long runs."""
    if world.cv == 1 and not world.stops:
        return -np.log1p(-(np.arange(100_000) + 0.5) / 100_000) * MEAN_S / (1 - world.load)
    return np.sort(queue_run(world, _long_s(world, relaxations), rng)[1])


def single_runs(world: Queue, relaxations: float, runs: int, rng: np.random.Generator) -> Iterator[Line]:
    """What one run prints of its latency: mean, percentiles, the share that is late; of the work that is
    wasted on these; and in the system."""
    truth, span = truth_of(world, rng, relaxations), world.span(relaxations)
    late_s = float(np.quantile(truth, 0.9))
    true = {name: float(np.quantile(truth, level)) for name, level in LEVELS.items()}
    true |= {"mean": float(truth.mean()), "late": 0.1, "wasted": wasted(world, late_s, rng, relaxations)}
    true["in system"] = true["mean"] * (world.load - world.stops) / MEAN_S
    found: dict[str, list[tuple[Interval, tuple[float, float]]]] = {name: [] for name in true}
    for _ in range(runs):
        times, taken_s, service_s = queue_run(world, span.to_s, rng)
        ended = ~np.isnan(times.taken_s)
        known = np.where(ended, times.taken_s, 0.0)
        late, n = (taken_s > late_s) * 1.0, taken_s.size
        half = Z * float(taken_s.std()) / np.sqrt(n)
        mean = mean_in_time(known, ended * 1.0, times.arrived_at_s, span)
        found["mean"].append((mean, (mean.value - half, mean.value + half)))
        low, high = wilson(late.mean(), float(n))
        found["late"].append(
            (share_in_time(late, np.ones(n), times.arrived_at_s, span), (float(low), float(high)))
        )
        lost = mean_in_time(late * service_s, service_s, times.arrived_at_s, span, is_share=True)
        reach = Z * float(np.std((late - lost.value) * service_s)) / (service_s.mean() * np.sqrt(n))
        found["wasted"].append((lost, (lost.value - reach, lost.value + reach)))
        seconds = np.arange(span.to_s)
        left = np.sort(times.arrived_at_s + taken_s)
        inside = np.searchsorted(np.sort(times.arrived_at_s), seconds) - np.searchsorted(left, seconds)
        spread = Z * float(inside.std()) / np.sqrt(inside.size)
        number = mean_in_time(inside * 1.0, np.ones(inside.size), seconds, span)
        found["in system"].append((number, (number.value - spread, number.value + spread)))
        for name, level in LEVELS.items():
            reach = Z * float(np.sqrt(level * (1 - level) / n))
            ends = (
                percentile([times], max(0.0, level - reach)),
                percentile([times], min(1.0, level + reach)),
            )
            found[name].append((percentile_in_time(times, level, span), ends))
    where = (
        f"load {world.load:g}, cv {world.cv:g}{', stops' * bool(world.stops)}, {relaxations:g} relaxations"
    )
    for name, each in found.items():
        yield line_of(where, name, true[name], [one for one, _ in each], [ends for _, ends in each])


def paired_runs(load: float, relaxations: float, runs: int, rng: np.random.Generator) -> Iterator[Line]:
    """What `compare` prints of two servers, the second 10% faster, that meet the same requests."""
    world = Queue(load)
    span = world.span(relaxations)
    true = {"mean": MEAN_S * (0.9 / (1 - 0.9 * load) - 1 / (1 - load))}
    true["p95"] = -np.log(0.05) * true["mean"]
    found: dict[str, list[Interval]] = {name: [] for name in true}
    for _ in range(runs):
        arrived = poisson(load / MEAN_S, span.to_s + 20 * world.relaxation_s, rng) - 20 * world.relaxation_s
        service, gaps = service_times(1.0, arrived.size, rng), np.diff(arrived)
        both = []
        for scale in (1.0, 0.9):
            left = np.append(0.0, np.cumsum(scale * service[:-1] - gaps))
            both.append((left - np.minimum.accumulate(left) + scale * service)[arrived >= 0])
        at_s = arrived[arrived >= 0]
        sums = span.sums((both[1] - both[0] - (both[1] - both[0]).mean()) / at_s.size, at_s)
        value, why = float((both[1] - both[0]).mean()), span.too_short() or alike(sums)
        influence = (both[1] - both[0] - value) / at_s.size
        least = least_variance(floats(influence), LOOKS * span.relaxations, influence.size)
        ends = skewed_interval(value, max(variance_of(sums), least), sums)
        found["mean"].append(Interval(value, *ends, why))
        block = span.block_of(at_s)

        def difference(
            kept: NDArray[np.bool_], both: list[Floats] = both, block: NDArray[np.int64] = block
        ) -> float:
            one, two = (np.sort(taken[kept[block]]) for taken in both)
            rank = int(np.ceil(0.95 * one.size)) - 1
            return float(two[rank] - one[rank])

        found["p95"].append(
            Interval(*jackknife(difference, BLOCKS), span.too_short(0.95, of_difference=True))
        )
    for name, each in found.items():
        yield line_of(f"load {load:g}, difference, {relaxations:g} relaxations", name, true[name], each, [])


def over_runs(load: float, seeds: int, runs: int, end_s: float, rng: np.random.Generator) -> Iterator[Line]:
    """Percentiles over seeds; naive: Student's interval of the runs' own percentiles."""
    world = Queue(load)
    for name, level in LEVELS.items():
        true, found, naive = -np.log(1 - level) * MEAN_S / (1 - load), [], []
        for _ in range(runs):
            each = [queue_run(world, end_s, rng)[0] for _ in range(seeds)]
            value, bounds = percentile_over_runs(each, level)
            why = None if np.isfinite(bounds.high) else "open above"
            found.append(Interval(value, bounds.low, bounds.high, why))
            own = np.array([percentile([one], level) for one in each])
            half = stats.t.ppf(0.975, seeds - 1) * own.std(ddof=1) / np.sqrt(seeds)
            naive.append((float(own.mean() - half), float(own.mean() + half)))
        where = f"load {load:g}, {seeds} seeds of {end_s:g} s"
        yield line_of(where, name, true, found, naive)


def fleets(groups: int, activity: Floats, runs: int, rng: np.random.Generator, what: str) -> Line:
    """Accuracy of clients in groups, unequally active; naive: Wilson's interval of the requests."""
    levels = np.array([0.45, 0.70, 0.75])[:groups]
    group, count = np.repeat(np.arange(groups), activity.size), activity.size * groups
    chance = np.tile(activity / activity.sum(), groups) / groups
    found, naive = [], []
    for _ in range(runs):
        client, base = rng.choice(count, 4000, p=chance), rng.integers(0, 100, 4000)
        skill = levels[group] + rng.uniform(-0.2, 0.2, count)
        right = rng.random((count, 100))[client, base] < skill[client] + rng.uniform(-0.05, 0.05, 100)[base]
        one = clusters(client, base, group[client]).share(right, np.ones(4000, dtype=bool))
        found.append(Interval(one["value"], one["low"], one["high"]))
        low, high = wilson(right.mean(), 4000.0)
        naive.append((float(low), float(high)))
    return line_of(f"clients: {what}", "accuracy", float(levels.mean()), found, naive)


def grid(runs: int, seed: int = 1) -> Iterator[Line]:
    """The whole grid, a line per number and world."""
    rng = np.random.default_rng(seed)
    for load in (0.5, 0.8, 0.9, 0.95):
        for relaxations in (20, 120, 250, 900):
            fitting = int(min(runs, 4e7 / (load / MEAN_S * relaxations * Queue(load).relaxation_s)))
            if fitting >= 60:
                yield from single_runs(Queue(load), relaxations, fitting, rng)
    for load in (0.5, 0.8):
        yield from single_runs(Queue(load, cv=4.0), 1500 if load < 0.8 else 900, min(runs, 200), rng)
        yield from single_runs(Queue(load, stops=0.1), 200, min(runs, 300), rng)
        yield from paired_runs(load, 800, min(runs, 300), rng)
    for load in (0.5, 0.9):
        for seeds in (5, 10, 32):
            yield from over_runs(load, seeds, min(runs, 200), 110.0, rng)
    for what, groups, activity in FLEETS:
        yield fleets(groups, activity, runs, rng, what)
    yield from of_service(min(runs, 300), seed)


FLEETS: tuple[tuple[str, int, Floats], ...] = (
    ("one group", 1, np.ones(40)),
    ("three groups", 3, np.ones(20)),
    ("Zipf activity", 1, 1 / np.arange(1.0, 41)),
    ("Zipf in three groups", 3, 1 / np.arange(1.0, 21)),
)


def as_text(line: Line) -> str:
    def percent(share: float) -> str:
        return "  –  " if np.isnan(share) else f"{100 * share:5.1f}"

    numbers = "  ".join(percent(share) for share in (line.printed, line.covered, line.naive))
    return f"{line.world:<42} {line.number:<10} {line.runs:>5}  {numbers}"


def main(print_line: Callable[[str], None] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="of each world")
    runs = parser.parse_args().runs
    print_line(f"{'world':<42} {'number':<10} {'runs':>5}  printed  covered  as if independent (%)")
    for line in grid(runs):
        print_line(as_text(line))


if __name__ == "__main__":
    main()
