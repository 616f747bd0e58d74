"""Who is timed: the product's loop, its readable definition, SimPy as one would write it, and Ciw.
Each takes a workload with its arrivals drawn, and leaves its records behind."""

from __future__ import annotations

import random
from typing import Any

import ciw
import numpy as np
import simpy
from reference_loop import Reference

from benchmarks.stages import timed
from benchmarks.workloads import SENT_SHARE, SERVICE_S, Drawn
from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.scenario.schema.values import CHUNK_S
from sim.world.world import World


def ours(world: Drawn) -> None:
    """A run in memory by SimPy's loop: every column of every table, the time line, and all laws verified."""
    in_memory(world, "simpy")


def compiled(world: Drawn) -> None:
    """The same by the compiled loop."""
    in_memory(world, "compiled")


def in_memory(world: Drawn, path: str) -> None:
    run = Run(World(world.scenario), world.learned, world, path=EnginePath(path, ""))
    while not run.is_over:
        world.count = run.advance().arrived
    run.finish()


def compiled_loop(world: Drawn) -> float:
    """Of such a run the loop, from the sends as columns to what became of them; gives its CPU seconds."""
    with timed() as seconds:
        compiled(world)
    return seconds["known events"] + seconds["clock"]


def reference_loop(world: Drawn) -> None:
    """The readable definition: a SimPy process per request and per attempt; its records are objects."""
    Reference(world.scenario, world.learned, world, CHUNK_S).run()


def plain_simpy(world: Drawn) -> None:
    """How one would write it with SimPy: a process per request, a resource, three recorded instants.

    Knows M/M/c and a coin in front of it, nothing else; service times and coins are drawn beforehand.
    """
    env = simpy.Environment()
    servers = simpy.Resource(env, capacity=world.scenario.one_server.replicas)
    arrivals, draw = world.instants(), np.random.default_rng(0)
    share = 1.0 if world.scenario.fleet[0].policy.price.kind == "always_remote" else SENT_SHARE
    sent = (draw.random(len(arrivals)) < share).tolist()
    services = draw.exponential(SERVICE_S, len(arrivals)).tolist()
    rows: list[tuple[float, float, float]] = []

    def request(arrived: float, is_sent: bool, service: float) -> Any:
        started = arrived
        if is_sent:
            with servers.request() as turn:
                yield turn
                started = env.now
                yield env.timeout(service)
        rows.append((arrived, started, env.now))

    def arrive() -> Any:
        for arrived, is_sent, service in zip(arrivals, sent, services, strict=True):
            yield env.timeout(arrived - env.now)
            env.process(request(arrived, is_sent, service))

    env.process(arrive())
    env.run()


def plain_simpy_thinking(world: Drawn) -> None:
    """How one would write clients that think after each answer: a process per client, and a resource."""
    env, draw, rows = simpy.Environment(), np.random.default_rng(0), list[tuple[float, float, float]]()
    server, (group,) = world.scenario.one_server, world.scenario.fleet
    servers, think_s = simpy.Resource(env, capacity=server.replicas), group.arrivals.process.think.mean_s
    each_s = think_s + SERVICE_S
    likely = int(2 * group.clients * world.scenario.horizon_s / each_s) + group.clients
    thinks, services = (iter(draw.exponential(mean, likely).tolist()) for mean in (think_s, SERVICE_S))

    def client() -> Any:
        for think in thinks:
            yield env.timeout(think)
            arrived = env.now
            with servers.request() as turn:
                yield turn
                started = env.now
                yield env.timeout(next(services))
            rows.append((arrived, started, env.now))

    for _ in range(group.clients):
        env.process(client())
    env.run(until=world.scenario.horizon_s)
    world.count = len(rows)


def plain_simpy_batching(world: Drawn) -> None:
    """How one would write batches, an outage and retries: a process per request and per replica, and a store.

    Close to the world's rules and no more: an outage stops replicas between batches and loses what is in
    service; a place in the queue, a retry token and the deadline are asked for when something is sent.
    """
    env, draw, arrivals = simpy.Environment(), np.random.default_rng(0), world.instants()
    group, server = world.scenario.fleet[0], world.scenario.one_server
    ((down_at, up_at),) = server.outages[0].when.at
    waiting, up = simpy.Store(env), env.event().succeed()
    latency_s = draw.lognormal(np.log(0.03), 0.3, 4 * len(arrivals)).tolist()
    rows: list[tuple[float, float, float]] = []
    tokens = [1.0] * group.clients

    def outage() -> Any:
        nonlocal up
        yield env.timeout(down_at)
        up = env.event()
        yield env.timeout(up_at - down_at)
        up.succeed()

    def replica() -> Any:
        while True:
            yield up
            batch, full_by = [(yield waiting.get())], env.timeout(server.batch_wait_s)
            while len(batch) < server.max_batch:
                another = waiting.get()
                yield another | full_by
                if not another.triggered:
                    another.cancel()
                    break
                batch.append(another.value)
            began = env.now
            yield env.timeout(server.service.base_s + server.service.per_item_s * len(batch))
            if not began < down_at <= env.now:
                for answer in batch:
                    answer.succeed()

    def request(number: int, arrived: float) -> Any:
        client, deadline = number % group.clients, arrived + group.deadline_s
        tokens[client] = min(3.0, tokens[client] + group.retry.allowance)
        for attempt in range(group.retry.attempts):
            yield env.timeout(latency_s[4 * number + attempt])
            answer, sent = env.event(), env.now
            timer = env.timeout(max(0.0, min(sent + group.timeout_s, deadline) - env.now))
            if len(waiting.items) < server.queue_limit:
                waiting.put(answer)
                yield answer | timer
            if answer.triggered or tokens[client] < 1 or env.now + group.retry.backoff_s >= deadline:
                break
            tokens[client] -= 1
            yield env.timeout(group.retry.backoff_s)
        rows.append((arrived, sent, env.now))

    def arrive() -> Any:
        for number, arrived in enumerate(arrivals):
            yield env.timeout(arrived - env.now)
            env.process(request(number, arrived))

    env.process(outage())
    env.process(arrive())
    for _ in range(server.replicas):
        env.process(replica())
    env.run(world.scenario.horizon_s)


def ciw_network(world: Drawn) -> None:
    """M/M/c in Ciw, with its records. Ciw draws its own arrivals and services, which it is timed for."""
    rate_hz = sum(group.clients * group.arrivals.process.rate_hz for group in world.scenario.fleet)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate_hz)],
        service_distributions=[ciw.dists.Exponential(1 / SERVICE_S)],
        number_of_servers=[world.scenario.one_server.replicas],
    )
    random.seed(0)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(world.scenario.horizon_s)
    simulation.get_all_records()
