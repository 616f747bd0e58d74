"""The numbers that stand for words in the kernel, and for the kinds of events in its keys.
Choices are places in these lists; whatever is not in them is outside the kernel's reach."""

from __future__ import annotations

from sim.engine.board import ATTEMPT_BITS, RETRY
from sim.engine.clock import Kind

DISCIPLINES = ("fifo", "lifo", "edf")
FIFO, LIFO, EDF = range(3)
ADMISSIONS = ("none", "deadline_feasible", "token_bucket")
OPEN, DEADLINE_FEASIBLE, TOKEN_BUCKET = range(3)
WHEN_DOWN = ("refuse", "silent", "queue")
REFUSE, SILENT, QUEUE = range(3)
IN_FLIGHT = ("lose", "requeue", "finish")
LOSE, REQUEUE, FINISH = range(3)

COMPLETE = RETRY + 1  # beside the codes of `sim.engine.board`; its subject is a replica
NOTHING = -1
CODE_BITS = 4

# (kind, rank) as one number: the kind above, the rank below.
KIND_SHIFT = 56
KEY_COMPLETE, KEY_REACH, KEY_DUE, KEY_REPLY, KEY_TIMER = (
    int(kind) << KIND_SHIFT for kind in (Kind.COMPLETE, Kind.REACH, Kind.DUE, Kind.REPLY, Kind.TIMER)
)
LOST_BITS = 32  # of a completion's rank: which of the replica's batches it ends

# Why the walk comes back to Python.
DONE, NO_ROOM, WANTS_ATTEMPT, WANTS_REDRAWS, RAN_BACKWARDS = range(5)

assert ATTEMPT_BITS + 40 <= KIND_SHIFT  # rows that fit into memory fit into a key
