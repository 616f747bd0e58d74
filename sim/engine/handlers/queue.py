"""Who waits and who comes next: linked lists in order of arrival, and what each discipline keeps besides.
A discipline is what `append` notes of who comes and whom `pop_next` takes."""

from __future__ import annotations

from typing import Any

from sim.engine.events import EDF, FAIR, FIFO, LIFO
from sim.engine.handlers.primitives import drop_first, push
from sim.engine.linking import handler


@handler
def append(w: Any, r: Any, send: Any) -> Any:
    """One more waits, behind all others."""
    lists = w.lists
    lists.after[send] = -1
    if w.terms.discipline != FIFO:
        lists.before[send] = r.last
    if r.last < 0:
        r.first = send
    else:
        lists.after[r.last] = send
    r.last = send
    r.waiting += 1
    if w.terms.discipline == EDF:
        r.came += 1
        r.lined = push(lists.line, r.lined, w.rows.deadline[w.sends.row[send]], r.came, send)
    elif w.terms.discipline == FAIR:
        stand_behind_own(w, r, send)


@handler
def put_back(w: Any, r: Any, send: Any) -> Any:
    """One more waits, before all others."""
    w.lists.after[send] = r.first_returned
    r.first_returned = send
    r.returned += 1
    r.waiting += 1


@handler
def pop_next(w: Any, r: Any) -> Any:
    """Takes out the next one: whoever was put back, then by the discipline."""
    lists = w.lists
    r.waiting -= 1
    if r.returned > 0:
        send = r.first_returned
        r.first_returned = lists.after[send]
        r.returned -= 1
        return send
    if w.terms.discipline == FIFO:
        send = r.first
        r.first = lists.after[send]
        if r.first < 0:
            r.last = -1
        return send
    if w.terms.discipline == LIFO:
        send = r.last
    elif w.terms.discipline == EDF:
        send = lists.line.what[0]
        r.lined = drop_first(lists.line, r.lined)
    else:
        send = first_of_next_client(w, r)
    before, after = lists.before[send], lists.after[send]
    if before < 0:
        r.first = after
    else:
        lists.after[before] = after
    if after < 0:
        r.last = before
    else:
        lists.before[after] = before
    return send


@handler
def stand_behind_own(w: Any, r: Any, send: Any) -> Any:
    """Under `fair` each client has a line of its own."""
    lists = w.lists
    client = w.rows.client[w.sends.row[send]]
    lists.behind[send] = -1
    if lists.first_of[client] < 0:
        lists.first_of[client] = send
        r.lined = push(lists.line, r.lined, w.clients.last_started[client], client, client)
    else:
        lists.behind[lists.last_of[client]] = send
    lists.last_of[client] = send


@handler
def first_of_next_client(w: Any, r: Any) -> Any:
    """Under `fair` the oldest of the client whose last start lies furthest back, then of the lowest number.

    A client's last start only grows, so an entry that is out of date comes up too early, never too late.
    """
    lists, last_started = w.lists, w.clients.last_started
    client = lists.line.what[0]
    while lists.line.at[0] != last_started[client]:
        r.lined = drop_first(lists.line, r.lined)
        r.lined = push(lists.line, r.lined, last_started[client], client, client)
        client = lists.line.what[0]
    send = lists.first_of[client]
    lists.first_of[client] = lists.behind[send]
    if lists.first_of[client] < 0:
        r.lined = drop_first(lists.line, r.lined)
    return send


@handler
def oldest(w: Any, r: Any) -> Any:
    """The one that reached the server first of all who wait."""
    found, at = r.first_returned, r.first_returned
    for _ in range(r.returned):
        if w.sends.reached[at] < w.sends.reached[found]:
            found = at
        at = w.lists.after[at]
    if found < 0 or (r.first >= 0 and w.sends.reached[r.first] < w.sends.reached[found]):
        return r.first
    return found


@handler
def list_all(w: Any, r: Any) -> Any:
    """Writes down who waits, those put back first, then in order of arrival; the queue stays."""
    n, send = 0, r.first_returned
    for _ in range(r.returned):
        w.lists.listed[n] = send
        n, send = n + 1, w.lists.after[send]
    send = r.first
    while send >= 0:
        w.lists.listed[n] = send
        n, send = n + 1, w.lists.after[send]


@handler
def load(w: Any, r: Any) -> Any:
    """The queue as `listed` has it, `waiting` of them, the first `returned` put back."""
    returned, waiting = r.returned, r.waiting
    r.returned = r.waiting = r.lined = r.came = 0
    r.first = r.last = r.first_returned = -1
    for place in range(returned - 1, -1, -1):
        put_back(w, r, w.lists.listed[place])
    for place in range(returned, waiting):
        append(w, r, w.lists.listed[place])


@handler
def forget_all(w: Any, r: Any) -> Any:
    """Nobody waits any more."""
    if w.terms.discipline == FAIR:
        for place in range(r.lined):
            w.lists.first_of[w.lists.line.what[place]] = -1
    r.returned = r.waiting = r.lined = 0
    r.first = r.last = r.first_returned = -1
