"""What a client has collected leaves together, as far as nothing keeps it back.
Asked by `walk` as a request is decided, or has waited as long as it may; `batching` knows who waits."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from sim.engine.events import ASK, TIMED_OUT, UNBATCH
from sim.engine.handlers.batching import first_held, is_full, is_held, set_out_together
from sim.engine.handlers.clients import end_request, leave, think
from sim.engine.handlers.deciding import SENDS
from sim.engine.handlers.obstacles import kept_back
from sim.engine.handlers.primitives import whole_number
from sim.engine.handlers.server import is_too_late
from sim.engine.linking import handler
from sim.policy.waiting import timer_of

_timer_of = handler(timer_of)


@handler
def transmit(w: Any, r: Any, now: Any, code: Any, send: Any) -> Any:
    """A request is decided (ASK), and its client's batch may be full; or it has waited for others as long as
    it may (UNBATCH): its batch leaves, or its deadline has passed, which is its client's first."""
    row = w.sends.row[send]
    client = w.rows.client[row]
    if code == UNBATCH:
        if not is_held(w, send):
            return
        if is_too_late(now, w.rows.deadline[row]):
            keep(w, r, now, first_held(w, client), TIMED_OUT)
            return
    elif not is_full(w, send):
        return
    group = w.clients.group[client]
    first, last, count = -1, -1, 0
    while w.clients.held[client] > 0:
        one = first_held(w, client)
        why = kept_back(w, now, ASK, one, 0)
        if why != SENDS:
            keep(w, r, now, one, why)
            continue
        w.sends.sent[one] = now
        w.sends.timeout_at[one] = _timer_of(now, w.groups.timeout_s[group], w.rows.deadline[w.sends.row[one]])
        leave(w, r, now, ASK, one, 0)
        if count == 0:
            first = one
        else:
            w.lists.after[last] = one
        last = one
        count += 1
    if count > 0:
        set_out_together(w, r, now, whole_number(first), count)


@handler
def keep(w: Any, r: Any, now: Any, send: Any, why: Any) -> Any:
    """A request that waited for others is not sent: it is over for its client."""
    row = w.sends.row[send]
    w.sends.sent[send] = w.sends.reached[send] = nan
    w.sends.timeout_at[send] = inf
    w.sends.closed_at[send] = now
    end_request(w, now, row, why)
    client = w.rows.client[row]
    if w.groups.is_closed[w.clients.group[client]]:
        think(w, r, now, client)
