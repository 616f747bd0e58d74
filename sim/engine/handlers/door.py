"""The door of a server: whom it lets in, and what it says to the others.
Handlers say whether the queue is to be served afterwards."""

from __future__ import annotations

from typing import Any

from sim.engine.events import (
    ADMISSION,
    DEADLINE_FEASIBLE,
    DOWN,
    ERROR,
    GEAR,
    KEY_REPLY,
    NOBODY,
    OPEN,
    QUEUE,
    QUEUE_FULL,
    REFUSE,
)
from sim.engine.handlers.autoscaling import order_first
from sim.engine.handlers.lookups import take
from sim.engine.handlers.primitives import put
from sim.engine.handlers.queue import append, last_of_worse, push_out
from sim.engine.handlers.server import count, goes_down, is_in_time, rank, swallow
from sim.engine.handlers.switching import note_arrival
from sim.engine.linking import handler


@handler
def reach(w: Any, r: Any, s: Any, now: Any, send: Any) -> Any:
    at_once = s.idle > 0 and (s.batch_wait_s == 0.0 or s.waiting + 1 >= s.max_batch)
    if s.switch == GEAR:
        note_arrival(s, now)
    if s.scales and s.replicas + s.coming == 0:
        order_first(w, r, s, now)
    why, worse = 0, NOBODY
    if s.waiting >= s.limit and not at_once:
        if s.replicas > s.taken or s.when_down == QUEUE:
            if s.sheds_worse:
                worse = last_of_worse(w, s, send)
            why = QUEUE_FULL if worse < 0 else 0
        elif s.when_down == REFUSE:
            why = DOWN
        else:
            swallow(w.sends.cause, w.sends.closed_at, now, send)
            return False
    if why == 0 and s.admission != OPEN and not admits(w, s, now, send):
        why = ADMISSION
    refused = send if why != 0 else NOBODY
    if why == 0 and worse >= 0:
        refused, why = push_out(w, s, worse), QUEUE_FULL
        count(s, now, -1)
        w.sends.shed[refused] = now
    if refused >= 0:
        turn_away(w, r, s, now, refused, why)
    if refused == send:
        return False
    count(s, now, 1)
    append(w, s, send)
    return s.idle > 0


@handler
def turn_away(w: Any, r: Any, s: Any, now: Any, send: Any, why: Any) -> Any:
    """The server's refusal goes down to the client."""
    sends = w.sends
    sends.cause[send] = why
    if w.constants.tells_backlog:
        sends.backlog[send] = s.waiting
    if not goes_down(w, now, send):
        sends.closed_at[send] = now
        return
    sends.closed_at[send] = now + sends.downlink_s[send]
    if is_in_time(sends.closed_at[send], sends.timeout_at[send]):
        put(w.events, r, sends.closed_at[send], KEY_REPLY | rank(w, send), ERROR, send)


@handler
def admits(w: Any, s: Any, now: Any, send: Any) -> Any:
    """Whether a send that has found a place is let in by a server that does not let in all."""
    if s.admission == DEADLINE_FEASIBLE:
        usable, most = s.replicas - s.taken, s.max_batch
        if usable <= 0:
            return True
        batches = s.waiting // most + (0 if s.idle > 0 else 1)
        finish = (
            now
            + batches * w.mean[s.first_scale + most] * s.stage_share / usable
            + w.mean[s.first_scale + s.waiting % most + 1] * s.stage_overhead
        )
        return finish <= w.rows.deadline[w.sends.row[send]]
    return take(w.door, s.door, now, False)
