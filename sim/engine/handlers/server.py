"""A server: whom it lets in, batches that start and end.
Handlers say whether the queue is to be served afterwards; `capacity` changes what works beneath them."""

from __future__ import annotations

from typing import Any

from sim.engine import events
from sim.engine.events import (
    ADMISSION,
    ANSWER,
    COMPLETE,
    DEADLINE_FEASIBLE,
    DOWN,
    DUE,
    ERROR,
    EXPIRED,
    FAIR,
    KEY_COMPLETE,
    KEY_DUE,
    KEY_REPLY,
    LOST,
    LOST_BITS,
    NOBODY,
    OPEN,
    PRIORITY,
    QUEUE,
    QUEUE_FULL,
    REFUSE,
)
from sim.engine.handlers.autoscaling import measure, order_first
from sim.engine.handlers.lookups import is_up_through, slowed, take
from sim.engine.handlers.primitives import put, whole_number
from sim.engine.handlers.queue import append, last_of_worse, oldest, pop_next, push_out
from sim.engine.linking import handler
from sim.policy import waiting
from sim.scenario.schema.values import SHORTEST_S

place, rank_of = handler(events.place), handler(events.rank)
is_in_time, is_too_late = handler(waiting.is_in_time), handler(waiting.is_too_late)


@handler
def rank(w: Any, send: Any) -> Any:
    """An attempt's place among events of its kind, see `sim.engine.events.rank`."""
    request = w.sends.row[send]
    if w.terms.adds_rows:
        request = place(w.rows.request_id[request], w.terms.place_bits)
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
    w.sends.down[send] *= slowed(w.slow_links, client, now, 0)
    if is_up_through(w.cuts, w.clients.link[client], now, now + w.sends.down[send]):
        return True
    w.sends.down[send] = float("nan")
    return False


# The door.


@handler
def reach(w: Any, r: Any, s: Any, now: Any, send: Any) -> Any:
    at_once = s.idle > 0 and (s.max_batch == 1 or s.batch_wait_s == 0.0 or s.waiting + 1 >= s.max_batch)
    if s.scales and s.replicas + s.coming == 0:
        order_first(w, r, s, now)
    why, worse = 0, NOBODY
    if s.waiting >= s.limit and not at_once:
        if s.replicas > s.taken or s.when_down == QUEUE:
            if s.discipline == PRIORITY:
                worse = last_of_worse(w, s, send)
            why = QUEUE_FULL if worse < 0 else 0
        elif s.when_down == REFUSE:
            why = DOWN
        else:
            swallow(w.sends.cause, w.sends.over, now, send)
            return False
    if why == 0 and not admits(w, s, now, send):
        why = ADMISSION
    refused = send if why != 0 else NOBODY
    if why == 0 and worse >= 0:
        refused, why = push_out(w, s, worse), QUEUE_FULL
        count(s, now, -1)
        w.sends.shed[refused] = now
    if refused >= 0:
        refuse(w, r, s, now, refused, why)
    if refused == send:
        return False
    count(s, now, 1)
    append(w, s, send)
    return s.idle > 0


@handler
def refuse(w: Any, r: Any, s: Any, now: Any, send: Any, why: Any) -> Any:
    """An error goes back to the client."""
    sends = w.sends
    sends.cause[send] = why
    if w.terms.tells_backlog:
        sends.backlog[send] = s.waiting
    if not goes_down(w, now, send):
        sends.over[send] = now
        return
    sends.over[send] = now + sends.down[send]
    if is_in_time(sends.over[send], sends.timer[send]):
        put(w.events, r, sends.over[send], KEY_REPLY | rank(w, send), ERROR, send)


@handler
def admits(w: Any, s: Any, now: Any, send: Any) -> Any:
    """Whether a send that has found a place is let in."""
    if s.admission == OPEN:
        return True
    if s.admission == DEADLINE_FEASIBLE:
        usable, most = s.replicas - s.taken, s.max_batch
        if usable <= 0:
            return True
        batches = s.waiting // most + (0 if s.idle > 0 else 1)
        finish = (
            now
            + batches * w.mean[s.first_scale + most] / usable
            + w.mean[s.first_scale + s.waiting % most + 1]
        )
        return finish <= w.rows.deadline[w.sends.row[send]]
    return take(w.door, s.door, now, False)


# The queue and the replicas.


@handler
def serve(w: Any, r: Any, s: Any, now: Any) -> Any:
    """Starts every batch that may start, each on the idle replica with the lowest index."""
    replicas = w.replicas
    while s.idle > 0 and s.waiting > 0:
        if s.waiting < s.max_batch and s.batch_wait_s > 0.0:
            first = oldest(w, s)
            if w.sends.reached[first] + s.batch_wait_s > now:
                put_due(w, r, s, first)
                return
        while not replicas.is_idle[s.lowest]:
            s.lowest += 1
        form(w, s, now, s.lowest)
        if replicas.size[s.lowest] > 0:
            start(w, r, s, now, s.lowest)


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
            sends.over[send] = now
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
def start(w: Any, r: Any, s: Any, now: Any, replica: Any) -> Any:
    sends, replicas = w.sends, w.replicas
    if s.scales:
        measure(s, now)
        s.busy += 1
    replicas.is_idle[replica] = False
    s.idle -= 1
    head, size = replicas.head[replica], replicas.size[replica]
    send = head
    for _ in range(size):
        sends.started[send] = now
        sends.replica[send] = replica - s.first_replica
        sends.batch_size[send] = size
        send = w.lists.after[send]
    go_on(w, r, now, replica, batch_s(w, s, now, replica))


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
    takes = w.scale[s.first_scale + size] * w.sends.factor[head]
    if len(w.work) > 0 or w.terms.has_own_work:
        takes *= mean_work(w, head, size)
    if takes < SHORTEST_S:  # noqa: PLR1730  (plain numbers: max() takes three times as long)
        takes = SHORTEST_S
    return takes * slowed(w.slow_service, s.number, now, s.replicas - (replica - s.first_replica) - 1)


@handler
def mean_work(w: Any, head: Any, size: Any) -> Any:
    """Of the requests in a batch, added up in its order."""
    total, send = 0.0, head
    for _ in range(size):
        row = w.sends.row[send]
        one = w.rows.work[row]
        if len(w.work) > 0:
            one *= w.work[model_of(w, send) * w.terms.samples + w.rows.sample[row]]
        total += one
        send = w.lists.after[send]
    return total / size


@handler
def model_of(w: Any, send: Any) -> Any:
    """The model that an attempt asks."""
    group = w.clients.group[w.rows.client[w.sends.row[send]]]
    return w.options.model[w.groups.first_option[group] + w.sends.option[send]]


@handler
def put_completion(w: Any, r: Any, replica: Any) -> Any:
    key = KEY_COMPLETE | replica << LOST_BITS | w.replicas.lost[replica]
    put(w.events, r, w.replicas.ends[replica], key, COMPLETE, replica)


@handler
def complete(w: Any, r: Any, s: Any, now: Any, replica: Any, ended: Any) -> Any:
    sends, replicas, clients = w.sends, w.replicas, w.clients
    if ended & ((1 << LOST_BITS) - 1) != replicas.lost[replica]:
        return False  # of a batch that an outage stopped
    size, send = replicas.size[replica], replicas.head[replica]
    for _ in range(size):
        if w.terms.anyone_asks and clients.asks[w.rows.client[sends.row[send]]]:
            if not goes_down(w, now, send):
                swallow(sends.cause, sends.over, now, send)
            elif clients.hears[w.rows.client[sends.row[send]]] and is_in_time(
                now + sends.down[send], sends.timer[send]
            ):
                key = KEY_REPLY | rank(w, send)
                put(w.events, r, now + sends.down[send], key, ANSWER, send)
        sends.finished[send] = now
        if w.terms.tells_backlog:
            sends.backlog[send] = s.waiting
        send = w.lists.after[send]
    if s.scales:
        measure(s, now)
        s.busy -= whole_number(replica - s.first_replica < s.replicas - s.taken)
    count(s, now, -size)
    replicas.size[replica] = 0
    if replica - s.first_replica >= s.replicas - s.taken:  # it has outlived its place among the usable ones
        return False
    make_idle(w, s, replica)
    return s.waiting > 0


@handler
def make_idle(w: Any, s: Any, replica: Any) -> Any:
    w.replicas.is_idle[replica] = True
    s.idle += 1
    s.lowest = min(s.lowest, replica)
