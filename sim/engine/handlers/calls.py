"""Serverless servers: which of a server's instances are warm, and which of them a call goes to.
Below `server`, which starts the calls."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.engine.linking import handler


@handler
def warmest(w: Any, s: Any, now: Any) -> Any:
    """The idle instance that a call goes to: of the warm ones that with the lowest index, else of all."""
    for replica in range(s.lowest, s.first_replica + s.replicas - s.taken):
        if w.replicas.is_idle[replica] and is_warm(w, s, now, replica):
            return replica
    return s.lowest


@handler
def is_warm(w: Any, s: Any, now: Any, replica: Any) -> Any:
    """Whether a call on an instance starts at once: it is provisioned, or its last call is not long over."""
    return replica - s.first_replica < s.provisioned or now <= w.replicas.warm_until[replica]


@handler
def keep_warm(w: Any, s: Any, now: Any, replica: Any) -> Any:
    """A call is over."""
    w.replicas.warm_until[replica] = now + s.keep_alive_s


@handler
def turn_cold(w: Any, s: Any, first: Any, end: Any) -> Any:
    """An outage takes these instances."""
    for replica in range(s.first_replica + first, s.first_replica + end):
        w.replicas.warm_until[replica] = -inf
