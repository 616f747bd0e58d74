"""Sessions: which items a block has, what its last word makes of them, and when the next one begins.
A block is a request of a closed loop; `arriving` begins it, `clients` asks what follows from its end."""

from __future__ import annotations

from math import isnan
from typing import Any

from sim.engine.events import LOCAL, REMOTE
from sim.engine.handlers.primitives import whole_number
from sim.engine.linking import handler


@handler
def has_sessions(w: Any, client: Any) -> Any:
    """Whether a client's requests are blocks of items."""
    return len(w.sessions.items) > 0 and w.sessions.items[w.clients.group[client]] > 0


@handler
def begin_block(w: Any, row: Any, client: Any) -> Any:
    """A client begins with a block: what it verifies first is the first item that is not final; its device
    drafts so many behind what it has drafted."""
    sessions, drafts = w.sessions, next_drafts(w, client)
    w.rows.first_item[row], w.rows.drafts[row] = sessions.final[client], drafts
    sessions.drafted[client] += drafts
    w.rows.sample[row] = sessions.sample[place_of_item(w, client)]


@handler
def score_block(w: Any, row: Any) -> Any:
    """The score of a block is that of its first item."""
    score = w.sessions.score[place_of_item(w, w.rows.client[row])]
    if not isnan(score):  # else it is drawn by the request
        w.rows.score[row] = score


@handler
def next_drafts(w: Any, client: Any) -> Any:
    """How many items the next block drafts: as many as make the block full; or, where the last one came to
    nothing, a block's more, as far as the backlog has room. None beyond the session."""
    sessions, group = w.sessions, w.clients.group[client]
    drafted, waiting = sessions.drafted[client], sessions.drafted[client] - sessions.final[client]
    left = (sessions.final[client] // sessions.items[group] + 1) * sessions.items[group] - drafted
    if sessions.is_alone[client]:
        return min(sessions.draft[group], sessions.backlog[group] - waiting, left)
    return min(max(sessions.draft[group] - waiting, 0), left)


@handler
def device_answers(w: Any, row: Any) -> Any:
    """How many items a device answers for a request: of a block its drafts."""
    return whole_number(1 if w.rows.first_item[row] < 0 else w.rows.drafts[row])


@handler
def items_of(w: Any, row: Any) -> Any:
    """How many items a server answers of a request: of a block one more than its client drafts for one, but
    none beyond the session."""
    first = w.rows.first_item[row]
    if first < 0:
        return whole_number(1)
    group = w.clients.group[w.rows.client[row]]
    items = w.sessions.items[group]
    return min(w.sessions.draft[group] + 1, items - first % items)


@handler
def end_block(w: Any, row: Any, outcome: Any) -> Any:
    """A client has the last word on a block. Answered: its items are final up to the first on which client
    and server differ, that one included, and what was drafted behind it is taken back. Kept: all drafts are
    final. Else they wait, and the client goes on alone. A request that is no block changes nothing."""
    if w.rows.first_item[row] < 0:
        return
    sessions, client = w.sessions, w.rows.client[row]
    sessions.is_alone[client] = outcome not in (REMOTE, LOCAL)
    if outcome == LOCAL:
        sessions.final[client] = sessions.drafted[client]
    if outcome == REMOTE:
        first, items, accepted = place_of_item(w, client), items_of(w, row), 0
        while accepted < items and sessions.matches[first + accepted]:
            accepted += 1
        sessions.final[client] += min(accepted + 1, items)
        if accepted < items or sessions.drafted[client] < sessions.final[client]:
            sessions.drafted[client] = sessions.final[client]


@handler
def pause_s(w: Any, client: Any, think_s: Any) -> Any:
    """How long a client waits before its next block: for a thought, where a session is over; a while, where
    it is cut off and may draft no more; else not at all. One without sessions thinks."""
    if not has_sessions(w, client):
        return think_s
    sessions, group = w.sessions, w.clients.group[client]
    if sessions.is_alone[client]:
        return sessions.again_s[group] if next_drafts(w, client) == 0 else 0.0
    return think_s if sessions.final[client] % sessions.items[group] == 0 else 0.0


@handler
def place_of_item(w: Any, client: Any) -> Any:
    """Where what was drawn ahead for a client's first item that is not final stands."""
    return client * w.sessions.each + w.sessions.final[client] - w.sessions.base[client]


@handler
def is_short_of_items(w: Any, client: Any) -> Any:
    """Whether what was drawn ahead may not do for a block's end and the beginning of the next."""
    if not has_sessions(w, client):
        return False
    ahead = w.sessions.each - (w.sessions.final[client] - w.sessions.base[client])
    return ahead < 2 * w.sessions.draft[w.clients.group[client]] + 3
