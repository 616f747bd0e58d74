"""The event loop against plain SimPy and its own readable definition: one core, every column recorded.

Prints requests per second, medians of several runs, and as its last line one JSON object. Arrivals are drawn
beforehand for everybody. `python -m benchmarks.event_loop [--requests N] [--repeats N]`
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from sim.arrivals import Arrivals, PoissonArrivals
from sim.chunk import run_chunk
from sim.learning import Learning
from sim.messages import Learned
from sim.rules import rules
from sim.scenario import Scenario
from sim.scenario.values import CHUNK_S
from sim.state import at_start

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from reference_loop import Reference
from worlds import group_of, made_up, scenario_of

SERVICE_S = 0.01


def mm4(requests: int) -> Scenario:
    """M/M/4 at an offered load of 0.8, no queue limit, nobody gives up."""
    rate_hz = 0.8 * 4 / SERVICE_S
    fleet = (group_of(clients=64, arrivals={"process": {"kind": "poisson", "rate_hz": rate_hz / 64}}),)
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": SERVICE_S}}
    return scenario_of(horizon_s=requests / rate_hz, fleet=fleet, server={"replicas": 4, "service": service})


def busy(requests: int) -> Scenario:
    """Batches, an outage of a sixth of the run, deadlines, timeouts and retries with an allowance."""
    horizon_s = requests / 400.0
    group = group_of(
        clients=400,
        link={"latency": {"kind": "lognormal", "mean_s": 0.03, "cv": 0.3}},
        deadline_s=1.0,
        timeout_s=0.4,
        retry={"attempts": 3, "allowance": 0.2},
    )
    server = {
        "replicas": 8,
        "max_batch": 8,
        "batch_wait_s": 0.005,
        "queue_limit": 256,
        "service": {"kind": "affine", "base_s": 0.03, "per_item_s": 0.012},
        "outages": ({"when": {"kind": "intervals", "at": ((horizon_s / 3, horizon_s / 2),)}},),
    }
    return scenario_of(horizon_s=horizon_s, fleet=(group,), server=server)


def mostly_local(requests: int) -> Scenario:
    """A stateless policy that sends a fifth."""
    policy = {"score": "random", "price": {"kind": "threshold", "at": 0.8}}
    group = group_of(clients=400, policy=policy, arrivals={"process": {"kind": "poisson", "rate_hz": 4.0}})
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": SERVICE_S}}
    return scenario_of(
        horizon_s=requests / 1600.0, fleet=(group,), server={"replicas": 8, "service": service}
    )


class Drawn:
    """Arrivals drawn once, so that no contestant pays for them."""

    def __init__(self, scenario: Scenario) -> None:
        source = PoissonArrivals(scenario, rules(scenario).clients, CHUNK_S)
        bounds = np.append(np.arange(0.0, scenario.horizon_s, CHUNK_S), scenario.horizon_s)
        self.bounds = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
        self.chunks = [source.draw(i, start, end) for i, (start, end) in enumerate(self.bounds)]

    def draw(self, index: int, _start_s: float, _end_s: float) -> Arrivals:
        return self.chunks[index]

    @property
    def count(self) -> int:
        return sum(len(chunk.at_s) for chunk in self.chunks)


def ours(scenario: Scenario, learned: Learned, drawn: Drawn) -> None:
    """The product's loop, chunk by chunk, time line included."""
    laid_down, learning = rules(scenario), Learning(scenario, learned)
    state = at_start(scenario, int(laid_down.capacity.usable[0]))
    for index, (start, end) in enumerate(drawn.bounds):
        last = index == len(drawn.bounds) - 1
        run_chunk(laid_down, learning, state, drawn.chunks[index], start, end, last)


def reference(scenario: Scenario, learned: Learned, drawn: Drawn) -> None:
    """The readable definition."""
    Reference(scenario, learned, drawn, CHUNK_S).run()


def plain_simpy(scenario: Scenario, _learned: Learned, drawn: Drawn) -> None:
    """How one would write M/M/4 with SimPy: a process per request, a resource, three recorded instants."""
    env = simpy.Environment()
    servers = simpy.Resource(env, capacity=scenario.server.replicas)
    arrivals = np.sort(np.concatenate([chunk.at_s for chunk in drawn.chunks])).tolist()
    services = np.random.default_rng(0).exponential(SERVICE_S, len(arrivals)).tolist()
    rows: list[tuple[float, float, float]] = []

    def request(arrived: float, service: float) -> Any:
        with servers.request() as turn:
            yield turn
            started = env.now
            yield env.timeout(service)
            rows.append((arrived, started, env.now))

    def arrive() -> Any:
        for arrived, service in zip(arrivals, services, strict=True):
            yield env.timeout(arrived - env.now)
            env.process(request(arrived, service))

    env.process(arrive())
    env.run()


Contestant = Callable[[Scenario, Learned, Drawn], None]
CONTESTS: dict[str, tuple[Callable[[int], Scenario], Contestant, Contestant | None]] = {
    "mm4": (mm4, ours, plain_simpy),
    "batching_outage_retries": (busy, ours, reference),
    "fifth_deferred": (mostly_local, ours, None),
}


def rate(run: Contestant, scenario: Scenario, repeats: int) -> float:
    """Requests per second, the median of `repeats` runs."""
    learned, drawn, rates = made_up(scenario), Drawn(scenario), []
    for _ in range(repeats):
        began = time.perf_counter()
        run(scenario, learned, drawn)
        rates.append(drawn.count / (time.perf_counter() - began))
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    results: dict[str, dict[str, float | str]] = {}
    for name, (make, mine, peer) in CONTESTS.items():
        scenario = make(chosen.requests)
        result: dict[str, float | str] = {"ours_per_s": round(rate(mine, scenario, chosen.repeats))}
        if peer:
            result["peer"] = peer.__name__
            result["peer_per_s"] = round(rate(peer, scenario, chosen.repeats))
            result["ratio"] = round(float(result["ours_per_s"]) / float(result["peer_per_s"]), 2)
        results[name] = result
        print(name, *(f"{key} {value}" for key, value in result.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
