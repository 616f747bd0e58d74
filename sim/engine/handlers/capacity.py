"""Replicas that stop and start, by outages and the autoscaler, with their batches and the queue.
Handlers say whether the queue is to be served afterwards."""

from __future__ import annotations

from typing import Any

from sim.engine.events import CAPACITY, FINISH, KEY_READY, LOSE, QUEUE, READY, SCALE
from sim.engine.handlers.autoscaling import arrived, count_busy, measure, order, wanted
from sim.engine.handlers.primitives import put
from sim.engine.handlers.queue import forget_all, list_all, put_back
from sim.engine.handlers.server import count, make_idle, swallow
from sim.engine.linking import handler


@handler
def outage_or_scaling(w: Any, r: Any, now: Any, code: Any, subject: Any) -> Any:
    """Outages take so many replicas from now on; or the autoscaler looks; or what it ordered is there.

    More replicas are there after a while; fewer take no more batches and end what they have.
    """
    replicas, taken, in_flight = r.replicas, r.taken, w.terms.in_flight
    if code == CAPACITY:
        taken = subject
    else:
        in_flight = FINISH
        replicas = scaled(w, r, now, code)
        if replicas < 0:
            return False
    return change(w, r, now, replicas, taken, in_flight)


@handler
def scaled(w: Any, r: Any, now: Any, code: Any) -> Any:
    """How many replicas there are from now on; -1 if that does not change."""
    if code == SCALE:
        measure(r, now)
        target = wanted(w, r)
        if target < 0:
            return -1
        ready_at = now + w.terms.provisioning_s
        more = order(w, r, ready_at, target)
        if more <= 0:
            return target if target < r.replicas else -1
        if ready_at > now:
            put(w.events, r, ready_at, KEY_READY, READY, 0)
            return -1
    there = arrived(w, r, now)
    return r.replicas + there if there > 0 else -1


@handler
def set_limit(w: Any, r: Any) -> Any:
    """How many may wait, given how many replicas work."""
    is_open = r.replicas > r.taken or w.terms.when_down == QUEUE
    r.limit = w.terms.queue_limit if is_open else -1.0


@handler
def change(w: Any, r: Any, now: Any, replicas: Any, taken: Any, in_flight: Any) -> Any:  # noqa: PLR0912
    """Replicas stop and start, those with the highest indices; in_flight: what becomes of their batches.

    An outage that leaves nothing usable stops everything, replicas included that only end their batches.
    """
    was = max(0, r.replicas - r.taken)
    is_total = taken > r.taken and taken >= replicas
    if w.terms.scales:
        measure(r, now)
    r.replicas, r.taken = replicas, taken
    usable = max(0, replicas - taken)
    if in_flight != FINISH and (usable < was or is_total):
        last = len(w.replicas.size) if is_total else was
        stopping = 0
        for replica in range(usable, last):
            if w.replicas.size[replica] > 0:
                stopping = sort_in(w, replica, stopping)
        if stopping > 0:
            if in_flight == LOSE:
                lose_batches(w, r, now, stopping)
            else:
                put_batches_back(w, r, now, stopping)
    if usable == was:
        return False
    w.steps[r.steps, 0], w.steps[r.steps, 1] = now, usable
    r.steps += 1
    set_limit(w, r)
    for replica in range(was, usable):
        if w.replicas.size[replica] == 0:
            make_idle(w, r, replica)
    for replica in range(usable, was):
        if w.replicas.is_idle[replica]:
            w.replicas.is_idle[replica] = False
            r.idle -= 1
    if w.terms.scales:
        count_busy(w, r)
    if usable == 0 and not w.terms.queue_survives:
        lose_queue(w, r, now)
    return True


@handler
def sort_in(w: Any, replica: Any, n: Any) -> Any:
    """Adds a replica to the n that stop, by the start of their batches and then by index."""
    started, head, order = w.sends.started, w.replicas.head, w.replicas.order
    place = n
    while place > 0 and started[head[order[place - 1]]] > started[head[replica]]:
        order[place] = order[place - 1]
        place -= 1
    order[place] = replica
    return n + 1


@handler
def lose_batches(w: Any, r: Any, now: Any, stopping: Any) -> Any:
    gone = 0
    for place in range(stopping):
        gone += w.replicas.size[w.replicas.order[place]]
    count(r, now, -gone)
    for place in range(stopping):
        replica = w.replicas.order[place]
        send = w.replicas.head[replica]
        for _ in range(w.replicas.size[replica]):
            swallow(w.sends.cause, w.sends.over, now, send)
            send = w.lists.after[send]
        w.replicas.size[replica] = 0
        w.replicas.lost[replica] += 1


@handler
def put_batches_back(w: Any, r: Any, now: Any, stopping: Any) -> Any:
    """To the head of the queue in order of start; another time is drawn for each (`Context.redraw`)."""
    sends, n = w.sends, 0
    for place in range(stopping):
        replica = w.replicas.order[place]
        send = w.replicas.head[replica]
        for _ in range(w.replicas.size[replica]):
            w.stopped[r.stopped, 0] = sends.batch_size[send]
            w.stopped[r.stopped, 1] = sends.started[send]
            w.stopped[r.stopped, 2] = now
            r.stopped += 1
            sends.returns[send] += 1
            sends.started[send] = float("nan")
            sends.replica[send] = -1
            sends.batch_size[send] = 0
            w.lists.listed[n] = send
            n, send = n + 1, w.lists.after[send]
        w.replicas.size[replica] = 0
        w.replicas.lost[replica] += 1
    for place in range(n - 1, -1, -1):
        put_back(w, r, w.lists.listed[place])
    r.put_back = n if w.terms.is_redrawn else 0


@handler
def lose_queue(w: Any, r: Any, now: Any) -> Any:
    gone = r.waiting
    list_all(w, r)
    forget_all(w, r)
    count(r, now, -gone)
    for place in range(gone):
        swallow(w.sends.cause, w.sends.over, now, w.lists.listed[place])
