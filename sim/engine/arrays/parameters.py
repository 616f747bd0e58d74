"""Parameters of a run as plain arrays: groups, accounts, time lines, versions, labels, constants.
Filled by `laying_out`; parts of what the handlers work on, see `layout`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Downtimes(NamedTuple):
    """Time lines behind each other: line l is periods first[l] to first[l + 1] - 1."""

    first: Ints
    from_s: Floats
    until_s: Floats


class Slowdowns(NamedTuple):
    """Of owner o those numbered first[o] to first[o + 1] - 1: when, as a line of `lines`; how many replicas
    it hits, counted from the highest; and the factor."""

    first: Ints
    line: Ints
    hits: Ints
    factor: Floats
    lines: Downtimes


class Accounts(NamedTuple):
    """What is allotted to each account, buckets and periods; and what is left (see `sim.world.budgets`)."""

    is_bucket: Flags
    rate_hz: Floats
    per_s: Floats
    full: Ints
    left: Ints
    mark: Ints
    held: Ints


class Groups(NamedTuple):
    """Per group: how its clients wait, try again and give up.

    failures: of the breaker on end, 1 where a ratio opens it, 0 = it has none; window: attempts that the
    ratio is of, 0 = none; needed: failures among them that open it.
    """

    timeout_s: Floats
    deadline_s: Floats
    max_attempts: Ints
    is_limited: Flags
    earns: Ints
    backoff_s: Floats  # (groups, attempts)
    is_jittered: Flags
    failures: Ints
    window: Ints
    needed: Ints
    probes: Ints
    cooldown_s: Floats
    decided_in_loop: Flags  # in the loop, by a price that remembers or in a closed loop
    price: Ints  # the place of its price among the functions; -1: a fixed one
    parameters: Floats  # of the prices, `constants.parameters` each
    uses_feedback: Flags
    names_options: Flags  # whether its price is a policy in plain Python, which may name the option to ask
    draws: Flags
    exploration: Floats
    is_closed: Flags
    at_once: Ints  # requests that clients of a closed loop make together
    batch_size: Ints  # after how many what is to be sent leaves together, 0: each by itself
    batches_sends: Flags  # whether sends are counted, else requests
    batch_wait_s: Floats  # inf: until the batch is full
    inference_s: Floats
    first_option: Ints  # of its options among all
    options: Ints  # how many it has
    scores: Ints  # how many scores decide: one, or one of each option
    choose: Ints  # the place of its choice among the functions
    takes_turns: Flags
    draws_options: Flags
    goes_on: Flags
    asks_others: Flags
    hedge_after_s: Floats  # inf: never
    cancels: Flags
    service_factor: Floats
    priority: Floats  # the smaller goes first


class Options(NamedTuple):
    """Per option, those of a group on end: its server, its model, the price of a charged send, what its link
    draws, what the device and the server have to do, and its way, see `sim.world.options`."""

    server: Ints
    model: Ints
    c_e: Floats
    transfer_s: Floats
    tx: Floats
    rx: Floats
    tail_s: Floats
    device_s: Floats
    device: Ints
    work: Floats
    reply_s: Floats
    way: Ints  # of each option from each cell, `constants.cells` each
    latency_s: Floats  # so: what its link takes on average


class Widths(NamedTuple):
    """The models of servers that choose among them, or swap them in, server after server: their places, work
    and memory."""

    model: Ints
    work: Floats
    memory_bytes: Floats


class Constants(NamedTuple):
    """What holds for the whole fleet, as numbers. max_batch: the largest of all servers."""

    end: float
    max_batch: int
    servers: int
    models: int
    options: int  # of a group at most
    ways: int  # likewise
    cells: int  # likewise, 1 where nobody moves
    anyone_has_obstacles: bool
    answers_take_time: bool
    is_held: bool
    backoff_root: np.uint64
    policy_root: np.uint64
    choice_root: np.uint64
    tells_backlog: bool
    cancels: bool  # some attempt may be called back
    has_own_work: bool  # some take longer than others by their group or trace
    computes: bool  # some options have a part for the device
    batch: int  # what leaves together at most, 0: nothing does
    at_once: int  # what clients of closed loops ask together at most
    adds_rows: bool
    place_bits: int
    requests: int
    cases: int
    members: int
    samples: int
    memory: int
    parameters: int


class VersionsHeld(NamedTuple):
    """Which version each client has from when on, as `sim.world.versions.Versions`: of the rejectors; or
    which cell it is in."""

    first: Ints
    at_s: Floats
    version: NDArray[np.int32]


class Labels(NamedTuple):
    """What models answer, for prices that move: per version, model of the servers and sample; per group,
    variant and sample, beginning at the group's `first`."""

    server: NDArray[np.int16]
    in_force_at_s: Floats
    client: NDArray[np.int16]
    first: Ints
    variant: NDArray[np.int32]
