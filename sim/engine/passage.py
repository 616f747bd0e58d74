"""Over links that outages cut or slow down: which messages arrive, and when.
Used only for worlds in which some link may fail; elsewhere a message always takes what was drawn for it."""

from __future__ import annotations

from collections.abc import Callable
from math import nan

from sim.engine.board import LOST, Board


def uplink(board: Board) -> Callable[[float, int], bool]:
    """`goes_up(now, send)`: sets when a send that leaves now reaches the server; False if it is swallowed."""
    rules, links = board.rules, board.rules.links
    row_of, attempt_of, reached = board.columns("row", "attempt", "reached")
    over, cause = board.columns("over", "cause")
    client_of, request_id = board.rows("client", "request_id")

    def goes_up(now: float, send: int) -> bool:
        row = row_of[send]
        client = client_of[row]
        longer = links.factor(client, now)
        if longer != 1.0:
            delays = rules.patience[rules.clients.group[client]].link
            reached[send] = now + delays.up_one(request_id[row], attempt_of[send]) * longer
        if links.downtime(client).is_up_through(now, reached[send]):
            return True
        reached[send], over[send], cause[send] = nan, now, LOST
        return False

    return goes_up


def downlink(board: Board) -> Callable[[float, int], bool]:
    """`goes_down(now, send)`: sets how long the server's word takes back; False if it is swallowed."""
    links = board.rules.links
    row_of, down = board.columns("row", "down")
    (client_of,) = board.rows("client")

    def goes_down(now: float, send: int) -> bool:
        client = client_of[row_of[send]]
        down[send] *= links.factor(client, now)
        if links.downtime(client).is_up_through(now, now + down[send]):
            return True
        down[send] = nan
        return False

    return goes_down
