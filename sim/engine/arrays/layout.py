"""What the handlers work on: the state's columns, lists and heaps of their own, and the parameters as arrays.
Filled by `laying_out` and `context`; every name here is a part of what handlers know as `w`."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.network import Network
from sim.engine.arrays.parameters import (
    Accounts,
    Constants,
    Downtimes,
    Flags,
    Floats,
    Groups,
    Ints,
    Labels,
    Options,
    Slowdowns,
    VersionsHeld,
    Widths,
)
from sim.engine.arrays.room import Heap
from sim.engine.arrays.sessions import Sessions
from sim.engine.batteries import BATTERY_TYPES
from sim.engine.state import ROW_TYPES, SEND_TYPES
from sim.world.energy import Power

Sends: Any = namedtuple("Sends", tuple(SEND_TYPES))  # type: ignore[misc]
Rows: Any = namedtuple("Rows", tuple(ROW_TYPES))  # type: ignore[misc]
Batteries: Any = namedtuple("Batteries", tuple(BATTERY_TYPES))  # type: ignore[misc]


class Ahead(NamedTuple):
    """What is known to come: instants, keys, codes, subjects."""

    at: Floats
    key: Ints
    do: Ints
    subject: Ints


class Lists(NamedTuple):
    """The queue and the batches as linked lists. A send is in one of them at a time, or in none.

    after, before: per send its neighbours, -1 at an end; `before` not for `fifo`. is_due_set: per send
    whether it has had a DUE event. line: of each server attempts by deadline and order of arrival, for `edf`;
    clients by last start, for `fair`, where `first_of` and `last_of` of a client wait, each attempt before
    the one `behind` it. listed: the queues in order, server after server, when they go in and out.
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
    """Per replica, those of a server on end: the first send of its batch (-1: none), the size, when it ends,
    since when it works without a stop, the seconds left of a batch that stands still (NaN: it does not),
    until when an instance is warm, whether it is idle, how many of its batches were stopped, its server; and
    room to sort those that stop.

    A pipeline stands here once for each stage, for the batches in it. cleared: there, by stage, when the last
    batch leaves it; -inf: nothing was in it, or of the first stage it is free.
    """

    head: Ints
    size: Ints
    ends: Floats
    since: Floats
    left: Floats
    warm_until: Floats
    is_idle: Flags
    lost: Ints
    server: Ints
    order: Ints
    cleared: Floats


class Clients(NamedTuple):
    """Per client: its group, what may keep it from sending, and what it remembers."""

    group: NDArray[np.int16]
    has_obstacles: Flags
    heeds_answers: Flags
    link: Ints  # the time line of its link, -1: never cut
    account: Ints
    wallet: Ints  # the account of its retry tokens
    allowance: Ints  # of each such account, and the most that it keeps
    most_allowed: Ints
    failed: Ints  # this and the next five per client and server
    open_until: Floats
    probing: NDArray[np.int8]
    passed: NDArray[np.int8]
    recent: Ints
    heard: NDArray[np.int8]
    backlog: Ints  # per client and server, as last told; empty where nobody looks at it
    home: Ints  # the option that is its own, or a number of which the rest by the options is
    turn: Ints  # the option that is next, empty where nobody takes turns
    memory: Floats  # of the prices, `constants.memory` each
    last_started: Floats  # per fair server and client
    next_k: Ints
    next_at: Floats
    device_free: Floats
    held: Ints  # attempts that wait to be sent with others, the first and the last of them; these and
    first_held: Ints  # the next are empty where nobody does
    last_held: Ints
    unsettled: Ints  # requests made together whose last word is awaited


class Asked(NamedTuple):
    """What the decision of a row compares, where it is taken in the loop, as in `sim.policy.decision`.

    value: (rows, scores), as one decision looks at all of them; the others (rows,). low, high: of the first;
    of several each is fixed. threshold: of a fixed price; a price that remembers sets its own. coin: of
    exploration.
    """

    value: Floats
    low: Floats
    high: Floats
    threshold: Floats
    coin: Floats


class Newer(NamedTuple):
    """The same by rejectors that clients have only from an instant on, by row and then by instant, (m,),
    value (m, scores). first: where those of each row begin, and the last end, (rows + 1,); all are empty
    where nobody has any."""

    first: Ints
    at_s: Floats
    score: Any
    value: Floats
    low: Floats
    high: Floats
    threshold: Floats


class Requests(NamedTuple):
    """What chance decides for the next requests of clients in closed loops, `constants.requests` of each.

    member: per client its place here, -1: not in a closed loop; base: per member the number k of its first.
    think_s, coin: per member and request; uplink_s, downlink_s, service_factor: so for each
    way to an option. sample: once for each phase of the traffic; score, low, high, threshold: for each case,
    a phase and a version of the rejectors; value: (cases, scores), as of `Asked`.
    phase_at_s: (groups, phases), inf where there are fewer; case_of: per version its number among the cases.
    """

    member: Ints
    base: Ints
    think_s: Floats
    uplink_s: Floats
    downlink_s: Floats
    service_factor: Floats
    coin: Floats
    sample: NDArray[np.int32]
    score: NDArray[np.float32]
    value: Floats
    low: Floats
    high: Floats
    threshold: Floats
    phase_at_s: Floats
    case_of: Ints


class Functions(NamedTuple):
    """What the handlers call of the objects that a scenario names, or somebody brings, by its place among
    those of the run: of prices, see `sim.policy.controllers.Price`; of disciplines; of choices."""

    threshold: Any
    on_decision: Any
    on_outcome: Any
    rank_waiting: Any
    rank_option: Any


OF_PRICES = ("threshold", "on_decision", "on_outcome")


class Drawn(NamedTuple):
    """Per attempt, from the first, and way to an option, and row: seconds up and down, and the factor of the
    service time."""

    uplink_s: Floats
    downlink_s: Floats
    service_factor: Floats


class Arrays(NamedTuple):
    """All of it."""

    constants: Constants
    scale: Floats  # seconds of a batch by its size, server after server
    mean: Floats
    work: Floats  # per model and sample; empty where all take alike
    widths: Widths
    ahead: Ahead
    events: Heap
    sends: Any
    rows: Any
    asked: Asked
    newer: Newer
    requests: Requests
    sessions: Sessions
    versions: VersionsHeld
    cells: VersionsHeld
    labels: Labels
    functions: Functions
    lists: Lists
    replicas: Replicas
    groups: Groups
    options: Options
    clients: Clients
    budgets: Accounts
    door: Accounts
    cuts: Downtimes
    slow_links: Slowdowns
    slow_service: Slowdowns
    drawn: Drawn
    network: Network
    power: Power
    batteries: Any
    stopped: Floats  # (n, 4): size of the batch, start, stop, server
    steps: Floats  # (n, 5): instant, usable replicas, server, batches that stand still, seconds thrown away
    coming: Floats  # when replicas that were ordered are there, server after server
    used_at: (
        Floats  # when a model last began on a replica that swaps, see `StationState`, server after server
    )
    wanted: Ints  # how many were wanted at the last ticks, server after server, -1: nothing was decided
