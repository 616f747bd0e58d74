"""The kernel's loop: agenda and heap as one sequence of events, until the end or until Python must help.
The counterpart of `sim.engine.clock`; where it comes back early it goes on where it stopped."""

from __future__ import annotations

from typing import Any

from sim.engine.board import ANSWER, ASK, CAPACITY, DUE, ERROR, GAIN, REACH, REFUSED, RETRY, TIMER
from sim.engine.kernel.capacity import change, set_limit
from sim.engine.kernel.clients import again, ask, gain, hear, time_out
from sim.engine.kernel.codes import (
    CODE_BITS,
    COMPLETE,
    DONE,
    NO_ROOM,
    NOTHING,
    RAN_BACKWARDS,
    WANTS_ATTEMPT,
    WANTS_REDRAWS,
)
from sim.engine.kernel.compiling import part, whole
from sim.engine.kernel.lookups import drop_first
from sim.engine.kernel.queue import list_all, load, oldest
from sim.engine.kernel.server import complete, count, make_idle, put_completion, put_due, reach, serve


@whole
def walk(w: Any, registers: Any) -> Any:  # noqa: PLR0912
    """Runs the events of [begin, end). w: a `World`, filled as far as `registers` say, which it keeps.

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
        if not has_room(w, r, code):
            return NO_ROOM
        if code == RETRY and w.sends.attempt[subject] + 1 > r.attempts_drawn:
            return WANTS_ATTEMPT
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


@part
def happen(w: Any, r: Any, code: Any, subject: Any, key: Any) -> Any:
    """One event; says whether the queue is to be served. What takes no time to arrive does so at once."""
    now, must_serve = r.now, False
    if code == ASK:
        code = REACH if ask(w, r, now, subject) else NOTHING
    elif code == RETRY:
        subject = again(w, r, now, subject)
        code = REACH if subject >= 0 else NOTHING
    if code == REACH:
        must_serve = reach(w, r, now, subject)
    elif code == COMPLETE:
        must_serve = complete(w, r, now, subject, key)
    elif code == TIMER:
        time_out(w, r, now, subject)
    elif code == GAIN:
        gain(w, subject)
    elif code == DUE:
        w.lists.is_due_set[subject] = False
        must_serve = True
    elif code in (ERROR, ANSWER):
        hear(w, r, now, subject, code == ANSWER, REFUSED)
    elif code == CAPACITY:
        must_serve = change(w, r, now, subject)
    return must_serve


@part
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


@part
def has_room(w: Any, r: Any, code: Any) -> Any:
    """Whether every array can take what one event may add."""
    most_events = len(w.replicas.size) + w.terms.max_batch + 4
    return (
        (code != RETRY or r.sends < len(w.sends.row))
        and r.events + most_events <= len(w.events.at)
        and r.stopped + r.inside - r.waiting <= len(w.stopped)
    )
