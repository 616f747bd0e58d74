"""What the event loop is timed on: scenarios, their tables made up, their arrivals drawn once.
Nobody in a contest pays for drawing arrivals; `benchmarks.peers` says what each makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from worlds import group_of, made_up, scenario_of

from sim.messages import Learned
from sim.scenario import Scenario
from sim.world.arrivals.source import Arrivals, ScenarioArrivals
from sim.world.windows import Windows, WindowsByWork
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


def hearing(requests: int) -> Scenario:
    """A price that hears replies."""
    return priced("queue_aware", requests)


def closed_loops(requests: int) -> Scenario:
    """400 clients that think for a fifth of a second after each answer."""
    process = {"kind": "closed_loop", "think": {"kind": "exponential", "mean_s": 0.2}}
    group = group_of(clients=400, arrivals={"process": process})
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": SERVICE_S}}
    return scenario_of(
        horizon_s=requests / 1850.0, fleet=(group,), server={"replicas": 24, "service": service}
    )


def autoscaling(requests: int) -> Scenario:
    """M/M/4 whose autoscaler looks every second."""
    scaling = {"min": 2, "max": 8, "target_utilisation": 0.7, "interval_s": 1.0, "provisioning_s": 5.0}
    return changed(mm4(requests), autoscaling=scaling)


def fair(requests: int) -> Scenario:
    """M/M/4 whose queue serves clients in turn."""
    return changed(mm4(requests), discipline="fair")


def one_option(requests: int) -> Scenario:
    """A thousand clients of one server, at an offered load of 0.8."""
    return by_options(requests, servers=1, models=1)


def many_options(requests: int) -> Scenario:
    """The same clients, replicas and load, on ten servers of three models each: thirty options a client."""
    return by_options(requests, servers=10, models=3)


def by_options(
    requests: int, servers: int, models: int, clients: int = 1_000, replicas: int = 40
) -> Scenario:
    rate_hz = 0.8 * replicas / SERVICE_S
    names, places = [f"m{n}" for n in range(models)], [f"s{n}" for n in range(servers)]
    service = {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": SERVICE_S}}
    stations = [
        {"server": place, "models": tuple(names), "replicas": replicas // servers, "service": service}
        for place in places
    ]
    options = [
        {"option": f"{place}_{name}", "server": place, "model": name} for place in places for name in names
    ]
    group = group_of(
        clients=clients,
        choose="two_choices" if len(options) > 1 else "best",
        link={"latency": 0.02},
        arrivals={"process": {"kind": "poisson", "rate_hz": rate_hz / clients}},
        options=tuple(options),
    )
    return scenario_of(
        horizon_s=requests / rate_hz,
        fleet=(group,),
        server=None,
        servers=tuple(stations),
        models={name: {} for name in names},
    )


def changed(scenario: Scenario, **server: Any) -> Scenario:
    """The same under other keys of its server."""
    document = scenario.model_dump()
    return Scenario.model_validate(document | {"server": document["server"] | server})


class Drawn:
    """A scenario with its tables and with its arrivals, drawn beforehand; a source of arrivals itself.

    windows: for which they are drawn, None: those of a run. count: requests; in closed loops known once they
    were played.
    """

    def __init__(self, scenario: Scenario, windows: Windows | None = None) -> None:
        self.scenario = scenario
        self.learned: Learned = made_up(scenario)
        world, start_s, self.chunks = World(scenario), 0.0, list[Arrivals]()
        source, windows = ScenarioArrivals(world), windows or WindowsByWork(world)
        while start_s < scenario.horizon_s:
            end_s = min(windows.end(start_s), scenario.horizon_s)
            self.chunks.append(source.draw(len(self.chunks), start_s, end_s))
            start_s = end_s
        self.count = sum(len(chunk.at_s) for chunk in self.chunks)

    def draw(self, index: int, _start_s: float, _end_s: float) -> Arrivals:
        return self.chunks[index]

    def instants(self) -> list[float]:
        """All arrivals, sorted."""
        return np.sort(np.concatenate([chunk.at_s for chunk in self.chunks])).tolist()
