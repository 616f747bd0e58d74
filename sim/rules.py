"""What the scenario lays down for a request's life, in the form the loop reads it.
Made once per run; nothing in it changes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from sim.delays import Backoff, LinkDelays, ServiceTimes
from sim.outages import Capacity, capacity
from sim.population import Population, population
from sim.scenario import Group, Scenario
from sim.scenario.fleet import Policy, Retry
from sim.state import TOKEN


@dataclass(frozen=True)
class Patience:
    """How a group's clients wait, try again and fall back. Seconds; inf = no limit."""

    timeout_s: float
    deadline_s: float
    max_attempts: int
    backoff: Backoff
    limited: bool  # whether retries take tokens
    allowance: int  # millionths of a token that a first send earns
    link: LinkDelays


@dataclass(frozen=True)
class Rules:
    """The scenario, unfolded."""

    seed: int
    clients: Population
    policies: tuple[Policy, ...]
    patience: tuple[Patience, ...]
    inference_s: tuple[float, ...]
    service: ServiceTimes
    capacity: Capacity
    replicas: int
    max_batch: int
    batch_wait_s: float
    queue_limit: float  # inf = no limit
    when_down: str
    queue_survives: bool


def rules(scenario: Scenario) -> Rules:
    """Unfolds a scenario that has passed its checks."""
    server = scenario.server
    return Rules(
        seed=scenario.seed,
        clients=population(scenario),
        policies=tuple(group.policy for group in scenario.fleet),
        patience=tuple(_patience(scenario.seed, group) for group in scenario.fleet),
        inference_s=tuple(float(group.device.inference_s) for group in scenario.fleet),
        service=ServiceTimes(scenario.seed, server.service, server.max_batch),
        capacity=capacity(scenario),
        replicas=server.replicas,
        max_batch=server.max_batch,
        batch_wait_s=float(server.batch_wait_s),
        queue_limit=np.inf if server.queue_limit is None else server.queue_limit,
        when_down=server.when_down,
        queue_survives=server.queue_survives,
    )


def millionths(allowance: float) -> int:
    """An allowance in millionths of a token, rounded up, so that three thirds make a token."""
    return ceil(round(allowance * TOKEN, 3))


def _patience(seed: int, group: Group) -> Patience:
    retry = group.retry or Retry(attempts=1)
    return Patience(
        timeout_s=np.inf if group.timeout_s is None else group.timeout_s,
        deadline_s=np.inf if group.deadline_s is None else group.deadline_s,
        max_attempts=retry.attempts,
        backoff=Backoff(seed, retry),
        limited=retry.allowance is not None,
        allowance=millionths(retry.allowance or 0.0),
        link=LinkDelays(seed, group.link),
    )
