"""Replicas of a server that stop and start, by outages and the autoscaler, with their batches and the queue.
Handlers say whether the queue is to be served afterwards."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

from sim.engine.events import CAPACITY, FINISH, KEY_READY, LOSE, QUEUE, READY, REQUEUE, RESTART, SCALE
from sim.engine.handlers.autoscaling import arrived, count_busy, measure, order, wanted
from sim.engine.handlers.calls import turn_cold
from sim.engine.handlers.loading import come_back, load_model, lose_memory
from sim.engine.handlers.pipelines import empty
from sim.engine.handlers.primitives import put
from sim.engine.handlers.queue import forget_all, list_all, put_back
from sim.engine.handlers.server import batch_s, count, go_on, make_usable, swallow
from sim.engine.linking import handler


@handler
def outage_or_scaling(w: Any, r: Any, s: Any, now: Any, code: Any, taken_then: Any) -> Any:
    """Outages take so many replicas from now on; or the autoscaler looks; or what it ordered is there.

    More replicas are there after a while; fewer take no more batches and end what they have.
    """
    replicas, taken, in_flight = s.replicas, s.taken, s.in_flight
    if code == CAPACITY:
        taken = taken_then
    else:
        in_flight = FINISH
        replicas = scaled(w, r, s, now, code)
        if replicas < 0:
            return False
    return change(w, r, s, now, replicas, taken, in_flight)


@handler
def scaled(w: Any, r: Any, s: Any, now: Any, code: Any) -> Any:
    """How many replicas there are from now on; -1 if that does not change."""
    if code == SCALE:
        measure(s, now)
        target = wanted(w, s, now)
        if target < 0:
            return -1
        ready_at = now + s.provisioning_s
        more = order(w, s, ready_at, target)
        if more <= 0:
            return target if target < s.replicas else -1
        if ready_at > now:
            put(w.events, r, ready_at, KEY_READY | s.number << 1, READY, s.number)
            return -1
    there = arrived(w, s, now)
    return s.replicas + there if there > 0 else -1


@handler
def set_limit(s: Any) -> Any:
    """How many may wait, given how many replicas work."""
    is_open = s.replicas > s.taken or s.when_down == QUEUE
    s.limit = s.queue_limit if is_open else -1.0


@handler
def change(w: Any, r: Any, s: Any, now: Any, replicas: Any, taken: Any, in_flight: Any) -> Any:  # noqa: PLR0912
    """Replicas stop and start, those with the highest indices; in_flight: what becomes of their batches.

    An outage that leaves nothing usable stops everything, replicas included that only end their batches.
    """
    was = max(0, s.replicas - s.taken)
    is_total = taken > s.taken and taken >= replicas
    held, thrown_away_s = s.held, 0.0
    if s.scales:
        measure(s, now)
    s.replicas, s.taken = replicas, taken
    usable = max(0, replicas - taken)
    from_replica, was_to = s.first_replica + usable * s.stages, s.first_replica + was * s.stages
    if in_flight != FINISH and (usable < was or is_total):
        last = s.first_replica + s.room if is_total else was_to
        stopping = 0
        for replica in range(from_replica, last):
            if w.replicas.size[replica] > 0 and isnan(w.replicas.left[replica]):
                stopping = sort_in(w, replica, stopping)
        if stopping > 0:
            if in_flight == LOSE:
                lose_batches(w, s, now, stopping)
            elif in_flight == REQUEUE:
                put_batches_back(w, r, s, now, stopping)
            else:
                thrown_away_s = hold_batches(w, s, now, stopping)
        if s.stages > 1:
            empty(w, from_replica, last)
    if s.held > 0:
        release_batches(w, r, s, now, usable)
    if usable != was or s.held != held:
        w.steps[r.steps, 0], w.steps[r.steps, 1], w.steps[r.steps, 2] = now, usable, s.number
        w.steps[r.steps, 3], w.steps[r.steps, 4] = s.held, thrown_away_s
        r.steps += 1
    if usable == was:
        return False
    set_limit(s)
    for replica in range(was_to, from_replica):
        if s.swaps:
            come_back(w, s, replica)
        make_usable(w, s, replica)
    for replica in range(from_replica, was_to):
        if w.replicas.is_idle[replica]:
            w.replicas.is_idle[replica] = False
            s.idle -= 1
    if s.scales:
        count_busy(w, s)
    if s.is_serverless:
        turn_cold(w, s, usable, was)
    if usable == 0 and not s.queue_survives:
        lose_queue(w, s, now)
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
def lose_batches(w: Any, s: Any, now: Any, stopping: Any) -> Any:
    gone = 0
    for place in range(stopping):
        gone += w.replicas.size[w.replicas.order[place]]
    count(s, now, -gone)
    for place in range(stopping):
        replica = w.replicas.order[place]
        send = w.replicas.head[replica]
        for _ in range(w.replicas.size[replica]):
            swallow(w.sends.cause, w.sends.closed_at, now, send)
            send = w.lists.after[send]
        w.replicas.size[replica] = 0
        w.replicas.lost[replica] += 1


@handler
def put_batches_back(w: Any, r: Any, s: Any, now: Any, stopping: Any) -> Any:
    """To the head of the queue in order of start; another time is drawn for each (`Context.redraw`)."""
    sends, n = w.sends, 0
    for place in range(stopping):
        replica = w.replicas.order[place]
        send = w.replicas.head[replica]
        for _ in range(w.replicas.size[replica]):
            w.stopped[r.stopped, 0] = sends.batch_size[send]
            w.stopped[r.stopped, 1] = sends.started[send]
            w.stopped[r.stopped, 2] = now
            w.stopped[r.stopped, 3] = s.number
            r.stopped += 1
            sends.returns[send] += 1
            sends.model[send] = -1
            sends.started[send] = float("nan")
            sends.replica[send] = -1
            sends.batch_size[send] = 0
            w.lists.listed[n] = send
            n, send = n + 1, w.lists.after[send]
        w.replicas.size[replica] = 0
        w.replicas.lost[replica] += 1
    for place in range(n - 1, -1, -1):
        put_back(w, s, w.lists.listed[place])
    r.put_back = n if s.is_redrawn else 0


@handler
def hold_batches(w: Any, s: Any, now: Any, stopping: Any) -> Any:
    """Batches stand still with their replicas; gives the seconds of work that starting over throws away."""
    thrown_away_s = 0.0
    for place in range(stopping):
        replica = w.replicas.order[place]
        w.replicas.left[replica] = w.replicas.ends[replica] - now
        w.replicas.lost[replica] += 1
        if s.in_flight == RESTART:
            thrown_away_s += now - w.replicas.since[replica]
    s.held += stopping
    return thrown_away_s


@handler
def release_batches(w: Any, r: Any, s: Any, now: Any, usable: Any) -> Any:
    """Those go on whose replica is usable again; or was scaled in meanwhile, once anything is usable."""
    for place in range(s.room):
        replica = s.first_replica + place
        left = w.replicas.left[replica]
        if not isnan(left) and (place < usable or (usable > 0 and place >= s.replicas)):
            if s.in_flight == RESTART:
                left = batch_s(w, s, now, replica)
                if s.swaps:
                    lose_memory(w, s, replica, -1)
                    left += load_model(w, s, now, replica)
            w.replicas.left[replica] = nan
            s.held -= 1
            go_on(w, r, now, replica, left)


@handler
def lose_queue(w: Any, s: Any, now: Any) -> Any:
    gone = s.waiting
    list_all(w, s, 0)
    forget_all(w, s)
    count(s, now, -gone)
    for place in range(gone):
        swallow(w.sends.cause, w.sends.closed_at, now, w.lists.listed[place])
