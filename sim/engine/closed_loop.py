"""Clients that think before they ask again: each has one request open, and arrivals are events of the loop.
`sim.engine.at_clients` says when a client has had its last word; what is decided comes from
`sim.engine.asking`."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from math import inf

import numpy as np
from numpy.typing import NDArray

from sim.engine.asking import asking
from sim.engine.at_clients import sending
from sim.engine.board import ARRIVE, ASK, ATTEMPT_BITS, Board
from sim.engine.clock import Kind, Moment
from sim.engine.learning import Learning
from sim.engine.state import State
from sim.world.parameters import Rules
from sim.world.population import CLIENT_SHIFT

Rest = Callable[[float, int], None]


def think_on(rules: Rules, state: State, rows: NDArray[np.int64]) -> None:
    """Sets when the clients of these rows ask again, their requests being settled already."""
    if not rules.has_closed_loops:
        return
    for row in rows.tolist():
        client = int(state.rows["client"][row])
        think = rules.thinks[rules.clients.group[client]]
        if think is not None:
            after = float(state.rows["resolved"][row])
            state.next_at[client] = after + think.before(client << CLIENT_SHIFT | int(state.next_k[client]))


def closed_loops(board: Board, learning: Learning, end: float) -> Rest | None:
    """Handles the arrivals of a piece that ends at `end`; gives `rest(now, row)`, called with each last word.

    None where no client waits for an answer before it asks again.
    """
    rules, state, clock = board.rules, board.state, board.clock
    if not rules.has_closed_loops:
        return None
    callbacks, handlers, put = board.callbacks[ARRIVE], board.handlers, board.put
    ask, send = asking(rules, learning, state), sending(board)
    (client_of,) = board.rows("client")
    group_of = rules.clients.group.tolist()
    next_at, next_k, device_free = (
        board.view(one) for one in (state.next_at, state.next_k, state.device_free)
    )

    def rest(now: float, row: int) -> None:
        client = client_of[row]
        think = rules.thinks[group_of[client]]
        if think is None:
            return
        request_id = client << CLIENT_SHIFT | next_k[client]
        at = next_at[client] = now + think.before(request_id)
        if at < end:
            moment = Moment(callbacks, client)
            heappush(clock.heap, (at, int(Kind.ARRIVAL), request_id << ATTEMPT_BITS, moment))

    def arrive(now: float, client: int) -> None:
        decided = now + rules.inference_s[group_of[client]]
        request_id = client << CLIENT_SHIFT | next_k[client]
        next_k[client] += 1
        next_at[client], device_free[client] = inf, decided
        one = ask(request_id, client, now, decided, decided < end)  # else the next piece decides
        row = board.add_row(one)
        if one["resolved"] == one["resolved"]:
            rest(decided, row)
        elif decided < end:
            first = send(decided, row, 1)
            if decided > now:
                put(decided, ASK, first)
            else:  # what takes no time happens at the place of its cause
                handlers[ASK](now, first)

    board.handle(ARRIVE, arrive)
    return rest
