"""What the handlers work on: the state's columns, lists and heaps of their own, and the parameters as arrays.
Filled by `laying_out` and `context`; every name here is a part of what handlers know as `w`."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.parameters import (
    Accounts,
    Downtimes,
    Flags,
    Floats,
    Groups,
    Ints,
    Labels,
    Slowdowns,
    Terms,
    VersionsHeld,
)
from sim.engine.state import ROW_TYPES, SEND_TYPES

Sends: Any = namedtuple("Sends", tuple(SEND_TYPES))  # type: ignore[misc]


Rows: Any = namedtuple("Rows", tuple(ROW_TYPES))  # type: ignore[misc]


class Ahead(NamedTuple):
    """What is known to come: instants, keys, codes, subjects."""

    at: Floats
    key: Ints
    do: Ints
    subject: Ints


class Heap(NamedTuple):
    """A binary heap by (at, key); what: an event as code | subject << 4, or a send."""

    at: Floats
    key: Ints
    what: Ints


class Lists(NamedTuple):
    """The queue and the batches as linked lists. A send is in one of them at a time, or in none.

    after, before: per send its neighbours, -1 at an end; `before` not for `fifo`. is_due_set: per send
    whether a DUE event waits. line: attempts by deadline and order of arrival, for `edf`; clients by last
    start, for `fair`, where `first_of` and `last_of` of a client wait, each attempt before the one `behind`
    it. listed: the queue in order, when it goes in and out.
    """

    after: Ints
    before: Ints
    is_due_set: Flags
    line: Heap
    listed: Ints
    behind: Ints
    first_of: Ints
    last_of: Ints


class Replicas(NamedTuple):
    """Per replica: the first send of its batch (-1: none), the size, when it ends, whether it is idle, how
    many of its batches were stopped; and room to sort those that stop."""

    head: Ints
    size: Ints
    ends: Floats
    is_idle: Flags
    lost: Ints
    order: Ints


class Clients(NamedTuple):
    """Per client: its group, what may keep it from sending, and what it remembers."""

    group: NDArray[np.int16]
    asks: Flags
    hears: Flags
    link: Ints  # the time line of its link, -1: never cut
    account: Ints
    allowance: Ints
    failed: Ints
    open_until: Floats
    probing: NDArray[np.int8]
    memory: Floats  # of the prices, `terms.memory` each
    last_started: Floats
    next_k: Ints
    next_at: Floats
    device_free: Floats


class Asked(NamedTuple):
    """Per row what its decision compares, where it is taken in the loop; see `sim.policy.decision`.

    threshold: of a fixed price; a price that remembers sets its own. coin: of exploration.
    """

    value: Floats
    low: Floats
    high: Floats
    threshold: Floats
    coin: Floats


class Requests(NamedTuple):
    """What chance decides for the next requests of clients in closed loops, `terms.requests` of each.

    member: per client its place here, -1: not in a closed loop; base: per member the number k of its first.
    think_s, up, down, factor, coin: per member and request. sample: once for each phase
    of the traffic; score, value, low, high, threshold: for each case, a phase and a version of the rejectors.
    phase_at_s: (groups, phases), inf where there are fewer; case_of: per version its number among the cases.
    """

    member: Ints
    base: Ints
    think_s: Floats
    up: Floats
    down: Floats
    factor: Floats
    coin: Floats
    sample: NDArray[np.int32]
    score: NDArray[np.float32]
    value: Floats
    low: Floats
    high: Floats
    threshold: Floats
    phase_at_s: Floats
    case_of: Ints


class Prices(NamedTuple):
    """The functions of the fleet's prices, see `sim.policy.controllers.Price`; SLOTS of each."""

    threshold: Any
    on_decision: Any
    on_outcome: Any


class Drawn(NamedTuple):
    """Per attempt, from the first, and row: seconds up and down, and the factor of the service time."""

    up: Floats
    down: Floats
    factor: Floats


class Arrays(NamedTuple):
    """All of it."""

    terms: Terms
    scale: Floats
    mean: Floats
    work: Floats  # per sample; empty where all take alike
    ahead: Ahead
    events: Heap
    sends: Any
    rows: Any
    asked: Asked
    requests: Requests
    versions: VersionsHeld
    labels: Labels
    prices: Prices
    lists: Lists
    replicas: Replicas
    groups: Groups
    clients: Clients
    budgets: Accounts
    door: Accounts
    cuts: Downtimes
    slow_links: Slowdowns
    slow_service: Slowdowns
    drawn: Drawn
    stopped: Floats  # (n, 3): size of the batch, start, stop
    steps: Floats  # (n, 2): instant, usable replicas
    coming: Floats  # when replicas that were ordered are there


# Numbers of the walk, one record. The counts say how far arrays are filled; -1 stands for nobody.
REGISTERS = np.dtype(
    [
        ("has_begun", "i8"),
        ("must_serve", "i8"),
        ("cursor", "i8"),  # on what is known to come
        ("events", "i8"),
        ("sends", "i8"),
        ("stopped", "i8"),
        ("steps", "i8"),
        ("attempts_drawn", "i8"),
        ("put_back", "i8"),  # sends at the head of the queue that want another draw
        ("waiting", "i8"),
        ("returned", "i8"),  # of those that wait: put back, served first
        ("first_returned", "i8"),
        ("first", "i8"),
        ("last", "i8"),
        ("lined", "i8"),
        ("came", "i8"),
        ("inside", "i8"),
        ("rows", "i8"),
        ("busy", "i8"),  # usable replicas that work
        ("coming", "i8"),  # replicas on order
        ("idle", "i8"),
        ("lowest", "i8"),  # no replica below it is idle
        ("replicas", "i8"),
        ("taken", "i8"),
        ("limit", "f8"),  # places in the queue; -1 while the server is down and nobody may wait
        ("now", "f8"),
        ("area", "f8"),
        ("counted_to", "f8"),
        ("busy_s", "f8"),  # replica-seconds since the last tick of the autoscaler
        ("usable_s", "f8"),
        ("replica_s", "f8"),
        ("measured_at", "f8"),
    ]
)
