"""The servers as the loop reads them: replicas, queue, service, and what outages leave of them.
Made once per run; nothing in them changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.registry.admission import Admission
from sim.registry.switches import Switch
from sim.scenario import Scenario
from sim.scenario.schema.server import Autoscaling, Serverless
from sim.world.delays import ServiceTimes
from sim.world.outages.capacity import Capacity, Slowness, most_replicas


@dataclass(frozen=True)
class Station:
    """One server. queue_limit: inf = no limit; most_replicas: as many as there will ever be."""

    name: str
    replicas: int
    most_replicas: int
    service: ServiceTimes
    capacity: Capacity
    slowness: Slowness
    max_batch: int
    stages: int
    stage_overhead: float
    batch_wait_s: float
    queue_limit: float
    discipline: str
    admission: Admission
    drop_expired: bool
    autoscaling: Autoscaling | None
    serverless: Serverless | None
    when_down: str
    in_flight: str
    queue_survives: bool
    switch: Switch | None
    widths: tuple[tuple[int, float, float], ...]  # of its models, in order: their places, work and memory
    memory_bytes: float
    load_s: float | None  # None: all of its models are in memory

    @property
    def swaps(self) -> bool:
        """Whether its models take turns in the memory of its replicas."""
        return self.load_s is not None

    def memory_at_start(self) -> list[float]:
        """Of each model since when it is in a replica's memory: those there is room for, in order, the first
        of them for the longest; -inf: it is not."""
        found, taken = [], 0.0
        for place, (_, _, takes) in enumerate(self.widths):
            fits = taken + takes <= self.memory_bytes
            taken += takes * fits
            found.append(float(place - len(self.widths)) if fits else -np.inf)
        return found


def station(scenario: Scenario, place: int, capacity: Capacity, slowness: Slowness) -> Station:
    """Unfolds the server at a place."""
    server, names = scenario.stations[place], list(scenario.server_models)
    most_items = max(group.session.draft + 1 if group.session else 1 for group in scenario.fleet)
    return Station(
        name=scenario.station_names[place],
        replicas=server.replicas,
        most_replicas=most_replicas(server),
        service=ServiceTimes(scenario.seed, server.service, server.max_batch * most_items),
        capacity=capacity,
        slowness=slowness,
        max_batch=server.max_batch,
        stages=server.stages,
        stage_overhead=float(server.stage_overhead),
        batch_wait_s=float(server.batch_wait_s),
        queue_limit=np.inf if server.queue_limit is None else server.queue_limit,
        discipline=server.discipline,
        admission=server.admission,
        drop_expired=server.drop_expired,
        autoscaling=server.autoscaling,
        serverless=server.serverless,
        when_down=server.when_down,
        in_flight=server.in_flight,
        queue_survives=server.queue_survives,
        switch=scenario.switch_of(place),
        widths=tuple(
            (names.index(name), scenario.server_models[name].work, scenario.server_models[name].memory_bytes)
            for name in scenario.models_of(place)
        ),
        memory_bytes=np.inf if server.memory_bytes is None else server.memory_bytes,
        load_s=None if server.load_s is None else float(server.load_s),
    )
