"""Replicas that are pipelines: a batch goes through all stages, each of which holds one batch at a time.
Such a replica stands among the replicas once for each stage, so that each batch in it has a place."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.engine.events import INTAKE, KEY_INTAKE, LOST_BITS
from sim.engine.handlers.primitives import put
from sim.engine.linking import handler
from sim.scenario.schema.values import SHORTEST_S


@handler
def first_place(s: Any, replica: Any) -> Any:
    """The first place of the replica that a place is of."""
    return replica - (replica - s.first_replica) % s.stages


@handler
def enter(w: Any, r: Any, s: Any, now: Any, replica: Any, takes: Any) -> Any:
    """A batch enters the first stage; gives when it leaves the last. takes: seconds of service in one piece.

    A stage keeps a batch until the next is free: a batch that follows a longer one waits in the pipeline.
    """
    cleared, first = w.replicas.cleared, first_place(s, replica)
    stage_s = max(takes * s.stage_share, SHORTEST_S)
    at, last = now, first + s.stages - 1
    for stage in range(first, last):
        at += stage_s
        at = max(at, cleared[stage + 1])
        cleared[stage] = at
    at += stage_s
    cleared[last] = at
    put_intake(w, r, first)
    return at


@handler
def put_intake(w: Any, r: Any, first: Any) -> Any:
    """The next batch may enter as the first stage is free."""
    put(w.events, r, w.replicas.cleared[first], KEY_INTAKE | first << LOST_BITS, INTAKE, first)


@handler
def free_first_stage(w: Any, now: Any, first: Any) -> Any:
    """The first stage is free now; false: it was emptied before, by an outage."""
    if w.replicas.cleared[first] != now:
        return False
    w.replicas.cleared[first] = -inf
    return True


@handler
def free_place(w: Any, first: Any) -> Any:
    """The place of a replica's next batch, -1: its first stage is taken."""
    if w.replicas.cleared[first] != -inf:
        return -1
    place = first
    while w.replicas.size[place] > 0:  # fewer than `stages` are in it
        place += 1
    return place


@handler
def empty(w: Any, begin: Any, end: Any) -> Any:
    """An outage has stopped what was in these places."""
    for place in range(begin, end):
        w.replicas.cleared[place] = -inf
