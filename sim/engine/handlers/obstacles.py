"""What keeps a client from sending: its breaker, its link, its budget. Asked by whoever sends and by whoever
chooses among options, before anything is taken."""

from __future__ import annotations

from typing import Any

from sim.engine.events import ASK, BREAKER_OPEN, LINK_DOWN, OVER_BUDGET
from sim.engine.handlers.deciding import SENDS
from sim.engine.handlers.lookups import is_up_through, settle, take
from sim.engine.handlers.primitives import whole_number
from sim.engine.linking import handler


@handler
def obstacle(w: Any, now: Any, client: Any, server: Any) -> Any:
    """What keeps a client from sending to a server now, as an outcome; 0: nothing, and budget is taken."""
    why = blocked(w, now, client, server)
    if why != 0:
        return why
    if not take(w.budgets, w.clients.account[client], now, w.constants.is_held):
        return OVER_BUDGET
    if is_open(w, client, server):
        w.clients.probing[client * w.constants.servers + server] += 1
    return 0


@handler
def kept_back(w: Any, now: Any, code: Any, attempt: Any, option: Any) -> Any:
    """The outcome of a request that something keeps its client from sending to an option, else SENDS."""
    client = w.rows.client[w.sends.row[attempt]]
    if code != ASK and not w.clients.has_obstacles[client]:
        return SENDS
    why = obstacle(w, now, client, w.options.server[w.groups.first_option[w.clients.group[client]] + option])
    if why == 0:
        return SENDS
    return why if code == ASK else whole_number(w.sends.failure[attempt])


@handler
def blocked(w: Any, now: Any, client: Any, server: Any) -> Any:
    """Whether its breaker or its link keeps it from sending, as an outcome; 0: neither."""
    mine = client * w.constants.servers + server
    if is_open(w, client, server) and (
        now < w.clients.open_until[mine]
        or w.clients.probing[mine] >= w.groups.probes[w.clients.group[client]]
    ):
        return BREAKER_OPEN
    if not is_up_through(w.cuts, w.clients.link[client], now, now):
        return LINK_DOWN
    return 0


@handler
def is_open(w: Any, client: Any, server: Any) -> Any:
    """Whether the breaker of a client for a server is open, be it that some sends may probe."""
    failures = w.groups.failures[w.clients.group[client]]
    return failures > 0 and w.clients.failed[client * w.constants.servers + server] >= failures


@handler
def forget_probe(w: Any, client: Any, server: Any, sent: Any) -> Any:
    """Of an attempt that its client waits for no more nothing is heard: if it was a probe, another may go."""
    if is_open(w, client, server):
        mine = client * w.constants.servers + server
        w.clients.probing[mine] -= sent >= w.clients.open_until[mine]


@handler
def give_up(w: Any, now: Any, client: Any, attempt: Any) -> Any:
    """Nobody waits for an attempt any more: what it has reserved stays spent."""
    if w.constants.is_held and w.clients.has_obstacles[client]:
        settle(w.budgets, w.clients.account[client], now, now, True)
    forget_probe(w, client, w.sends.server[attempt], w.sends.sent[attempt])


@handler
def tell_breaker(w: Any, client: Any, server: Any, is_success: Any, sent: Any, now: Any) -> Any:
    """Tells a client's circuit breaker; what was sent before the last cooldown ended is ignored."""
    clients, groups, group = w.clients, w.groups, w.clients.group[client]
    mine, failures = client * w.constants.servers + server, w.groups.failures[group]
    if failures == 0 or sent < clients.open_until[mine]:
        return
    if clients.failed[mine] >= failures:  # a probe
        if is_success:
            clients.passed[mine] += 1
            if clients.passed[mine] < groups.probes[group]:
                return
            clients.failed[mine] = 0
        opens = not is_success
        clients.probing[mine] = clients.passed[mine] = 0
    elif groups.window[group] > 0:
        opens = too_many_failed(w, mine, group, is_success)
    else:
        clients.failed[mine] = 0 if is_success else clients.failed[mine] + 1
        opens = clients.failed[mine] == failures
    if opens:
        clients.failed[mine] = failures
        clients.open_until[mine] = now + groups.cooldown_s[group]


@handler
def too_many_failed(w: Any, mine: Any, group: Any, is_success: Any) -> Any:
    """Notes what became of an attempt; whether so many of the last failed that the breaker opens, which
    begins anew then."""
    clients, window = w.clients, w.groups.window[group]
    recent = clients.recent[mine] << 1 & ((1 << window) - 1)
    if not is_success:
        recent |= 1
    clients.recent[mine] = recent
    clients.heard[mine] = min(clients.heard[mine] + 1, window)
    failed = 0
    for place in range(window):
        failed += recent >> place & 1
    opens = clients.heard[mine] == window and failed >= w.groups.needed[group]
    if opens:
        clients.recent[mine] = clients.heard[mine] = 0
    return opens
