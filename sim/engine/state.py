"""The state of the event loop as data: everything that outlives a chunk, in arrays.
`sim.engine.window` takes a state and gives the next; written to disk it is a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.batteries import batteries_at_start
from sim.engine.passages import Passages
from sim.engine.station_state import Scaling, StationState, Steered, Switched
from sim.engine.traces_told import nothing_told
from sim.policy.controllers import memories
from sim.registry.allotments import TOKEN
from sim.registry.disciplines import DISCIPLINES
from sim.world.budgets import full
from sim.world.stations import Station
from sim.world.world import World

Columns = dict[str, NDArray[Any]]

ALLOWANCE_CAP = 3 * TOKEN

# A request that has arrived and whose row is not written yet.
ROW_TYPES: dict[str, str] = {
    "request_id": "i8",
    "client": "i4",
    "sample": "i4",  # position on the sample axis
    "arrived": "f8",
    "decided": "f8",  # when the device is done; may lie ahead
    "deadline": "f8",  # an instant; inf = none
    "work": "f8",  # what its group and its trace multiply the service time by
    "server_version": "i4",  # tables in force at the decision; -1 = not decided yet
    "score": "f4",
    "threshold": "f8",  # of the decision; NaN = not decided
    "propensity": "f4",
    "deferred": "?",
    "first_item": "i8",  # of a block: of its client's items that which is verified first; -1 = it is none
    "drafts": "i2",  # items that its device drafted for it
    "worth": "i8",  # the options that would do, a bit of each
    "open": "i1",  # attempts whose end its client still awaits
    "computed": "i8",  # the options whose part its device has done, a bit of each
    "drawn": "i8",  # nanojoules that its device has drawn for it
    "outcome": "i1",  # index into OUTCOMES
    "completed_at": "f8",  # when the client knew the outcome; NaN = it waits
}

# A send, the first or a retry, of such a request.
SEND_TYPES: dict[str, str] = {
    "row": "i8",
    "attempt": "i1",
    "option": "i1",  # whom of its group's options it asks
    "server": "i2",
    "model": "i2",  # which answers, where its server has chosen one; -1 = whom it asked said which
    "sent": "f8",  # NaN = it was not: breaker, link or budget kept the client from a first send, or it waits
    # for its batch, as long as `closed_at` is NaN, too
    "computed_at": "f8",  # when the device is done with its part of it; NaN = it has none
    "reached": "f8",  # the server, if the horizon allows; NaN = swallowed by the link
    "downlink_s": "f8",  # seconds back to the client; NaN = swallowed by the link
    "timeout_at": "f8",  # when the client gives this attempt up; inf = never
    "service_factor": "f8",  # of the service time, if it heads a batch
    "started": "f8",
    "finished": "f8",
    "shed": "f8",  # when it was pushed out of the queue; NaN = it was not
    "closed_at": "f8",  # nothing of this attempt is under way any more
    "replica": "i2",
    "batch_size": "i2",
    "cause": "i1",  # index into CAUSES
    "is_cold": "?",  # a call of a serverless server that found no warm instance
    "loads": "i2",  # how often a model came into memory for a batch that it heads
    "failure": "i1",  # index into OUTCOMES: how it ended for the client, who no longer waits; 0 = it did not
    "retry_at": "f8",  # when the next attempt will be sent; NaN = none is planned
    "returns": "i2",  # to the queue, from batches that an outage stopped
    "backlog": "i4",  # how many waited at the server when it sent its word; -1 = no word, or nobody asks
    "hop": "i1",  # which of the shared links on its way it is at, or on its way to; -1 = none
    "joined": "f8",  # when it comes, or came, to that link
    "transmission": "i8",  # the request_id of the first that left together with it; -1 = it leaves alone
    "rival": "i8",  # the other attempt of two that a hedge has set side by side; -1 = there is none
    "passes": "f8",  # when it will have passed; of a link that payloads share at which level; NaN = not there
}

# A shared link. fifo: the bits that it will have let pass by the end of its work. ps: those that each payload
# on it has had since it was empty, and the bits that the link could have let pass when that was counted.
LINK_TYPES = {"level": "f8", "seen": "f8"}

# Per client and server: failed attempts on end (at the limit its circuit breaker is open; 1 where a ratio
# opens it), when the last cooldown ends, probes that were sent since and that succeeded; and where a ratio
# opens it what became of the last attempts, a bit each, the latest lowest, and of how many.
BREAKER_TYPES = {
    "failed": "i8",
    "open_until": "f8",
    "probing": "i1",
    "passed": "i1",
    "recent": "i8",
    "heard": "i1",
}

# Per client that works through sessions: how many of its items are final, and how many it has drafted or had
# answered, from its first session on; and whether its last block came to nothing.
SESSION_TYPES = {"final": "i8", "drafted": "i8", "is_alone": "?"}

# What a send looks like before anything has become of it; the rest is known when it is sent.
NEW_SEND: dict[str, float] = {
    "model": -1,
    "computed_at": np.nan,
    "started": np.nan,
    "finished": np.nan,
    "shed": np.nan,
    "closed_at": np.nan,
    "replica": -1,
    "batch_size": 0,
    "cause": 0,
    "is_cold": 0,
    "loads": 0,
    "failure": 0,
    "retry_at": np.nan,
    "returns": 0,
    "backlog": -1,
    "hop": -1,
    "joined": np.nan,
    "transmission": -1,
    "rival": -1,
    "passes": np.nan,
}


def empty(types: dict[str, str], n: int = 0) -> Columns:
    """Columns of the given types, n rows of zeros."""
    return {name: np.zeros(n, dtype=kind) for name, kind in types.items()}


def take(columns: Columns, index: NDArray[Any]) -> Columns:
    """The rows that a mask or an index selects, of every column."""
    if index.dtype == bool:  # looked through once, and not for every column
        index = np.flatnonzero(index)
    return {name: column.take(index) for name, column in columns.items()}


def join(first: Columns, second: Columns) -> Columns:
    """The rows of the first, then those of the second."""
    return {name: np.concatenate([column, second[name]]) for name, column in first.items()}


@dataclass
class State:
    """All that the loop knows between two chunks.

    Per client: requests so far, when its device is free, when it asks next in a closed loop (inf: its request
    is open, or it is in none), its circuit breaker, what its
    price remembers, the backlogs of servers as last told and whose turn it is (where it chooses by them), and
    (where a queue is fair, per server) when it was last started. Of breakers and backlogs there is one per
    server. allowance: what is left of retry tokens, in millionths, see `sim.world.allowances`. rows, sends:
    columns as declared above, rows as they came, but those of closed loops behind the others of a window.
    told: what traces say of these requests, see `sim.engine.traces_told`. budgets, admission: accounts, see
    `sim.world.budgets`. sessions: per client, empty where nobody has any. network: per shared link.
    batteries: per client. stations: the servers. What lies ahead (messages, timers, retries) follows from
    these and is not kept.
    """

    next_k: NDArray[np.int64]
    device_free: NDArray[np.float64]
    next_at: NDArray[np.float64]
    allowance: NDArray[np.int64]
    breakers: Columns
    memory: NDArray[np.float64]
    backlog: NDArray[np.int64]
    turn: NDArray[np.int64]
    last_started: NDArray[np.float64]
    budgets: Columns
    admission: Columns
    sessions: Columns
    network: Columns
    batteries: Columns
    rows: Columns
    sends: Columns
    told: Columns
    stations: list[StationState]


@dataclass(frozen=True)
class Ended:
    """What a chunk leaves behind: rows whose request ended, and their sends (`row` indexes those rows); and
    what shared links let pass."""

    rows: Columns
    sends: Columns
    passages: Passages = field(default_factory=Passages.none)


def at_start(world: World) -> State:
    """Nobody has arrived, every device and replica is idle, every client holds one retry token."""
    scenario, parameters, stations = world.scenario, world.parameters, world.stations
    n, fair = scenario.clients, [DISCIPLINES[one.discipline].is_by_client for one in stations]
    has_breakers = any(group.breaker is not None for group in scenario.fleet)
    return State(
        next_k=np.zeros(n, dtype=np.int64),
        device_free=np.full(n, -np.inf),
        next_at=_first_arrivals(world),
        allowance=TOKEN * parameters.allowances.members,
        breakers=empty(BREAKER_TYPES, n * len(stations) if has_breakers else 0),
        memory=memories(parameters.prices, world.population.group),
        backlog=np.zeros(n * len(stations) if parameters.looks_at_backlogs else 0, dtype=np.int64),
        turn=np.zeros(n if parameters.takes_turns else 0, dtype=np.int64),
        last_started=np.full(n * sum(fair), -np.inf),
        budgets=full(world.accounts.allotments),
        admission=full(parameters.doors),
        sessions=empty(SESSION_TYPES, n if parameters.has_sessions else 0),
        network=empty(LINK_TYPES, len(parameters.network.names)),
        batteries=batteries_at_start(world.power, world.population.group),
        rows=empty(ROW_TYPES),
        sends=empty(SEND_TYPES),
        told=nothing_told(scenario),
        stations=[_station_at_start(one) for one in stations],
    )


def _station_at_start(one: Station) -> StationState:
    usable, places = int(one.capacity.usable[0]), one.most_replicas * one.stages
    return StationState(
        waiting=[],
        returned=0,
        batch_of=[[] for _ in range(places)],
        ends=[np.inf] * places,
        since=[np.nan] * places,
        left=[np.nan] * places,
        cleared=[-np.inf] * places,
        stages=one.stages,
        warm_until=[-np.inf] * places,
        used_at=one.memory_at_start() * places if one.swaps else [],
        replicas=one.replicas,
        taken=one.replicas - usable,
        scaling=Scaling(),
        steered=Steered(float(one.queue_limit)),
        switched=Switched(len(one.widths) - 1 if one.switch else -1),
        steps=[(0.0, usable)],
    )


def _first_arrivals(world: World) -> NDArray[np.float64]:
    """When the clients of closed loops ask first; inf for all others."""
    clients = world.population
    found = np.full(clients.size, np.inf)
    for g, think in enumerate(world.think_times):
        if think is not None:
            members = np.flatnonzero(clients.group == g)
            found[members] = think.first(members)
    return found
