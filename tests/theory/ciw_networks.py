"""A scenario as a network of Ciw (Palmer and others; PyPI `ciw`): a second engine that nobody here wrote.
Used by tests alone; covers what the two engines mean the same by, and refuses the rest.

A group of clients is a class of customers. Nodes, where they are needed: a device per group, the way up, the
server, the way down. Links have infinitely many servers. An outage of the server is a shift of nobody: who is
served when it begins is rerouted out of the network (`lose`), served anew afterwards (`requeue`) or goes on
(`finish`; Ciw's next shift works beside those who go on: let services end within outages). Who waits stays.
With `drop_expired` a deadline is the patience of customers who renege.

Not the same in both, so not compared: timeouts (a customer of Ciw who reneges leaves the queue; a client here
abandons its request and the server is not told), outages of some replicas (Ciw interrupts everybody at a
shift with pre-emption), batches (Ciw has none), refusals behind a link (Ciw blocks the node before).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ciw
import numpy as np
import pandas as pd
from reference_server import service_s

from sim.registry.durations import Exponential, Gamma, Lognormal, Weibull
from sim.scenario import Group, Scenario
from sim.world.delays import LinkDelays, ServiceTimes

EVERYBODY = float("inf")
GONE = -1  # Ciw's exit node
PREEMPTION = {"lose": "reroute", "requeue": "resample", "finish": False}


class Way(ciw.routing.Direct):
    """From a node to the next; who is interrupted at a shift leaves the network."""

    def next_node_for_rerouting(self, _ind: Any) -> Any:
        return self.simulation.nodes[GONE]


class Written(ciw.dists.Distribution):
    """Times written down per customer, by the number that Ciw gives: 1, 2, … by arrival."""

    def __init__(self, times: np.ndarray) -> None:
        self.times = times.tolist()

    def sample(self, t: float | None = None, ind: Any = None) -> float:  # noqa: ARG002
        return self.times[ind.id_number - 1]


class Arriving(ciw.dists.Distribution):
    """Gaps that lead to the instants given; Ciw adds them up, so each is taken from where Ciw stands."""

    def __init__(self, at: np.ndarray) -> None:
        self.at, self.stands = iter(at.tolist()), 0.0

    def sample(self, t: float | None = None, ind: Any = None) -> float:  # noqa: ARG002
        gap = next(self.at, math.inf) - self.stands
        self.stands += gap
        return gap

    def __deepcopy__(self, _memo: Any) -> Arriving:
        return self  # an iterator has no copy; a network is simulated once


def with_own_draws(scenario: Scenario) -> pd.DataFrame:
    """What Ciw makes of a scenario by its own distributions and generator, with the scenario's seed."""
    link = [_distribution(group.link.latency) for group in scenario.fleet]
    rates = [group.clients * group.arrivals.process.rate_hz for group in scenario.fleet]
    arrivals = [ciw.dists.Exponential(rate) for rate in rates]
    return _simulate(scenario, arrivals, link, _distribution(scenario.server.service.time), link)


def with_draws_of(scenario: Scenario, requests: pd.DataFrame) -> pd.DataFrame:
    """What Ciw makes of the very arrivals, transfers and service times that `requests`, by arrival, had."""
    ids, group = requests["request_id"].to_numpy(), requests["group"].to_numpy()
    arrivals, up, down = [], np.zeros(len(ids)), np.zeros(len(ids))
    for one in scenario.fleet:
        mine, link = group == one.group, LinkDelays(scenario.seed, one.link)
        arrivals.append(Arriving(requests["arrived_at_s"].to_numpy()[mine]))
        up[mine], down[mine] = link.up_many(ids[mine]), link.down.many(ids[mine])
    drawn = ServiceTimes(scenario.seed, scenario.server.service, 1)
    service = np.array([service_s(drawn, 1, factor) for factor in drawn.factor_many(ids).tolist()])
    n = len(scenario.fleet)
    return _simulate(scenario, arrivals, [Written(up)] * n, Written(service), [Written(down)] * n)


def _simulate(scenario: Scenario, arrivals: list, up: list, service: Any, down: list) -> pd.DataFrame:
    """A row per customer, by arrival: class, times as in `requests` (NaN = did not happen), outcome."""
    groups, server = scenario.fleet, scenario.server
    names = [group.group for group in groups]
    devices = [group for group in groups if group.device.inference_s]
    far = any(group.link.latency for group in groups)
    _require_the_same_meaning(scenario, devices)
    # Per node: servers, and per class the time there.
    nodes = [(1, [ciw.dists.Deterministic(group.device.inference_s)] * len(groups)) for group in devices]
    at_server = len(nodes) + far + 1  # Ciw counts nodes from 1
    nodes += (
        [(EVERYBODY, up)] * far + [(_shifts(scenario), [service] * len(groups))] + [(EVERYBODY, down)] * far
    )
    after = (
        [len(devices) + 1] * len(devices)
        + [at_server] * far
        + [at_server + 1 if far else GONE]
        + [GONE] * far
    )
    enters = [devices.index(group) + 1 if group in devices else len(devices) + 1 for group in groups]
    limit = EVERYBODY if server.queue_limit is None else server.queue_limit
    network = ciw.create_network(
        arrival_distributions={
            name: [arrivals[g] if enters[g] == node + 1 else None for node in range(len(nodes))]
            for g, name in enumerate(names)
        },
        service_distributions={name: [times[g] for _, times in nodes] for g, name in enumerate(names)},
        number_of_servers=[servers for servers, _ in nodes],
        queue_capacities=[limit if node + 1 == at_server else EVERYBODY for node in range(len(nodes))],
        reneging_time_distributions={
            name: [
                _patience(scenario, group) if node + 1 == at_server else None for node in range(len(nodes))
            ]
            for name, group in zip(names, groups, strict=True)
        },
        routing={name: ciw.routing.NetworkRouting([Way(to) for to in after]) for name in names},
    )
    with seeded(scenario.seed):
        simulation = ciw.Simulation(network)
        simulation.simulate_until_max_time(scenario.horizon_s)
    return _table(
        simulation.get_all_records(include_incomplete=True), at_server, GONE if not far else at_server + 1
    )


def _table(records: list, at_server: int, last: int) -> pd.DataFrame:
    simulated = pd.DataFrame(records).sort_values("arrival_date", kind="stable")
    customers = simulated.groupby("id_number").agg(
        group=("customer_class", "first"), arrived_at_s=("arrival_date", "first")
    )
    here = (
        simulated[simulated["node"] == at_server]
        .drop_duplicates("id_number", keep="last")
        .set_index("id_number")
    )
    kind = here["record_type"].reindex(customers.index)
    customers["reached_at_s"] = here["arrival_date"]
    customers["started_at_s"] = here["service_start_date"].astype(float)
    customers["finished_at_s"] = (
        here["service_end_date"].astype(float).where(here["record_type"] == "service")
    )
    answered = simulated[(simulated["node"] == last) & (simulated["record_type"] == "service")].set_index(
        "id_number"
    )
    customers["answered_at_s"] = customers["finished_at_s"] if last == GONE else answered["exit_date"]
    customers["refused"] = kind == "rejection"
    customers["lost"] = kind == "interrupted service"
    return customers


def _patience(scenario: Scenario, group: Group) -> Any:
    """How long a customer waits before leaving: to the deadline, where the server drops the expired."""
    if not scenario.server.drop_expired or group.deadline_s is None:
        return None
    return ciw.dists.Deterministic(group.deadline_s)


def _shifts(scenario: Scenario) -> Any:
    """The server's replicas, or a schedule that drops to nobody during its outages."""
    server = scenario.server
    edges = [edge for outage in server.outages for interval in outage.when.at for edge in interval]
    if not edges:
        return server.replicas
    on_duty = [server.replicas, 0] * (len(edges) // 2) + [server.replicas]
    ends, preemption = [*edges, 1e9], PREEMPTION[server.in_flight]
    return ciw.Schedule(numbers_of_servers=on_duty, shift_end_dates=ends, preemption=preemption)


def _require_the_same_meaning(scenario: Scenario, devices: list[Group]) -> None:
    server = scenario.server
    assert server.max_batch == 1
    assert all(group.clients == 1 for group in devices), "a device serves one client"
    assert all(outage.target.kind == "server" for outage in server.outages)
    assert len(server.outages) <= 1
    assert not server.outages or (server.when_down, server.queue_survives) == ("queue", True)
    assert not (server.drop_expired and devices), "a deadline counts from the arrival at the device"
    assert server.queue_limit is None or not any(
        group.link.latency or group in devices for group in scenario.fleet
    )


def _distribution(duration: Any) -> Any:
    match duration:
        case Exponential(mean_s=mean):
            return ciw.dists.Exponential(1 / mean)
        case Lognormal(mean_s=mean, cv=cv):
            variance = math.log1p(cv * cv)
            return ciw.dists.Lognormal(math.log(mean) - variance / 2, math.sqrt(variance))
        case Gamma(mean_s=mean, cv=cv):
            return ciw.dists.Gamma(1 / cv**2, mean * cv**2)
        case Weibull(mean_s=mean, shape=shape):
            return ciw.dists.Weibull(mean / math.gamma(1 + 1 / shape), shape)
    return ciw.dists.Deterministic(duration)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Ciw draws from Python's global generator: it is seeded, and left afterwards as it was."""
    before = random.getstate()
    ciw.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
