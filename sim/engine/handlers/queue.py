"""Who waits at a server and who comes next: linked lists in order of arrival, and what each discipline keeps.
A discipline is what `append` notes of who comes and whom `pop_next` takes."""

from __future__ import annotations

from math import inf, isnan
from typing import Any

from sim.engine.events import FAIR, FIFO, LIFO, NOBODY
from sim.engine.handlers.primitives import drop_first, move, push, real_number, whole_number
from sim.engine.handlers.work import work_of
from sim.engine.linking import handler
from sim.registry.disciplines import Waiting


@handler
def append(w: Any, s: Any, send: Any) -> Any:
    """One more waits, behind all others."""
    lists = w.lists
    lists.after[send] = -1
    if s.discipline != FIFO:
        lists.before[send] = s.last
    if s.last < 0:
        s.first = send
    else:
        lists.after[s.last] = send
    s.last = send
    s.waiting += 1
    if s.discipline == FAIR:
        stand_behind_own(w, s, send)
    elif s.ranked_by >= 0:
        s.came += 1
        s.lined = push(lists.line, s.number, s.lined, rank_among_waiting(w, s, send), s.came, send)


@handler
def put_back(w: Any, s: Any, send: Any) -> Any:
    """One more waits, before all others."""
    w.lists.after[send] = s.first_returned
    s.first_returned = send
    s.returned += 1
    s.waiting += 1


@handler
def pop_next(w: Any, s: Any) -> Any:
    """Takes out the next one: whoever was put back, then by the discipline."""
    lists = w.lists
    s.waiting -= 1
    if s.returned > 0:
        send = s.first_returned
        s.first_returned = lists.after[send]
        s.returned -= 1
        return send
    if s.discipline == FIFO:
        send = s.first
        s.first = lists.after[send]
        if s.first < 0:
            s.last = -1
        return send
    if s.discipline == LIFO:
        send = s.last
    elif s.ranked_by >= 0:
        send = lists.line.what[s.number, 0]
        s.lined = drop_first(lists.line, s.number, s.lined)
    else:
        send = first_of_next_client(w, s)
    unlink(lists, s, send)
    return send


@handler
def unlink(lists: Any, s: Any, send: Any) -> Any:
    """Takes one out of the list in order of arrival."""
    before, after = lists.before[send], lists.after[send]
    if before < 0:
        s.first = after
    else:
        lists.after[before] = after
    if after < 0:
        s.last = before
    else:
        lists.before[after] = before


@handler
def rank_among_waiting(w: Any, s: Any, send: Any) -> Any:
    """By the server's discipline; what is no number ranks last."""
    row = w.sends.row[send]
    client = w.rows.client[row]
    waiting = Waiting(
        whole_number(client),
        whole_number(w.sends.attempt[send]),
        real_number(w.rows.arrived[row]),
        real_number(w.sends.reached[send]),
        real_number(w.rows.deadline[row]),
        real_number(w.groups.priority[w.clients.group[client]]),
        real_number(work_of(w, send)),
    )
    found = w.functions.rank_waiting[s.ranked_by](waiting)
    return inf if isnan(found) else found


@handler
def last_of_worse(w: Any, s: Any, send: Any) -> Any:
    """The place in the line of whoever came last of those that rank worst there, if that is worse than this
    one; else -1. Who was put back stands in no line."""
    line, n, place = w.lists.line, s.number, NOBODY
    for other in range(s.lined):
        if (
            place < 0
            or line.at[n, other] > line.at[n, place]
            or (line.at[n, other] == line.at[n, place] and line.key[n, other] > line.key[n, place])
        ):
            place = other
    if place >= 0 and line.at[n, place] > rank_among_waiting(w, s, send):
        return place
    return NOBODY


@handler
def push_out(w: Any, s: Any, place: Any) -> Any:
    """Takes whoever stands at a place of the line out of the queue; gives it."""
    line, send = w.lists.line, w.lists.line.what[s.number, place]
    while place > 0:
        above = (place - 1) >> 1
        move(line, s.number, above, place)
        place = above
    s.lined = drop_first(line, s.number, s.lined)
    unlink(w.lists, s, send)
    s.waiting -= 1
    return send


@handler
def stand_behind_own(w: Any, s: Any, send: Any) -> Any:
    """Under `fair` each client has a line of its own."""
    lists = w.lists
    client = s.first_client + w.rows.client[w.sends.row[send]]
    lists.behind[send] = -1
    if lists.first_of[client] < 0:
        lists.first_of[client] = send
        s.lined = push(lists.line, s.number, s.lined, w.clients.last_started[client], client, client)
    else:
        lists.behind[lists.last_of[client]] = send
    lists.last_of[client] = send


@handler
def first_of_next_client(w: Any, s: Any) -> Any:
    """Under `fair` the oldest of the client whose last start lies furthest back, then of the lowest number.

    A client's last start only grows, so an entry that is out of date comes up too early, never too late.
    """
    lists, last_started = w.lists, w.clients.last_started
    client = lists.line.what[s.number, 0]
    while lists.line.at[s.number, 0] != last_started[client]:
        s.lined = drop_first(lists.line, s.number, s.lined)
        s.lined = push(lists.line, s.number, s.lined, last_started[client], client, client)
        client = lists.line.what[s.number, 0]
    send = lists.first_of[client]
    lists.first_of[client] = lists.behind[send]
    if lists.first_of[client] < 0:
        s.lined = drop_first(lists.line, s.number, s.lined)
    return send


@handler
def oldest(w: Any, s: Any) -> Any:
    """The one that reached the server first of all who wait."""
    found, at = s.first_returned, s.first_returned
    for _ in range(s.returned):
        if w.sends.reached[at] < w.sends.reached[found]:
            found = at
        at = w.lists.after[at]
    if found < 0 or (s.first >= 0 and w.sends.reached[s.first] < w.sends.reached[found]):
        return s.first
    return found


@handler
def list_all(w: Any, s: Any, n: Any) -> Any:
    """Writes down who waits behind the first n of `listed`, those put back first, then in order of arrival;
    the queue stays. Gives how many are listed now."""
    send = s.first_returned
    for _ in range(s.returned):
        w.lists.listed[n] = send
        n, send = n + 1, w.lists.after[send]
    send = s.first
    while send >= 0:
        w.lists.listed[n] = send
        n, send = n + 1, w.lists.after[send]
    return n


@handler
def load(w: Any, s: Any, n: Any) -> Any:
    """The queue as `listed` has it behind the first n, `waiting` of them, the first `returned` put back;
    gives how many were listed for this server and those before."""
    returned, waiting = s.returned, s.waiting
    s.returned = s.waiting = s.lined = s.came = 0
    s.first = s.last = s.first_returned = -1
    for place in range(n + returned - 1, n - 1, -1):
        put_back(w, s, w.lists.listed[place])
    for place in range(n + returned, n + waiting):
        append(w, s, w.lists.listed[place])
    return n + waiting


@handler
def forget_all(w: Any, s: Any) -> Any:
    """Nobody waits any more."""
    if s.discipline == FAIR:
        for place in range(s.lined):
            w.lists.first_of[w.lists.line.what[s.number, place]] = -1
    s.returned = s.waiting = s.lined = 0
    s.first = s.last = s.first_returned = -1
