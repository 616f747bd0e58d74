"""What happens at each event, and the loop of the compiled clock over known events and its heap.
SimPy's clock asks the same `happen`; whoever comes back early goes on where it stopped."""

from __future__ import annotations

from math import isnan
from typing import Any

from sim.engine.events import (
    ANSWER,
    ARRIVE,
    ASK,
    BEGIN,
    CAPACITY,
    CODE_BITS,
    COMPLETE,
    DONE,
    DUE,
    ERROR,
    GAIN,
    HEDGE,
    INTAKE,
    JOIN,
    KEY_READY,
    NO_ROOM,
    NOBODY,
    NOTHING,
    PASS,
    RAN_BACKWARDS,
    REACH,
    READY,
    RETRY,
    SCALE,
    TAKEN_BITS,
    TIMER,
    UNBATCH,
    UPLOAD,
    WANTS_ATTEMPT,
    WANTS_REDRAWS,
    WANTS_REQUESTS,
)
from sim.engine.handlers.arriving import come
from sim.engine.handlers.autoscaling import count_busy
from sim.engine.handlers.batching import load_collected
from sim.engine.handlers.capacity import outage_or_scaling, set_limit
from sim.engine.handlers.clients import gain, send_or_hear
from sim.engine.handlers.door import reach
from sim.engine.handlers.heeding import last_of, means_something
from sim.engine.handlers.links import load_shared_links, on_shared_link
from sim.engine.handlers.primitives import drop_first, put, whole_number
from sim.engine.handlers.queue import list_all, load, oldest
from sim.engine.handlers.server import (
    begin_pipelines,
    complete,
    count,
    make_idle,
    put_completion,
    put_due,
    serve,
    take_in,
)
from sim.engine.handlers.sessions import is_short_of_items
from sim.engine.handlers.transmitting import transmit
from sim.engine.linking import handler


@handler
def walk(w: Any, registers: Any, stations: Any) -> Any:
    """Runs the events of [begin, end). w: `Arrays`, filled as far as `registers` and `stations` say, which it
    keeps.

    Gives DONE; or what it cannot go on without: room in some array, draws of the next attempt, or others for
    the sends that were put back. RAN_BACKWARDS: an event lies before the instant that it was put there.
    """
    r, ahead, heap = registers[0], w.ahead, w.events
    if r.has_begun == 0:
        begin(w, r, stations)
    at, key, code, subject = 0.0, 0, NOTHING, 0
    while True:
        if r.must_serve >= 0:
            waits_for = r.must_serve
            r.must_serve = -1
            serve(w, r, stations[waits_for], r.now)
        in_heap = r.events > 0
        if r.cursor < len(ahead.at):
            in_heap = in_heap and (
                heap.at[0, 0] < ahead.at[r.cursor]
                or (heap.at[0, 0] == ahead.at[r.cursor] and heap.key[0, 0] <= ahead.key[r.cursor])
            )
        elif not (in_heap and heap.at[0, 0] < w.constants.end):
            break
        if in_heap:
            at, key = heap.at[0, 0], heap.key[0, 0]
            code, subject = heap.what[0, 0] & ((1 << CODE_BITS) - 1), heap.what[0, 0] >> CODE_BITS
        else:
            at, key = ahead.at[r.cursor], ahead.key[r.cursor]
            code, subject = ahead.do[r.cursor], ahead.subject[r.cursor]
        why = lacks(w, r, stations, code, subject)
        if why != DONE:
            return why
        if at < r.now:
            return RAN_BACKWARDS
        r.now = at
        if in_heap:
            r.events = drop_first(heap, 0, r.events)
        else:
            r.cursor += 1

        r.must_serve = happen(w, r, stations, code, subject, key)
        if r.put_back > 0:
            return WANTS_REDRAWS
    finish(w, stations)
    return DONE


@handler
def happen(w: Any, r: Any, stations: Any, code: Any, subject: Any, key: Any) -> Any:
    """One event; gives the server whose queue is to be served, else -1. What takes no time to arrive does so
    at once."""
    now, must_serve = r.now, NOBODY
    if code in (ARRIVE, BEGIN):
        subject = come(w, r, now, code, subject)
        code = ASK if subject >= 0 else NOTHING
    if code in (ASK, RETRY, HEDGE, UPLOAD, TIMER, ERROR, ANSWER):
        # Most timers do not concern anybody any more.
        concerns, attempt = code == UPLOAD or means_something(w, now, code, subject), subject
        is_decided = code == ASK and w.constants.batch > 0
        subject = send_or_hear(w, r, now, code, subject) if concerns else NOBODY
        code = REACH if subject >= 0 else NOTHING
        if is_decided and code == NOTHING:  # what its client has collected may leave
            code, subject = ASK, attempt
    if code in (ASK, UNBATCH):
        transmit(w, r, now, code, subject)
    if code in (JOIN, PASS):
        subject = on_shared_link(w, r, now, code, subject)
        code = REACH if subject >= 0 else NOTHING
    if code == REACH:
        must_serve = reach_server(w, r, stations, now, subject, key)
    elif code == COMPLETE:
        must_serve = complete_batch(w, r, stations, now, subject, key)
    elif code == INTAKE:
        server = w.replicas.server[subject]
        must_serve = server if take_in(w, stations[server], now, subject) else NOBODY
    elif code == GAIN:
        gain(w, subject)
    elif code == DUE:
        must_serve = whole_number(w.sends.server[subject])
    elif code in (CAPACITY, SCALE, READY):
        server = subject >> TAKEN_BITS if code == CAPACITY else subject
        if outage_or_scaling(w, r, stations[server], now, code, subject & ((1 << TAKEN_BITS) - 1)):
            must_serve = server
    return must_serve


@handler
def reach_server(w: Any, r: Any, stations: Any, now: Any, send: Any, _key: Any) -> Any:
    """An attempt is there; gives its server if the queue is to be served, else -1."""
    server = whole_number(w.sends.server[send])
    return server if reach(w, r, stations[server], now, send) else NOBODY


@handler
def complete_batch(w: Any, r: Any, stations: Any, now: Any, replica: Any, key: Any) -> Any:
    """A batch ends; gives the replica's server if the queue is to be served, else -1."""
    server = w.replicas.server[replica]
    return server if complete(w, r, stations[server], now, replica, key) else NOBODY


@handler
def begin(w: Any, r: Any, stations: Any) -> Any:
    """Lists, idle replicas and the ends of batches, from what the state says."""
    r.has_begun = 1
    load_shared_links(w, r)
    if w.constants.batch > 0 or w.constants.at_once > 1:
        load_collected(w, r)
    listed = 0
    for number in range(w.constants.servers):
        s = stations[number]
        listed = load(w, s, listed)
        set_limit(s)
        s.idle, s.lowest = 0, s.first_replica + s.room
        for place in range(s.room):
            replica = s.first_replica + place
            if w.replicas.size[replica] > 0:
                if isnan(w.replicas.left[replica]):
                    put_completion(w, r, replica)
            elif s.stages == 1 and place < s.replicas - s.taken:
                make_idle(w, s, replica)
        if s.stages > 1:
            begin_pipelines(w, r, s)
        if s.idle > 0 and s.waiting > 0:  # whoever waits beside an idle replica waits for a batch to fill
            put_due(w, r, s, oldest(w, s))
        if s.scales:
            count_busy(w, s)
            for place in range(s.first_coming, s.first_coming + s.coming):
                if place == s.first_coming or w.coming[place] > w.coming[place - 1]:
                    put(w.events, r, w.coming[place], KEY_READY | number << 1, READY, number)


@handler
def finish(w: Any, stations: Any) -> Any:
    """The end of the stretch: integrals are complete, queues listed."""
    listed = 0
    for number in range(w.constants.servers):
        count(stations[number], w.constants.end, 0)
        listed = list_all(w, stations[number], listed)


@handler
def lacks(w: Any, r: Any, stations: Any, code: Any, subject: Any) -> Any:
    """What an event could not be played for: DONE (nothing), or what the clock must come back for."""
    most_events = len(w.replicas.size) + w.constants.max_batch + 2 * w.constants.batch + 4
    if (
        (code in (RETRY, HEDGE, ARRIVE, BEGIN) and r.sends >= len(w.sends.row))
        or (code == ARRIVE and r.rows >= len(w.rows.client))
        or r.events + most_events > w.events.at.shape[1]
        or (code in (CAPACITY, SCALE, READY) and r.steps >= len(w.steps))
        or (code == PASS and r.passed >= len(w.network.passed))
    ):
        return NO_ROOM
    if code == CAPACITY:
        s = stations[subject >> TAKEN_BITS]
        if r.stopped + s.inside - s.waiting > len(w.stopped):
            return NO_ROOM
    if code in (RETRY, HEDGE, UPLOAD):
        # The number of the last one counts from 1, so it is the place of the next.
        attempt = w.sends.attempt[subject] - 1 if code == UPLOAD else last_of(w, subject)
        if attempt + 1 > r.attempts_drawn or isnan(
            w.drawn.uplink_s[attempt * w.constants.ways, w.sends.row[subject]]
        ):
            return WANTS_ATTEMPT
    if w.constants.adds_rows and is_short_of_requests(w, code, subject):
        return WANTS_REQUESTS
    return DONE


@handler
def is_short_of_requests(w: Any, code: Any, subject: Any) -> Any:
    """Whether what was drawn ahead for some client of a closed loop may not do for an event."""
    client = -1
    if code == ARRIVE:
        client = subject
    elif code in (ASK, ERROR, ANSWER, TIMER, RETRY, HEDGE, UPLOAD, UNBATCH):
        client = w.rows.client[w.sends.row[subject]]
    if client < 0 or w.requests.member[client] < 0:
        return False
    left = w.constants.requests - (w.clients.next_k[client] - w.requests.base[w.requests.member[client]])
    return left < 2 or is_short_of_items(w, client)
