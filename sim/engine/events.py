"""What can happen to a request, and in which order at one instant.
Events carry a code (what happens), a subject (to whom) and a key computed from their content: the order."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sim.registry.admission import ADMISSIONS
from sim.registry.disciplines import DISCIPLINES
from sim.registry.switches import SWITCHES
from sim.results.columns import CAUSES, OUTCOMES
from sim.world.population import CLIENT_SHIFT


class Kind(IntEnum):
    """Simultaneous events happen in this order, and within a kind by (request, attempt)."""

    CAPACITY_UP = 0
    CAPACITY_DOWN = 1
    MODEL = 2
    COMPLETE = 3
    INTAKE = 4
    REACH = 5
    DUE = 6
    REPLY = 7
    TIMER = 8
    HEDGE = 9
    DECISION = 10
    ARRIVAL = 11


# What happens. A first attempt that is asked for, or that takes no time, keeps the place of its decision; a
# retry ranks as a client timer, and so does the end of the wait for a batch (UNBATCH).
# The subject is an attempt, but for CAPACITY (a server, shifted, and how many of its replicas outages take),
# SCALE and READY (a server), GAIN and ARRIVE (a client), BEGIN (a row) and COMPLETE and INTAKE, the first
# stage of a pipeline is free (a replica, counted over all servers).
(CAPACITY, SCALE, READY, GAIN, ARRIVE, ASK, REACH, DUE, ERROR, ANSWER, TIMER, RETRY) = range(12)
HEDGE, COMPLETE, PASS, JOIN, BEGIN, INTAKE, UPLOAD, UNBATCH = range(12, 20)
CODES = range(20)
MAY_LACK = {
    RETRY,
    HEDGE,
    UPLOAD,
    ARRIVE,
    BEGIN,
    CAPACITY,
    SCALE,
    READY,
    PASS,
}  # something; else there is room
NOTHING = NOBODY = -1
CODE_BITS = 5
TAKEN_BITS = 20

# A key is one number: the kind above, the rank below. The rank of an attempt is its request's, shifted, and
# its number; that of a completion its replica and how many batches of it were lost before; that of a change
# of capacity its server, shifted by one, and 1 for the autoscaler's.
KIND_SHIFT = 59
ATTEMPT_BITS = 7
LOST_BITS = 32
REQUEST_BITS = KIND_SHIFT - ATTEMPT_BITS
KEY_READY, KEY_COMPLETE, KEY_REACH, KEY_DUE, KEY_REPLY, KEY_TIMER, KEY_HEDGE, KEY_DECISION, KEY_ARRIVAL = (
    int(kind) << KIND_SHIFT
    for kind in (
        Kind.CAPACITY_UP,
        Kind.COMPLETE,
        Kind.REACH,
        Kind.DUE,
        Kind.REPLY,
        Kind.TIMER,
        Kind.HEDGE,
        Kind.DECISION,
        Kind.ARRIVAL,
    )
)
KEY_INTAKE = int(Kind.INTAKE) << KIND_SHIFT
KEY_READY |= 1  # after outages, which change capacity at the same instant

REFUSALS = [CAUSES.index(cause) for cause in ("down", "queue_full", "admission")]
DOWN, QUEUE_FULL, ADMISSION, EXPIRED, LOST, CANCELLED = (
    CAUSES.index(cause) for cause in ("down", "queue_full", "admission", "expired", "lost", "cancelled")
)
LOCAL, REMOTE, REFUSED, TIMED_OUT, OVER_BUDGET, LINK_DOWN, BREAKER_OPEN, IN_FLIGHT, NO_POWER = (
    OUTCOMES.index(outcome)
    for outcome in (
        "local",
        "remote",
        "refused",
        "timed_out",
        "over_budget",
        "link_down",
        "breaker_open",
        "in_flight",
        "no_power",
    )
)

FIFO, LIFO, FAIR = (DISCIPLINES[name].code for name in ("fifo", "lifo", "fair"))  # the others rank
OPEN, DEADLINE_FEASIBLE, TOKEN_BUCKET = (
    ADMISSIONS[name].code for name in ("none", "deadline_feasible", "token_bucket")
)
BACKLOG_SWITCH, DEADLINE_SWITCH, GEAR = (SWITCHES[name].code for name in ("backlog", "deadline", "gear"))
WHEN_DOWN = ("refuse", "silent", "queue")
REFUSE, SILENT, QUEUE = range(3)
IN_FLIGHTS = ("lose", "requeue", "finish", "resume", "restart")
LOSE, REQUEUE, FINISH, RESUME, RESTART = range(5)

# Why a clock comes back before the end: room in some array, draws of a next attempt, draws for clients that
# ask again, another draw for attempts that were put back; or an event lies before the instant that it was
# put there.
DONE, NO_ROOM, WANTS_ATTEMPT, WANTS_REQUESTS, WANTS_REDRAWS, RAN_BACKWARDS = range(6)


def rank(request: Any, attempt: Any) -> Any:
    """The place of an attempt among events of its kind: by request, then by number.

    request: its `place`. attempt: of 64 bits where it is a column.
    """
    return request << ATTEMPT_BITS | attempt


def place(request_id: Any, bits: Any) -> Any:
    """A request's place among others: by client, then by its number k of `bits` bits."""
    return (request_id >> CLIENT_SHIFT) << bits | (request_id & ((1 << CLIENT_SHIFT) - 1))


def place_bits(clients: int) -> int:
    """How many bits of a request's place its number k takes: the client stands above."""
    return REQUEST_BITS - max(1, (clients - 1).bit_length())
