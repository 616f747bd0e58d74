"""What keeps a client from sending: its breaker, its link, its budget. Asked by whoever sends and by whoever
chooses among options, before anything is taken."""

from __future__ import annotations

from typing import Any

from sim.engine.events import BREAKER_OPEN, LINK_DOWN, OVER_BUDGET
from sim.engine.handlers.lookups import is_up_through, take
from sim.engine.linking import handler


@handler
def obstacle(w: Any, now: Any, client: Any, server: Any) -> Any:
    """What keeps a client from sending to a server now, as an outcome; 0: nothing, and budget is taken."""
    why = blocked(w, now, client, server)
    if why != 0:
        return why
    if not take(w.budgets, w.clients.account[client], now, w.terms.is_held):
        return OVER_BUDGET
    if is_open(w, client, server):
        w.clients.probing[client * w.terms.servers + server] = 1
    return 0


@handler
def blocked(w: Any, now: Any, client: Any, server: Any) -> Any:
    """Whether its breaker or its link keeps it from sending, as an outcome; 0: neither."""
    mine = client * w.terms.servers + server
    if is_open(w, client, server) and (now < w.clients.open_until[mine] or w.clients.probing[mine] != 0):
        return BREAKER_OPEN
    if not is_up_through(w.cuts, w.clients.link[client], now, now):
        return LINK_DOWN
    return 0


@handler
def is_open(w: Any, client: Any, server: Any) -> Any:
    """Whether the breaker of a client for a server is open, be it that one send may probe."""
    failures = w.groups.failures[w.clients.group[client]]
    return failures > 0 and w.clients.failed[client * w.terms.servers + server] >= failures


@handler
def tell_breaker(w: Any, client: Any, server: Any, is_success: Any, sent: Any, now: Any) -> Any:
    """Tells a client's circuit breaker; what was sent before the last cooldown ended is ignored."""
    clients, group, mine = w.clients, w.clients.group[client], client * w.terms.servers + server
    failures = w.groups.failures[group]
    if failures == 0 or sent < clients.open_until[mine]:
        return
    clients.probing[mine] = 0
    if is_success:
        clients.failed[mine] = 0
        return
    clients.failed[mine] = min(clients.failed[mine] + 1, failures)
    if clients.failed[mine] == failures:
        clients.open_until[mine] = now + w.groups.cooldown_s[group]
