"""The event loop: what happens to the sends of one chunk, from the server's door to the client's last word.
`sim.chunk` prepares and settles its columns; `tests/reference_loop.py` tells the same as a story."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

import numpy as np

from sim.clock import AgendaItem, Clock, Kind, Moment
from sim.columns import CAUSES, OUTCOMES
from sim.rules import Rules
from sim.state import ALLOWANCE_CAP, NEW_SEND, SEND_TYPES, TOKEN, Columns, State

ATTEMPT_BITS = 7

# What can happen, and its place among simultaneous events. A first send over a link without delay keeps
# the place of its decision. A retry ranks as a client timer.
CAPACITY, GAIN, REACH, DUE, ERROR, TIMER, RETRY = range(7)
# Plain integers: a heap compares them at every push, and members of an enumeration take twice as long.
_KINDS = {REACH: Kind.REACH, DUE: Kind.DUE, ERROR: Kind.REPLY, TIMER: Kind.TIMER, RETRY: Kind.TIMER}
_KIND_OF = {code: int(kind) for code, kind in _KINDS.items()}
_COMPLETE = int(Kind.COMPLETE)
REFUSALS = [CAUSES.index(cause) for cause in ("down", "queue_full", "admission")]

_DOWN, _QUEUE_FULL, _LOST = (CAUSES.index(cause) for cause in ("down", "queue_full", "lost"))
_REFUSED, _TIMED_OUT = (OUTCOMES.index(outcome) for outcome in ("refused", "timed_out"))
_ARRAY_CODE = {"i8": "q", "f8": "d", "i2": "h", "i1": "b", "?": "b"}


class Completion(Moment):
    """The end of a replica's batch, used again for its next one; a lost batch leaves a void one behind."""

    def __init__(self, callbacks: Any, replica: int, lost_before: int = 0) -> None:
        super().__init__(callbacks, replica)
        self.lost_before = lost_before
        self.rank = replica << 32 | lost_before

    def cancel(self) -> Completion:
        """Makes this one void and gives the replica a new one."""
        replica, self.subject = self.subject, -1
        return Completion(self.callbacks, replica, self.lost_before + 1)


def rank(row: Any, attempt: Any) -> Any:
    """The place of a send among events of its kind: by request (rows are sorted by it), then by attempt."""
    return row << ATTEMPT_BITS | attempt


def play(  # noqa: PLR0915
    rules: Rules, state: State, agenda: Iterable[AgendaItem], begin: float, end: float
) -> float:
    """Runs the events of [begin, end), leaves in `state` what they changed, and gives the integral of N(t).

    agenda: what is known when the chunk begins, sorted by (instant, kind, rank), all before `end`.
    `state.sends` grows by the retries. N(t) is the number of sends in the server, waiting or in service,
    counted as they come and go; whoever tabulates their stays can be checked against it.

    One function with its handlers inside: they share the columns as local variables, and look-ups on an
    object would cost a third of the loop's speed. An answer needs no event: once its batch is finished
    the instant of the reply is known, and whether the client still waits then is a comparison.
    """
    clock = Clock(begin)
    heap = clock.heap
    sends: dict[str, Any] = {
        name: array(_ARRAY_CODE[SEND_TYPES[name]], column.tobytes()) for name, column in state.sends.items()
    }
    row_of, attempt_of, reached, down = sends["row"], sends["attempt"], sends["reached"], sends["down"]
    timer, factor, started, finished = sends["timer"], sends["factor"], sends["started"], sends["finished"]
    over, replica_of, batch_size = sends["over"], sends["replica"], sends["batch_size"]
    cause, given_up, retry_at = sends["cause"], sends["given_up"], sends["retry_at"]
    request_id, client_of, deadline, outcome, resolved = _views(
        state.rows, "request_id", "client", "deadline", "outcome", "resolved"
    )
    group_of: Any = rules.clients.group.data
    allowance: Any = state.allowance.data
    patiences, service_s = rules.patience, rules.service.time
    max_batch, batch_wait_s = rules.max_batch, rules.batch_wait_s
    queue_limit, when_down = rules.queue_limit, rules.when_down
    starts_at_once = max_batch == 1 or batch_wait_s == 0.0  # then nobody waits while a replica is idle

    waiting, batch_of, usable = deque(state.waiting), state.batch_of, state.usable
    idle = [replica for replica in range(usable) if not batch_of[replica]]  # a heap: lowest index first
    due_for = -1  # the head of the queue that a DUE event was set for
    inside = len(waiting) + sum(len(batch) for batch in batch_of)
    area, counted_to = 0.0, begin

    # At the server.

    def count(now: float, change: int) -> None:
        nonlocal inside, area, counted_to
        area += inside * (now - counted_to)
        counted_to = now
        inside += change

    def reach(now: float, send: int) -> None:
        if not usable and when_down != "queue":
            if when_down == "refuse":
                refuse(now, send, _DOWN)
            else:
                swallow(now, send)
        elif starts_at_once and idle:
            count(now, 1)
            start(now, [send])
        elif len(waiting) < queue_limit or (idle and len(waiting) + 1 >= max_batch):
            count(now, 1)
            waiting.append(send)
            if idle:
                serve(now)
        else:
            refuse(now, send, _QUEUE_FULL)

    def serve(now: float) -> None:
        nonlocal due_for
        while idle and waiting:
            if len(waiting) >= max_batch:
                start(now, [waiting.popleft() for _ in range(max_batch)])
                continue
            head = waiting[0]
            due_at = reached[head] + batch_wait_s
            if due_at > now:
                if due_for != head:
                    due_for = head
                    put(due_at, DUE, head)
                return
            start(now, list(waiting))
            waiting.clear()

    def start(now: float, batch: list[int]) -> None:
        replica = heappop(idle)
        batch_of[replica] = batch
        n = len(batch)
        for send in batch:
            started[send] = now
            replica_of[send] = replica
            batch_size[send] = n
        done = completions[replica]
        heappush(heap, (now + service_s(n, factor[batch[0]]), _COMPLETE, done.rank, done))

    def complete(done: Completion) -> None:
        replica = done.subject
        if replica < 0:
            return
        now, batch = clock.now, batch_of[replica]
        count(now, -len(batch))
        for send in batch:
            finished[send] = now
        batch_of[replica] = []
        heappush(idle, replica)
        if waiting:
            serve(now)

    def swallow(now: float, send: int) -> None:
        cause[send] = _LOST
        over[send] = now

    def refuse(now: float, send: int, why: int) -> None:
        cause[send] = why
        over[send] = now + down[send]
        if over[send] <= timer[send]:
            put(over[send], ERROR, send)

    def change_capacity(now: float, to: int) -> None:
        nonlocal usable
        was, usable = usable, to
        for replica in range(was, to):
            heappush(idle, replica)
        if to < was:
            idle[:] = [replica for replica in idle if replica < to]
            heapify(idle)
        for replica in range(to, was):
            if batch_of[replica]:
                count(now, -len(batch_of[replica]))
                for send in batch_of[replica]:
                    swallow(now, send)
                batch_of[replica] = []
                completions[replica] = completions[replica].cancel()
        if not to and not rules.queue_survives:
            count(now, -len(waiting))
            for send in waiting:
                swallow(now, send)
            waiting.clear()
        serve(now)

    # At the client.

    def gain(_: float, client: int) -> None:
        allowance[client] = min(ALLOWANCE_CAP, allowance[client] + patiences[group_of[client]].allowance)

    def hear_error(now: float, send: int) -> None:
        fail(now, send, _REFUSED)

    def time_out(now: float, send: int) -> None:
        if not (given_up[send] or finished[send] + down[send] <= now):
            fail(now, send, _TIMED_OUT)

    def fail(now: float, send: int, why: int) -> None:
        given_up[send] = True
        row, attempt = row_of[send], attempt_of[send]
        client = client_of[row]
        patience = patiences[group_of[client]]
        if attempt < patience.max_attempts and (not patience.limited or allowance[client] >= TOKEN):
            at = now + patience.backoff.after(request_id[row], attempt)
            if at < deadline[row]:
                if patience.limited:
                    allowance[client] -= TOKEN
                retry_at[send] = at
                put(at, RETRY, send)
                return
        outcome[row] = why
        resolved[row] = now

    def retry(now: float, failed: int) -> None:
        row, attempt = row_of[failed], attempt_of[failed] + 1
        request = request_id[row]
        patience = patiences[group_of[client_of[row]]]
        send = len(row_of)
        arrives = now + patience.link.up_one(request, attempt)
        gives_up = min(now + patience.timeout_s, deadline[row])
        new = {
            "row": row,
            "attempt": attempt,
            "sent": now,
            "reached": arrives,
            "down": patience.link.down.one(request, attempt),
            "timer": gives_up,
            "factor": rules.service.factor_one(request, attempt),
        }
        for name, value in (new | NEW_SEND).items():
            sends[name].append(value)
        put(arrives, REACH, send)
        if gives_up < inf:
            put(gives_up, TIMER, send)

    # The walk.

    def on_due(now: float, _: int) -> None:
        serve(now)

    handlers = (change_capacity, gain, reach, on_due, hear_error, time_out, retry)
    callbacks = [[lambda moment, do=do: do(clock.now, moment.subject)] for do in handlers]
    completions = [Completion([complete], replica) for replica in range(rules.replicas)]

    def put(at: float, code: int, send: int) -> None:
        place = rank(row_of[send], attempt_of[send] + (code == RETRY))
        heappush(heap, (at, _KIND_OF[code], place, Moment(callbacks[code], send)))

    for batch, done in zip(batch_of, completions, strict=True):
        if batch:
            ends = started[batch[0]] + service_s(len(batch), factor[batch[0]])
            heappush(heap, (ends, _COMPLETE, done.rank, done))
    if idle and waiting:
        due_for = waiting[0]
        put(reached[due_for] + batch_wait_s, DUE, due_for)

    clock.walk(agenda, handlers, end)

    state.sends = {name: np.frombuffer(column, dtype=SEND_TYPES[name]) for name, column in sends.items()}
    state.waiting, state.usable = list(waiting), usable
    count(end, 0)
    return area


def _views(columns: Columns, *names: str) -> list[Any]:
    """Memory views of columns: an element costs a third of what it costs through NumPy."""
    return [columns[name].data for name in names]
