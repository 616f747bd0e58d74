"""What happens at each event, and the loop of the compiled clock over known events and its heap.
SimPy's clock asks the same `happen`; whoever comes back early goes on where it stopped."""

from __future__ import annotations

from math import isnan
from typing import Any

from sim.engine.events import (
    ANSWER,
    ARRIVE,
    ASK,
    CAPACITY,
    CODE_BITS,
    COMPLETE,
    DONE,
    DUE,
    ERROR,
    GAIN,
    KEY_READY,
    NO_ROOM,
    NOTHING,
    RAN_BACKWARDS,
    REACH,
    READY,
    RETRY,
    SCALE,
    TIMER,
    WANTS_ATTEMPT,
    WANTS_REDRAWS,
    WANTS_REQUESTS,
)
from sim.engine.handlers.arriving import arrive
from sim.engine.handlers.autoscaling import count_busy
from sim.engine.handlers.capacity import outage_or_scaling, set_limit
from sim.engine.handlers.clients import gain, send_or_hear
from sim.engine.handlers.primitives import drop_first, put
from sim.engine.handlers.queue import list_all, load, oldest
from sim.engine.handlers.server import complete, count, make_idle, put_completion, put_due, reach, serve
from sim.engine.linking import handler


@handler
def walk(w: Any, registers: Any) -> Any:
    """Runs the events of [begin, end). w: `Arrays`, filled as far as `registers` say, which it keeps.

    Gives DONE; or what it cannot go on without: room in some array, draws of the next attempt, or others for
    the sends that were put back. RAN_BACKWARDS: an event lies before the instant that it was put there.
    """
    r, ahead, heap = registers[0], w.ahead, w.events
    if r.has_begun == 0:
        begin(w, r)
    at, key, code, subject = 0.0, 0, NOTHING, 0
    while True:
        if r.must_serve != 0:
            r.must_serve = 0
            serve(w, r, r.now)
        in_heap = r.events > 0
        if r.cursor < len(ahead.at):
            in_heap = in_heap and (
                heap.at[0] < ahead.at[r.cursor]
                or (heap.at[0] == ahead.at[r.cursor] and heap.key[0] <= ahead.key[r.cursor])
            )
        elif not (in_heap and heap.at[0] < w.terms.end):
            break
        if in_heap:
            at, key = heap.at[0], heap.key[0]
            code, subject = heap.what[0] & ((1 << CODE_BITS) - 1), heap.what[0] >> CODE_BITS
        else:
            at, key = ahead.at[r.cursor], ahead.key[r.cursor]
            code, subject = ahead.do[r.cursor], ahead.subject[r.cursor]
        why = lacks(w, r, code, subject)
        if why != DONE:
            return why
        if at < r.now:
            return RAN_BACKWARDS
        r.now = at
        if in_heap:
            r.events = drop_first(heap, r.events)
        else:
            r.cursor += 1

        r.must_serve = happen(w, r, code, subject, key)
        if r.put_back > 0:
            return WANTS_REDRAWS
    count(r, w.terms.end, 0)
    list_all(w, r)
    return DONE


@handler
def happen(w: Any, r: Any, code: Any, subject: Any, key: Any) -> Any:
    """One event; says whether the queue is to be served. What takes no time to arrive does so at once."""
    now, must_serve = r.now, False
    if code == ARRIVE:
        subject = arrive(w, r, now, subject)
        code = ASK if subject >= 0 else NOTHING
    if code in (ASK, RETRY, TIMER, ERROR, ANSWER):
        subject = send_or_hear(w, r, now, code, subject)
        code = REACH if subject >= 0 else NOTHING
    if code == REACH:
        must_serve = reach(w, r, now, subject)
    elif code == COMPLETE:
        must_serve = complete(w, r, now, subject, key)
    elif code == GAIN:
        gain(w, subject)
    elif code == DUE:
        w.lists.is_due_set[subject] = False
        must_serve = True
    elif code in (CAPACITY, SCALE, READY):
        must_serve = outage_or_scaling(w, r, now, code, subject)
    return must_serve


@handler
def begin(w: Any, r: Any) -> Any:
    """Lists, idle replicas and the ends of batches, from what the state says."""
    r.has_begun = 1
    load(w, r)
    set_limit(w, r)
    r.idle, r.lowest = 0, r.replicas
    for replica in range(len(w.replicas.size)):
        if w.replicas.size[replica] > 0:
            put_completion(w, r, replica)
        elif replica < r.replicas - r.taken:
            make_idle(w, r, replica)
    if r.idle > 0 and r.waiting > 0:  # whoever waits beside an idle replica waits for others to fill a batch
        put_due(w, r, oldest(w, r))
    if w.terms.scales:
        count_busy(w, r)
        for place in range(r.coming):
            if place == 0 or w.coming[place] > w.coming[place - 1]:
                put(w.events, r, w.coming[place], KEY_READY, READY, 0)


@handler
def lacks(w: Any, r: Any, code: Any, subject: Any) -> Any:
    """What an event could not be played for: DONE (nothing), or what the clock must come back for."""
    most_events = len(w.replicas.size) + w.terms.max_batch + 4
    if (
        (code in (RETRY, ARRIVE) and r.sends >= len(w.sends.row))
        or (code == ARRIVE and r.rows >= len(w.rows.client))
        or r.events + most_events > len(w.events.at)
        or r.stopped + r.inside - r.waiting > len(w.stopped)
        or r.steps >= len(w.steps)
    ):
        return NO_ROOM
    if code == RETRY:
        attempt = w.sends.attempt[subject]  # its number counts from 1, so this is the place of the next one
        if attempt + 1 > r.attempts_drawn or isnan(w.drawn.up[attempt, w.sends.row[subject]]):
            return WANTS_ATTEMPT
    if w.terms.adds_rows and is_short_of_requests(w, code, subject):
        return WANTS_REQUESTS
    return DONE


@handler
def is_short_of_requests(w: Any, code: Any, subject: Any) -> Any:
    """Whether what was drawn ahead for some client of a closed loop may not do for an event."""
    client = -1
    if code == ARRIVE:
        client = subject
    elif code in (ASK, ERROR, ANSWER, TIMER, RETRY):
        client = w.rows.client[w.sends.row[subject]]
    if client < 0 or w.requests.member[client] < 0:
        return False
    left = w.terms.requests - (w.clients.next_k[client] - w.requests.base[w.requests.member[client]])
    return left < 2
