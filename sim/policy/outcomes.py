"""What a price hears of an attempt that ended.
Between the engine, which tells it, and prices that learn from it."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """An attempt whose client still waited for it has ended.

    option: whom was asked; 0 where there is one. outcome: its place in `sim.results.columns.OUTCOMES`
    (remote, refused or timed_out). backlog: how many waited at the server when it sent its word, -1 without a
    word. server_label: of the version that answered, -1 without an answer; client_label: the client's own.
    """

    request_id: int
    score: float
    option: int
    sent_at_s: float
    outcome: int
    backlog: int
    server_label: int
    client_label: int
