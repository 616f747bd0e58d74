"""Requests that wait at their client for others to be sent with: who does, when they leave, what is under way
then. `clients` holds them back, `walk` asks what becomes of them."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import Any

from sim.engine.events import KEY_REACH, KEY_TIMER, LOST, REACH, TIMER, UNBATCH
from sim.engine.handlers.lookups import is_up_through, slowed, way_of
from sim.engine.handlers.primitives import put
from sim.engine.handlers.server import rank
from sim.engine.handlers.work import option_of
from sim.engine.linking import handler
from sim.world.population import CLIENT_SHIFT


@handler
def hold(w: Any, r: Any, now: Any, send: Any) -> Any:
    """A first attempt waits for others, at most for so long, and not beyond its deadline."""
    row = w.sends.row[send]
    w.sends.sent[send] = w.sends.reached[send] = nan
    w.sends.timeout_at[send] = inf
    stand_behind(w, w.rows.client[row], send)
    until = min(now + w.groups.batch_wait_s[w.clients.group[w.rows.client[row]]], w.rows.deadline[row])
    if until < inf:
        put(w.events, r, until, KEY_TIMER | rank(w, send), UNBATCH, send)


@handler
def stand_behind(w: Any, client: Any, send: Any) -> Any:
    """One more waits, behind those of its client that do."""
    w.lists.after[send] = -1
    if w.clients.held[client] == 0:
        w.clients.first_held[client] = send
    else:
        w.lists.after[w.clients.last_held[client]] = send
    w.clients.last_held[client] = send
    w.clients.held[client] += 1


@handler
def is_held(w: Any, send: Any) -> Any:
    """Whether a first attempt waits for others. One that was kept back is over."""
    return isnan(w.sends.sent[send]) and isnan(w.sends.closed_at[send])


@handler
def is_full(w: Any, send: Any) -> Any:
    """Whether what its client has collected leaves, now that a request is decided: so many were decided, or
    are collected; or the client of a closed loop waits for their answers before it asks again."""
    row = w.sends.row[send]
    client = w.rows.client[row]
    group = w.clients.group[client]
    if w.groups.batch_size[group] == 0 or w.clients.held[client] == 0:
        return False
    number = (w.rows.request_id[row] & ((1 << CLIENT_SHIFT) - 1)) + 1
    if w.groups.is_closed[group]:  # which begins to count with each time that it asks
        number = (number - 1) % w.groups.at_once[group] + 1
        if number == w.groups.at_once[group]:
            return True
    if w.groups.batches_sends[group]:
        return w.clients.held[client] >= w.groups.batch_size[group]
    return number % w.groups.batch_size[group] == 0


@handler
def first_held(w: Any, client: Any) -> Any:
    """The first that waits, which does so no more."""
    send = w.clients.first_held[client]
    w.clients.first_held[client] = w.lists.after[send]
    w.clients.held[client] -= 1
    return send


@handler
def set_out_together(w: Any, r: Any, now: Any, first: Any, count: Any) -> Any:
    """So many attempts leave in one transmission, linked behind the first, whose latency all of them take;
    its link may swallow all of them."""
    sends, row = w.sends, w.sends.row[first]
    client = w.rows.client[row]
    longer = slowed(w.slow_links, client, now, 0)
    way = way_of(w, client, option_of(w, first), now)
    takes_s = w.drawn.uplink_s[way, row] + (count - 1) * w.options.transfer_s[option_of(w, first)]
    reached = now + takes_s * longer
    is_up = is_up_through(w.cuts, w.clients.link[client], now, reached)
    send, name = first, w.rows.request_id[row]
    for _ in range(count):
        sends.transmission[send], sends.reached[send] = name, reached
        sends.downlink_s[send] = w.drawn.downlink_s[way, sends.row[send]]
        if sends.timeout_at[send] < inf:
            put(w.events, r, sends.timeout_at[send], KEY_TIMER | rank(w, send), TIMER, send)
        if is_up:
            put(w.events, r, reached, KEY_REACH | rank(w, send), REACH, send)
        else:
            sends.reached[send], sends.closed_at[send], sends.cause[send] = nan, now, LOST
        send = w.lists.after[send]


@handler
def load_collected(w: Any, r: Any) -> Any:
    """Who waits for others, and how many words clients of closed loops wait for, from what the state says."""
    for send in range(r.sends):
        if is_held(w, send):
            stand_behind(w, w.rows.client[w.sends.row[send]], send)
    for row in range(r.rows):
        if isnan(w.rows.completed_at[row]):
            w.clients.unsettled[w.rows.client[row]] += 1
