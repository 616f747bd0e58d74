"""What the scenario lays down for a request's life, in the form the loop reads it.
Made once per run; nothing in it changes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.policy.controllers import Price, moving_price
from sim.policy.prices import bayes_price
from sim.registry.admission import Admission
from sim.scenario import Group
from sim.scenario.schema.fleet import Breaker, Policy, Retry
from sim.scenario.schema.server import Autoscaling
from sim.world.arrivals.think_times import ThinkTimes
from sim.world.budgets import NO_ACCOUNT, TOKEN, Accounts
from sim.world.delays import Backoff, LinkDelays, ServiceTimes
from sim.world.outages.capacity import Capacity
from sim.world.outages.links import Links
from sim.world.population import Population

if TYPE_CHECKING:
    from sim.world.world import World


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
    bayes: tuple[float, ...]  # per group: the price at which its score decides best
    prices: tuple[Price | None, ...]  # per group: of a price that moves
    decides: NDArray[np.bool_]  # per group: as its requests come, for its price moves or its loop is closed
    uses_feedback: NDArray[np.bool_]  # per group: its price hears what becomes of attempts
    exploration: float
    patience: tuple[Patience, ...]
    inference_s: tuple[float, ...]
    service: ServiceTimes
    capacity: Capacity
    links: Links
    max_batch: int
    batch_wait_s: float
    queue_limit: float  # inf = no limit
    discipline: str
    admission: Admission
    drop_expired: bool
    autoscaling: Autoscaling | None
    when_down: str
    in_flight: str
    queue_survives: bool
    breakers: tuple[Breaker | None, ...]  # per group
    accounts: Accounts
    charge_on: str
    asks: NDArray[np.bool_]  # per client: its price, breaker, link or budget may keep it from sending
    hears: NDArray[np.bool_]  # per client: an answer in time changes what it may send, or when it asks again
    thinks: tuple[ThinkTimes | None, ...]  # per group: of a closed loop
    has_closed_loops: bool


def rules(world: World) -> Rules:
    """Unfolds a scenario that has passed its checks."""
    scenario, clients = world.scenario, world.population
    server, links, drawn_on, thinks = scenario.server, world.links, world.accounts, world.think_times
    breakers = tuple(group.breaker for group in scenario.fleet)
    prices = tuple(moving_price(scenario, group) for group in scenario.fleet)
    uses_feedback = np.array([group.policy.price.uses_feedback for group in scenario.fleet])
    is_closed = np.array([think is not None for think in thinks])
    decides = is_closed | np.array([price is not None for price in prices])
    has_breaker = np.array([breaker is not None for breaker in breakers])
    return Rules(
        seed=scenario.seed,
        clients=clients,
        policies=tuple(group.policy for group in scenario.fleet),
        bayes=tuple(bayes_price(world, group.policy.score) for group in scenario.fleet),
        prices=prices,
        decides=decides,
        uses_feedback=uses_feedback,
        exploration=scenario.training.exploration,
        patience=tuple(_patience(scenario.seed, group) for group in scenario.fleet),
        inference_s=tuple(float(group.device.inference_s) for group in scenario.fleet),
        service=ServiceTimes(scenario.seed, server.service, server.max_batch),
        capacity=world.capacity,
        links=links,
        max_batch=server.max_batch,
        batch_wait_s=float(server.batch_wait_s),
        queue_limit=np.inf if server.queue_limit is None else server.queue_limit,
        discipline=server.discipline,
        admission=server.admission,
        drop_expired=server.drop_expired,
        autoscaling=server.autoscaling,
        when_down=server.when_down,
        in_flight=server.in_flight,
        queue_survives=server.queue_survives,
        breakers=breakers,
        accounts=drawn_on,
        charge_on=scenario.costs.charge_on,
        hears=has_breaker[clients.group]
        | (drawn_on.holding() & (scenario.costs.charge_on != "send"))
        | (is_closed | uses_feedback)[clients.group],
        # Who decides as requests come sends then, too.
        asks=has_breaker[clients.group]
        | links.hit(clients.size)
        | (drawn_on.of_client != NO_ACCOUNT)
        | decides[clients.group],
        thinks=thinks,
        has_closed_loops=any(think is not None for think in thinks),
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
