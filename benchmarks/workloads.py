"""What the event loop is timed on: three scenarios, their tables made up, their arrivals drawn once.
Nobody in a contest pays for drawing arrivals; `benchmarks.peers` says what each makes of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from worlds import group_of, made_up, scenario_of

from sim.messages import Learned
from sim.scenario import Scenario
from sim.scenario.schema.values import CHUNK_S
from sim.world.arrivals.source import Arrivals, ScenarioArrivals
from sim.world.world import World

SERVICE_S = 0.01
SENT_SHARE = 0.2


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
    policy = {"score": "random", "price": {"kind": "threshold", "at": 1 - SENT_SHARE}}
    group = group_of(clients=400, policy=policy, arrivals={"process": {"kind": "poisson", "rate_hz": 4.0}})
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": SERVICE_S}}
    return scenario_of(
        horizon_s=requests / 1600.0, fleet=(group,), server={"replicas": 8, "service": service}
    )


PRICES: dict[str, dict[str, float]] = {  # each sends about a fifth of what is asked
    "threshold": {"at": 0.85},
    "bounded_rate": {"rate": SENT_SHARE},
    "bounded_rate_thinned": {"rate": SENT_SHARE},
    "rate_controller": {"rate": SENT_SHARE, "gain": 0.05},
    "drift_plus_penalty": {"v": 10.0, "rate_hz": 0.8},
    "availability_aware": {"memory_s": 30.0, "probe_every_s": 30.0},
    "queue_aware": {"weight": 0.01},
}


def priced(kind: str, requests: int) -> Scenario:
    """The same traffic under another price, its server never in doubt: what deciding costs."""
    policy = {"score": "plug_in", "price": {"kind": kind, **PRICES[kind]}}
    group = group_of(
        clients=400,
        policy=policy,
        arrivals={"process": {"kind": "poisson", "rate_hz": 4.0}},
        link={"latency": 0.02},
        timeout_s=1.0,
    )
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": SERVICE_S}}
    return scenario_of(
        horizon_s=requests / 1600.0,
        fleet=(group,),
        server={"replicas": 8, "service": service},
        costs={"c_e": 0.85},
    )


class Drawn:
    """A scenario with its tables and with its arrivals, drawn beforehand; a source of arrivals itself."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.learned: Learned = made_up(scenario)
        source = ScenarioArrivals(World(scenario))
        bounds = np.append(np.arange(0.0, scenario.horizon_s, CHUNK_S), scenario.horizon_s).tolist()
        self.chunks = [source.draw(index, *span) for index, span in enumerate(pairwise(bounds))]

    def draw(self, index: int, _start_s: float, _end_s: float) -> Arrivals:
        return self.chunks[index]

    @property
    def count(self) -> int:
        return sum(len(chunk.at_s) for chunk in self.chunks)

    def instants(self) -> list[float]:
        """All arrivals, sorted."""
        return np.sort(np.concatenate([chunk.at_s for chunk in self.chunks])).tolist()
