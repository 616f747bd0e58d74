"""The state of the event loop as data: everything that outlives a chunk, in arrays.
`sim.chunk` takes a state and gives the next; written to disk it is a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Scenario

Columns = dict[str, NDArray[Any]]

TOKEN = 1_000_000  # one retry: whole numbers, since ten times 0.1 must be one
ALLOWANCE_CAP = 3 * TOKEN

# A request that has arrived and whose row is not written yet.
ROW_TYPES: dict[str, str] = {
    "request_id": "i8",
    "client": "i4",
    "sample": "i4",  # position on the sample axis
    "arrived": "f8",
    "decided": "f8",  # when the device is done; may lie ahead
    "deadline": "f8",  # an instant; inf = none
    "window": "i4",  # tables in force at the decision; -1 = not decided yet
    "score": "f4",
    "propensity": "f4",
    "deferred": "?",
    "outcome": "i1",  # index into OUTCOMES
    "resolved": "f8",  # when the client knew the outcome; NaN = it waits
}

# A send, the first or a retry, of such a request.
SEND_TYPES: dict[str, str] = {
    "row": "i8",
    "attempt": "i1",
    "sent": "f8",
    "reached": "f8",  # the server, if the horizon allows
    "down": "f8",  # seconds back to the client
    "timer": "f8",  # when the client gives this attempt up; inf = never
    "factor": "f8",  # of the service time, if it heads a batch
    "started": "f8",
    "finished": "f8",
    "over": "f8",  # nothing of this attempt is under way any more
    "replica": "i2",
    "batch_size": "i2",
    "cause": "i1",  # index into CAUSES
    "given_up": "?",  # the client no longer waits for this attempt
    "retry_at": "f8",  # when the next attempt will be sent; NaN = none is planned
}


# What a send looks like before anything has become of it; the rest is known when it is sent.
NEW_SEND: dict[str, float] = {
    "started": np.nan,
    "finished": np.nan,
    "over": np.nan,
    "replica": -1,
    "batch_size": 0,
    "cause": 0,
    "given_up": False,
    "retry_at": np.nan,
}


def empty(types: dict[str, str], n: int = 0) -> Columns:
    """Columns of the given types, n rows of zeros."""
    return {name: np.zeros(n, dtype=kind) for name, kind in types.items()}


def take(columns: Columns, index: NDArray[Any]) -> Columns:
    """The rows that a mask or an index selects, of every column."""
    return {name: column[index] for name, column in columns.items()}


def join(first: Columns, second: Columns) -> Columns:
    """The rows of the first, then those of the second."""
    return {name: np.concatenate([column, second[name]]) for name, column in first.items()}


@dataclass
class State:
    """All that the loop knows between two chunks.

    Per client: requests so far, when its device is free, its retry allowance in millionths of a token.
    rows, sends: columns as declared above, rows sorted by request. waiting: sends in the order of the
    queue. batch_of: per replica the sends in service, in the order of the batch. usable: replicas.
    What lies ahead (messages, timers, retries, completions) follows from these and is not kept.
    """

    next_k: NDArray[np.int64]
    device_free: NDArray[np.float64]
    allowance: NDArray[np.int64]
    rows: Columns
    sends: Columns
    waiting: list[int]
    batch_of: list[list[int]]
    usable: int


@dataclass(frozen=True)
class Ended:
    """What a chunk leaves behind: rows whose request ended, and their sends (`row` indexes those rows)."""

    rows: Columns
    sends: Columns


def at_start(scenario: Scenario, usable: int) -> State:
    """Nobody has arrived, every device and replica is idle, every client holds one retry token."""
    n = scenario.clients
    return State(
        next_k=np.zeros(n, dtype=np.int64),
        device_free=np.full(n, -np.inf),
        allowance=np.full(n, TOKEN),
        rows=empty(ROW_TYPES),
        sends=empty(SEND_TYPES),
        waiting=[],
        batch_of=[[] for _ in range(scenario.server.replicas)],
        usable=usable,
    )
