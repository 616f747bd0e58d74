"""What the scenario lays down for a request's life, in the form the loop reads it.
Made once per run; nothing in it changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.policy.controllers import Price, moving_price
from sim.policy.prices import bayes_price
from sim.registry.allotments import TOKEN, Allotment
from sim.registry.choices import CHOICES, Choice
from sim.scenario import Group
from sim.scenario.schema.fleet import Batch, Breaker, Policy, Retry
from sim.scenario.schema.sessions import Session
from sim.world.allowances import Allowances, allowances
from sim.world.arrivals.think_times import ThinkTimes
from sim.world.budgets import NO_ACCOUNT, Accounts
from sim.world.cells import Cells
from sim.world.delays import Backoff
from sim.world.energy import Power
from sim.world.network import Network
from sim.world.options import Option, Way
from sim.world.outages.links import Links
from sim.world.population import Population
from sim.world.stations import Station

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
    is_shared: bool  # whether others, too, take the tokens that its clients earn
    asks_others: bool  # whether a retry asks another option
    hedge_after_s: float  # inf: never
    cancels: bool  # whether the attempt that was not needed is called back
    priority: int  # the smaller goes first


@dataclass(frozen=True)
class Parameters:
    """The scenario, unfolded."""

    seed: int
    clients: Population
    policies: tuple[Policy, ...]
    bayes: tuple[tuple[float, ...], ...]  # per group and option: the price at which its score decides best
    surcharges: tuple[
        tuple[np.float32, ...], ...
    ]  # so, by how much that lies above what `costs` would make it
    prices: tuple[Price | None, ...]  # per group: of a price that moves
    decided_in_loop: NDArray[np.bool_]  # per group: as its requests come, see `parameters_of`
    uses_feedback: NDArray[np.bool_]  # per group: its price hears what becomes of attempts
    exploration: float
    patience: tuple[Patience, ...]
    inference_s: tuple[float, ...]
    batches: tuple[Batch | None, ...]  # per group: of devices that send several requests together
    sessions: tuple[Session | None, ...]  # per group: of clients whose requests are blocks of items
    stations: tuple[Station, ...]
    options: tuple[tuple[Option, ...], ...]  # per group
    ways: tuple[tuple[Way, ...], ...]  # per group
    cells: Cells
    chooses: tuple[Choice, ...]  # per group
    doors: tuple[Allotment, ...]  # the token buckets of servers that admit by one
    links: Links
    network: Network
    power: Power
    breakers: tuple[Breaker | None, ...]  # per group
    accounts: Accounts
    allowances: Allowances
    charge_on: str
    has_obstacles: NDArray[
        np.bool_
    ]  # per client: its price, breaker, link or budget may keep it from sending
    heeds_answers: NDArray[
        np.bool_
    ]  # per client: an answer in time changes what it may send, or when it asks again
    thinks: tuple[ThinkTimes | None, ...]  # per group: of a closed loop
    service_factor: NDArray[np.float64]  # per group: how many times as long service takes
    one_work: NDArray[np.float64]  # per group: the work of its trace that counts as one; NaN: none does
    computes: NDArray[np.bool_]  # per group: its devices have a part in what some option asks
    has_closed_loops: bool
    homes: NDArray[np.int64]  # per client: the option that is its own; its number where nobody says
    looks_at_backlogs: bool  # whether some client chooses by what it heard of queues

    @property
    def has_own_work(self) -> bool:
        """Whether service takes longer for some requests than for others by what their groups or traces
        say."""
        lighter = any(option.work != 1.0 for options in self.options for option in options)
        return bool(np.any(self.service_factor != 1.0) or not np.isnan(self.one_work).all() or lighter)

    @property
    def has_calls(self) -> bool:
        """Whether some server is serverless."""
        return any(station.serverless for station in self.stations)

    @property
    def swaps(self) -> bool:
        """Whether models of some server take turns in its memory."""
        return any(station.swaps for station in self.stations)

    @property
    def has_battery(self) -> NDArray[np.bool_]:
        """Per group whether its devices run on one."""
        return self.power.capacity > 0

    @property
    def comes_in_loop(self) -> NDArray[np.bool_]:
        """Per group whether what its devices do with requests of an open loop depends on what happens."""
        found: NDArray[np.bool_] = (self.has_battery | self.computes) & np.array(
            [think is None for think in self.thinks]
        )
        return found

    @property
    def most_batched(self) -> int:
        """What leaves a client together at most; 0: nothing does."""
        return max(batch.size if batch else 0 for batch in self.batches)

    @property
    def has_sessions(self) -> bool:
        """Whether requests of some group are blocks of items."""
        return any(self.sessions)

    @property
    def batch_wait_s(self) -> NDArray[np.float64]:
        """Per group, how long what is to be sent waits for others; inf: until their batch is full."""
        waits = (batch.wait_s if batch else None for batch in self.batches)
        return np.array([np.inf if wait_s is None else wait_s for wait_s in waits])

    @property
    def at_once(self) -> tuple[int, ...]:
        """Per group, how many requests a client of a closed loop makes together."""
        return tuple(think.at_once if think else 1 for think in self.thinks)

    @property
    def most_at_once(self) -> int:
        """Of any group."""
        return max(self.at_once)

    @property
    def takes_turns(self) -> bool:
        """Whether some client asks its options in turn."""
        return any(one.takes_turns for one in self.chooses)

    @property
    def switches(self) -> bool:
        """Whether some server chooses among its models itself."""
        return any(one.switch is not None for one in self.stations)

    @property
    def most_options(self) -> int:
        """Of any group."""
        return max(map(len, self.options))

    @property
    def most_ways(self) -> int:
        """Of any group."""
        return max(map(len, self.ways))


def parameters_of(world: World) -> Parameters:
    """Unfolds a scenario that has passed its checks.

    Decided as their requests come are groups whose price moves, whose loop is closed, whose devices may run
    empty or send several together, or that have several options: whom they ask depends on what they meet.
    """
    scenario, clients = world.scenario, world.population
    links, drawn_on, thinks = world.links, world.accounts, world.think_times
    breakers = tuple(group.breaker for group in scenario.fleet)
    prices = tuple(map(moving_price, repeat(scenario), scenario.fleet, map(len, world.options)))
    chooses = tuple(CHOICES[group.choose] for group in scenario.fleet)
    uses_feedback = np.array([group.policy.price.uses_feedback for group in scenario.fleet])
    is_closed = np.array([think is not None for think in thinks])
    has_several = np.array([len(options) > 1 for options in world.options])
    has_battery = world.power.capacity > 0
    computes = np.array([any(one.device_s > 0 for one in options) for options in world.options])
    batches = tuple(group.device.batch for group in scenario.fleet)
    decided_in_loop = (
        is_closed | np.array([price is not None for price in prices]) | has_several | has_battery | computes
    ) | np.array([batch is not None for batch in batches])
    has_breaker = np.array([breaker is not None for breaker in breakers])
    bayes, surcharges = _bayes(world), []
    for of_options, group, options in zip(bayes, scenario.fleet, world.options, strict=True):
        plain = [replace(option, c_e=scenario.costs.c_e) for option in options]
        usual = [bayes_price(world, group.policy.score, option) for option in plain]
        surcharges.append(
            tuple(np.float32(a - b if a != b else 0) for a, b in zip(of_options, usual, strict=True))
        )
    hedges = np.array([group.hedge is not None for group in scenario.fleet])
    passes_network = np.array([any(option.over for option in options) for options in world.options])
    looks_at_backlogs = has_several & np.array([choice.needs_backlog for choice in chooses])
    return Parameters(
        seed=scenario.seed,
        clients=clients,
        policies=tuple(group.policy for group in scenario.fleet),
        bayes=bayes,
        surcharges=tuple(surcharges),
        prices=prices,
        decided_in_loop=decided_in_loop,
        uses_feedback=uses_feedback,
        exploration=scenario.training.exploration,
        patience=tuple(_patience(scenario.seed, group) for group in scenario.fleet),
        inference_s=tuple(float(group.device.inference_s) for group in scenario.fleet),
        batches=batches,
        sessions=tuple(group.session for group in scenario.fleet),
        stations=world.stations,
        options=world.options,
        ways=world.ways,
        cells=world.cells,
        chooses=chooses,
        doors=tuple(one for one in (station.admission.bucket() for station in world.stations) if one),
        links=links,
        network=world.network,
        power=world.power,
        breakers=breakers,
        accounts=drawn_on,
        allowances=allowances(scenario, clients),
        charge_on=scenario.costs.charge_on,
        heeds_answers=has_breaker[clients.group]
        | (drawn_on.holding() & (scenario.costs.charge_on != "send"))
        | (is_closed | uses_feedback | looks_at_backlogs | hedges | has_battery)[clients.group],
        # Who decides as requests come sends then, too.
        has_obstacles=has_breaker[clients.group]
        | links.hit(clients.size)
        | (drawn_on.of_client != NO_ACCOUNT)
        | (decided_in_loop | passes_network | world.power.is_metered)[clients.group],
        thinks=thinks,
        service_factor=np.array([group.service_factor for group in scenario.fleet]),
        one_work=np.array([g.arrivals.process.one_work() or np.nan for g in scenario.fleet]),
        computes=computes,
        has_closed_loops=any(think is not None for think in thinks),
        homes=_homes(world),
        looks_at_backlogs=bool(looks_at_backlogs.any()),
    )


def _homes(world: World) -> NDArray[np.int64]:
    found = np.arange(world.population.size)
    for first, group, options in zip(
        world.population.first, world.scenario.fleet, world.options, strict=True
    ):
        if group.homes is not None:
            names = [option.name for option in options]
            found[first : first + group.clients] = [names.index(home) for home in group.homes]
    return found


def _bayes(world: World) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(bayes_price(world, group.policy.score, option) for option in options)
        for group, options in zip(world.scenario.fleet, world.options, strict=True)
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
        is_shared=retry.allowance_by != "client",
        asks_others=retry.next == "other",
        hedge_after_s=np.inf if group.hedge is None else float(group.hedge.after_s),
        cancels=group.hedge is not None and group.hedge.cancel,
        priority=group.priority,
    )
