"""What a price is told: of a request that it decides, and of an attempt that ended.
Between the engine, which tells it, and prices that learn from it. All of it a device knows."""

from __future__ import annotations

from typing import NamedTuple


class Request(NamedTuple):
    """A request that is decided now.

    score: by the rejector in force, or the frozen model. deadline_s: an instant, inf without one.
    client_label: what the client itself would answer. draw: a uniform number in (0, 1) of this request's own,
    for a price that says `draws`; else 0. charge: the share of its battery that the device has left, 1 on
    mains.
    """

    request_id: int
    client: int
    score: float
    arrived_at_s: float
    deadline_s: float
    client_label: int
    draw: float
    charge: float = 1.0


class Outcome(NamedTuple):
    """An attempt whose client still waited for it has ended.

    option: whom was asked; 0 where there is one. outcome: its place in `sim.results.columns.OUTCOMES`
    (remote, refused or timed_out). backlog: how many waited at the server when it sent its word, -1 without a
    word. server_label: of the version that answered, -1 without an answer; client_label: the client's own.
    """

    request_id: int
    client: int
    score: float
    option: int
    sent_at_s: float
    outcome: int
    backlog: int
    server_label: int
    client_label: int
