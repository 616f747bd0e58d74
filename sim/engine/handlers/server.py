"""A server: batches that start and end, and what it says of them.
Handlers say whether the queue is to be served afterwards; `capacity` changes what works beneath them."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.engine import events
from sim.engine.events import (
    ANSWER,
    CANCELLED,
    COMPLETE,
    DUE,
    EXPIRED,
    FAIR,
    KEY_COMPLETE,
    KEY_DUE,
    KEY_REPLY,
    LOST,
    LOST_BITS,
    REMOTE,
)
from sim.engine.handlers.autoscaling import measure
from sim.engine.handlers.calls import is_warm, keep_warm, warmest
from sim.engine.handlers.loading import holder, load_model
from sim.engine.handlers.lookups import is_up_through, slowed
from sim.engine.handlers.pipelines import enter, first_place, free_first_stage, free_place, put_intake
from sim.engine.handlers.primitives import put, whole_number
from sim.engine.handlers.queue import oldest, pop_next
from sim.engine.handlers.sessions import items_of
from sim.engine.handlers.switching import switch_model
from sim.engine.handlers.work import mean_work, option_of
from sim.engine.linking import handler
from sim.policy import waiting
from sim.scenario.schema.values import SHORTEST_S

place, rank_of = handler(events.place), handler(events.rank)
is_in_time, is_too_late = handler(waiting.is_in_time), handler(waiting.is_too_late)


@handler
def rank(w: Any, send: Any) -> Any:
    """An attempt's place among events of its kind, see `sim.engine.events.rank`."""
    request = place(w.rows.request_id[w.sends.row[send]], w.constants.place_bits)
    return rank_of(request, whole_number(w.sends.attempt[send]))


@handler
def count(s: Any, now: Any, change: Any) -> Any:
    """Adds up the integral of the number inside."""
    s.area += s.inside * (now - s.counted_to)
    s.counted_to = now
    s.inside += change


@handler
def swallow(cause: Any, over: Any, now: Any, send: Any) -> Any:
    cause[send] = LOST
    over[send] = now


@handler
def goes_down(w: Any, now: Any, send: Any) -> Any:
    """Whether the server's word to the client passes its link; sets how long it takes."""
    client = w.rows.client[w.sends.row[send]]
    w.sends.downlink_s[send] *= slowed(w.slow_links, client, now, 0)
    if is_up_through(w.cuts, w.clients.link[client], now, now + w.sends.downlink_s[send]):
        return True
    w.sends.downlink_s[send] = float("nan")
    return False


@handler
def serve(w: Any, r: Any, s: Any, now: Any) -> Any:
    """Starts every batch that may start, each on the idle replica with the lowest index: first those that are
    warm, or have its model in their memory."""
    replicas = w.replicas
    while s.idle > 0 and s.waiting > 0:
        if s.waiting < s.max_batch and s.batch_wait_s > 0.0:
            first = oldest(w, s)
            if w.sends.reached[first] + s.batch_wait_s > now:
                put_due(w, r, s, first)
                return
        while not replicas.is_idle[s.lowest]:
            s.lowest += 1
        replica = warmest(w, s, now) if s.is_serverless else s.lowest
        form(w, s, now, replica)
        if replicas.size[replica] > 0:
            if s.switch > 0:
                switch_model(w, s, now, replicas.head[replica], replicas.size[replica])
            if s.swaps:
                replica = holder(w, s, replica)
            start(w, r, s, now, replica)


@handler
def put_due(w: Any, r: Any, s: Any, send: Any) -> Any:
    """The queue is served again when this one has waited long enough."""
    if not w.lists.is_due_set[send]:
        w.lists.is_due_set[send] = True
        due_at = w.sends.reached[send] + s.batch_wait_s
        put(w.events, r, due_at, KEY_DUE | rank(w, send), DUE, send)


@handler
def form(w: Any, s: Any, now: Any, replica: Any) -> Any:
    """A replica's next batch, a linked list; those past their deadline are thrown out."""
    sends, replicas, last, size = w.sends, w.replicas, -1, 0
    while s.waiting > 0 and size < s.max_batch:
        send = pop_next(w, s)
        if s.drops_expired and is_too_late(now, w.rows.deadline[sends.row[send]]):
            count(s, now, -1)
            sends.cause[send] = EXPIRED
            sends.closed_at[send] = now
            continue
        if w.constants.cancels and is_called_back(w, now, send):
            count(s, now, -1)
            sends.cause[send] = CANCELLED
            sends.closed_at[send] = now
            continue
        if s.discipline == FAIR:
            w.clients.last_started[s.first_client + w.rows.client[sends.row[send]]] = now
        if last < 0:
            replicas.head[replica] = send
        else:
            w.lists.after[last] = send
        last = send
        size += 1
    replicas.size[replica] = size


@handler
def is_called_back(w: Any, now: Any, send: Any) -> Any:
    """Whether the other attempt of its request was answered, and the word that this one is not needed has
    come: it takes as long as the attempt itself."""
    row = w.sends.row[send]
    if w.rows.outcome[row] != REMOTE or not w.groups.cancels[w.clients.group[w.rows.client[row]]]:
        return False
    begun = w.sends.sent[send]
    if w.constants.computes and w.sends.computed_at[send] > begun:
        begun = w.sends.computed_at[send]
    return now >= w.rows.completed_at[row] + (w.sends.reached[send] - begun)


@handler
def start(w: Any, r: Any, s: Any, now: Any, replica: Any) -> Any:
    sends, replicas = w.sends, w.replicas
    if s.scales:
        measure(s, now)
        s.busy += 1
    replicas.is_idle[replica] = False
    s.idle -= 1
    head, size = replicas.head[replica], replicas.size[replica]
    send, number = head, number_of(s, replica)
    for _ in range(size):
        sends.started[send] = now
        sends.replica[send] = number
        sends.batch_size[send] = size
        send = w.lists.after[send]
    takes = batch_s(w, s, now, replica)
    if s.swaps:
        takes += load_model(w, s, now, replica)
    elif s.is_serverless and not is_warm(w, s, now, replica):
        sends.is_cold[head] = True
        takes += s.cold_start_s
    if s.stages == 1:
        go_on(w, r, now, replica, takes)
        return
    replicas.ends[replica] = enter(w, r, s, now, replica, takes)
    put_completion(w, r, replica)


@handler
def number_of(s: Any, replica: Any) -> Any:
    """Its number among the server's; a pipeline stands there once for each stage."""
    return replica - s.first_replica if s.stages == 1 else (replica - s.first_replica) // s.stages


@handler
def go_on(w: Any, r: Any, now: Any, replica: Any, left: Any) -> Any:
    """A replica works on its batch, so many seconds of which are left."""
    w.replicas.since[replica] = now
    w.replicas.ends[replica] = now + left
    put_completion(w, r, replica)


@handler
def batch_s(w: Any, s: Any, now: Any, replica: Any) -> Any:
    """Seconds that a replica's batch takes if it starts now."""
    head, size = w.replicas.head[replica], w.replicas.size[replica]
    takes = w.scale[s.first_scale + items_in(w, head, size)] * w.sends.service_factor[head]
    if len(w.work) > 0 or w.constants.has_own_work:
        takes *= mean_work(w, head, size)
    if takes < SHORTEST_S:  # noqa: PLR1730  (plain numbers: max() takes three times as long)
        takes = SHORTEST_S
    if len(w.slow_service.line) > 0:
        takes *= slowed(w.slow_service, s.number, now, s.replicas - number_of(s, replica) - 1)
    return takes


@handler
def items_in(w: Any, head: Any, size: Any) -> Any:
    """How many items a batch has: its size, where none of its requests is a block of items."""
    if len(w.sessions.items) == 0:
        return size
    total, send = 0, head
    for _ in range(size):
        total += items_of(w, w.sends.row[send])
        send = w.lists.after[send]
    return total


@handler
def put_completion(w: Any, r: Any, replica: Any) -> Any:
    key = KEY_COMPLETE | replica << LOST_BITS | w.replicas.lost[replica]
    put(w.events, r, w.replicas.ends[replica], key, COMPLETE, replica)


@handler
def complete(w: Any, r: Any, s: Any, now: Any, replica: Any, ended: Any) -> Any:
    replicas = w.replicas
    if ended & ((1 << LOST_BITS) - 1) != replicas.lost[replica]:
        return False  # of a batch that an outage stopped
    size, send = replicas.size[replica], replicas.head[replica]
    for _ in range(size):
        hand_back(w, r, s, now, send)
        send = w.lists.after[send]
    number = number_of(s, replica)
    if s.scales:
        measure(s, now)
        s.busy -= whole_number(number < s.replicas - s.taken)
    count(s, now, -size)
    replicas.size[replica] = 0
    if s.stages > 1:  # whose next batch enters as the first stage is free
        return False
    if number < s.replicas - s.taken:  # else it has outlived its place among the usable ones
        if s.is_serverless:
            keep_warm(w, s, now, replica)
        make_idle(w, s, replica)
    return s.waiting > 0


@handler
def hand_back(w: Any, r: Any, s: Any, now: Any, send: Any) -> Any:
    """An answer is ready and goes down to the client."""
    sends, clients = w.sends, w.clients
    if w.constants.answers_take_time:
        sends.downlink_s[send] += w.options.reply_s[option_of(w, send)]
    if w.constants.anyone_has_obstacles and clients.has_obstacles[w.rows.client[sends.row[send]]]:
        if not goes_down(w, now, send):
            swallow(sends.cause, sends.closed_at, now, send)
        elif clients.heeds_answers[w.rows.client[sends.row[send]]] and is_in_time(
            now + sends.downlink_s[send], sends.timeout_at[send]
        ):
            put(w.events, r, now + sends.downlink_s[send], KEY_REPLY | rank(w, send), ANSWER, send)
    sends.finished[send] = now
    if w.constants.tells_backlog:
        sends.backlog[send] = s.waiting


@handler
def take_in(w: Any, s: Any, now: Any, first: Any) -> Any:
    """The first stage of a pipeline is free, and its next batch may enter if the replica is usable."""
    if not free_first_stage(w, now, first):
        return False
    if number_of(s, first) < s.replicas - s.taken:
        make_idle(w, s, free_place(w, first))
    return s.waiting > 0


@handler
def begin_pipelines(w: Any, r: Any, s: Any) -> Any:
    """Which of them may take a batch, and when the others may, from what the state says."""
    for first in range(s.first_replica, s.first_replica + s.room, s.stages):
        if w.replicas.cleared[first] != -inf:
            put_intake(w, r, first)
        elif number_of(s, first) < s.replicas - s.taken:
            make_usable(w, s, first)


@handler
def make_usable(w: Any, s: Any, replica: Any) -> Any:
    """It may take a batch, unless it still has one."""
    if s.stages == 1:
        if w.replicas.size[replica] == 0:
            make_idle(w, s, replica)
    elif replica == first_place(s, replica):
        place = free_place(w, replica)
        if place >= 0:
            make_idle(w, s, place)


@handler
def make_idle(w: Any, s: Any, replica: Any) -> Any:
    w.replicas.is_idle[replica] = True
    s.idle += 1
    if replica < s.lowest:  # noqa: PLR1730  (plain numbers: min() takes three times as long)
        s.lowest = replica
