"""Replicas that stop and start in the kernel, and what becomes of their batches and of the queue.
The counterpart of `sim.engine.replicas`."""

from __future__ import annotations

from typing import Any

from sim.engine.kernel.codes import FINISH, LOSE, QUEUE
from sim.engine.kernel.compiling import part
from sim.engine.kernel.queue import forget_all, list_all, put_back
from sim.engine.kernel.server import count, make_idle, swallow


@part
def set_limit(w: Any, r: Any) -> Any:
    """How many may wait, given how many replicas work."""
    is_open = r.replicas > r.taken or w.terms.when_down == QUEUE
    r.limit = w.terms.queue_limit if is_open else -1.0


@part
def change(w: Any, r: Any, now: Any, taken: Any) -> Any:
    """Outages take so many replicas from now on; says whether the queue is to be served."""
    was = max(0, r.replicas - r.taken)
    r.taken = taken
    usable = max(0, r.replicas - taken)
    if usable == was:
        return False
    w.steps[r.steps, 0], w.steps[r.steps, 1] = now, usable
    r.steps += 1
    set_limit(w, r)
    for replica in range(was, usable):
        if w.replicas.size[replica] == 0:
            make_idle(w, r, replica)
    stopping = 0
    for replica in range(usable, was):
        if w.replicas.is_idle[replica]:
            w.replicas.is_idle[replica] = False
            r.idle -= 1
        elif w.terms.in_flight != FINISH:
            stopping = sort_in(w, replica, stopping)
    if stopping > 0:
        if w.terms.in_flight == LOSE:
            lose_batches(w, r, now, stopping)
        else:
            put_batches_back(w, r, now, stopping)
    if usable == 0 and not w.terms.queue_survives:
        lose_queue(w, r, now)
    return True


@part
def sort_in(w: Any, replica: Any, n: Any) -> Any:
    """Adds a replica to the n that stop, by the start of their batches and then by index."""
    started, head, order = w.sends.started, w.replicas.head, w.replicas.order
    place = n
    while place > 0 and started[head[order[place - 1]]] > started[head[replica]]:
        order[place] = order[place - 1]
        place -= 1
    order[place] = replica
    return n + 1


@part
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


@part
def put_batches_back(w: Any, r: Any, now: Any, stopping: Any) -> Any:
    """To the head of the queue in order of start; another time is drawn for each (see `Stretch.redraw`)."""
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


@part
def lose_queue(w: Any, r: Any, now: Any) -> Any:
    gone = r.waiting
    list_all(w, r)
    forget_all(r)
    count(r, now, -gone)
    for place in range(gone):
        swallow(w.sends.cause, w.sends.over, now, w.lists.listed[place])
