"""The clients' side of the kernel: what may be sent, what a client learns, when it gives up or tries again.
The counterpart of `sim.engine.at_clients`, `sim.engine.breakers` and `sim.engine.passage`."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from sim.engine.board import LOST, REACH, RETRY, TIMED_OUT, TIMER
from sim.engine.kernel.codes import KEY_REACH, KEY_TIMER
from sim.engine.kernel.compiling import leaf, part
from sim.engine.kernel.lookups import is_up_through, settle, slowed, take, uniform
from sim.engine.kernel.server import put, rank
from sim.engine.state import ALLOWANCE_CAP
from sim.results.columns import OUTCOMES
from sim.world.budgets import TOKEN

_OVER_BUDGET, _LINK_DOWN, _BREAKER_OPEN = (
    OUTCOMES.index(outcome) for outcome in ("over_budget", "link_down", "breaker_open")
)


@part
def gain(w: Any, client: Any) -> Any:
    """A first send earns a share of a retry token."""
    earned = w.clients.allowance[client] + w.groups.earns[w.clients.group[client]]
    w.clients.allowance[client] = min(ALLOWANCE_CAP, earned)


@part
def fail(w: Any, r: Any, now: Any, send: Any, why: Any) -> Any:
    """An attempt has failed: another one is planned, or the client falls back."""
    sends, groups = w.sends, w.groups
    row, attempt = sends.row[send], sends.attempt[send]
    client = w.rows.client[row]
    group = w.clients.group[client]
    sends.failure[send] = why
    hears(w.clients, w.groups, client, False, sends.sent[send], now)
    is_limited = groups.is_limited[group]
    if attempt < groups.max_attempts[group] and (not is_limited or w.clients.allowance[client] >= TOKEN):
        step = groups.backoff_s[group, attempt - 1]
        if groups.is_jittered[group]:
            step *= uniform(w.terms.backoff_root, w.rows.request_id[row], attempt)
        at = now + step
        if at < w.rows.deadline[row]:
            if is_limited:
                w.clients.allowance[client] -= TOKEN
            sends.retry_at[send] = at
            put(w.events, r, at, KEY_TIMER | (rank(sends, send) + 1), RETRY, send)
            return
    w.rows.outcome[row] = why
    w.rows.resolved[row] = now


@part
def hear(w: Any, r: Any, now: Any, send: Any, is_answer: Any, why: Any) -> Any:
    """A word of the server: its answer in time, or an error."""
    client = w.rows.client[w.sends.row[send]]
    if w.terms.is_held:
        settle(w.budgets, w.clients.account[client], w.sends.sent[send], now, is_answer)
    if is_answer:
        hears(w.clients, w.groups, client, True, w.sends.sent[send], now)
    else:
        fail(w, r, now, send, why)


@part
def time_out(w: Any, r: Any, now: Any, send: Any) -> Any:
    sends = w.sends
    if sends.failure[send] != 0 or sends.finished[send] + sends.down[send] <= now:
        return
    if w.terms.is_held:
        account = w.clients.account[w.rows.client[sends.row[send]]]
        settle(w.budgets, account, sends.sent[send], now, True)
    fail(w, r, now, send, TIMED_OUT)


@part
def ask(w: Any, r: Any, now: Any, send: Any) -> Any:
    """A first send that something may prevent; says whether it reaches the server at once."""
    sends, row = w.sends, w.sends.row[send]
    client = w.rows.client[row]
    why = obstacle(w, now, client)
    if why == 0:
        gain(w, client)
        return depart(w, r, now, send)
    sends.sent[send] = sends.reached[send] = nan
    sends.timer[send] = inf
    sends.over[send] = now
    w.rows.outcome[row] = why
    w.rows.resolved[row] = now
    return False


@part
def again(w: Any, r: Any, now: Any, failed: Any) -> Any:
    """The next attempt leaves; gives its number if it reaches the server at once, else -1."""
    sends, row = w.sends, w.sends.row[failed]
    client = w.rows.client[row]
    if w.clients.asks[client] and obstacle(w, now, client) != 0:
        w.rows.outcome[row] = sends.failure[failed]
        w.rows.resolved[row] = now
        return -1
    attempt, send = sends.attempt[failed] + 1, r.sends
    r.sends += 1
    sends.row[send] = row
    sends.attempt[send] = attempt
    sends.sent[send] = now
    sends.reached[send] = now + w.drawn.up[attempt - 1, row]
    sends.down[send] = w.drawn.down[attempt - 1, row]
    sends.timer[send] = min(now + w.groups.timeout_s[w.clients.group[client]], w.rows.deadline[row])
    sends.factor[send] = w.drawn.factor[attempt - 1, row]
    return send if depart(w, r, now, send) else -1


@part
def obstacle(w: Any, now: Any, client: Any) -> Any:
    """What keeps a client from sending now, as an outcome; 0: nothing, and what it takes is taken."""
    clients = w.clients
    failures = w.groups.failures[clients.group[client]]
    is_open = failures > 0 and clients.failed[client] >= failures
    if is_open and (now < clients.open_until[client] or clients.probing[client] != 0):
        return _BREAKER_OPEN
    if not is_up_through(w.cuts, clients.link[client], now, now):
        return _LINK_DOWN
    if not take(w.budgets, clients.account[client], now, w.terms.is_held):
        return _OVER_BUDGET
    if is_open:
        clients.probing[client] = 1
    return 0


@part
def depart(w: Any, r: Any, now: Any, send: Any) -> Any:
    """A send leaves, and its link may swallow it; says whether it reaches the server at once."""
    sends, row = w.sends, w.sends.row[send]
    client = w.rows.client[row]
    if sends.timer[send] < inf:
        put(w.events, r, sends.timer[send], KEY_TIMER | rank(sends, send), TIMER, send)
    longer = slowed(w.slow_links, client, now, 0)
    if longer != 1.0:
        sends.reached[send] = now + w.drawn.up[sends.attempt[send] - 1, row] * longer
    if not is_up_through(w.cuts, w.clients.link[client], now, sends.reached[send]):
        sends.reached[send] = nan
        sends.over[send] = now
        sends.cause[send] = LOST
        return False
    if sends.reached[send] > now:
        put(w.events, r, sends.reached[send], KEY_REACH | rank(sends, send), REACH, send)
        return False
    return True


@leaf
def hears(clients: Any, groups: Any, client: Any, is_success: Any, sent: Any, now: Any) -> Any:
    """Tells a client's circuit breaker; what was sent before the last cooldown ended is ignored."""
    group = clients.group[client]
    failures = groups.failures[group]
    if failures == 0 or sent < clients.open_until[client]:
        return
    clients.probing[client] = 0
    if is_success:
        clients.failed[client] = 0
        return
    clients.failed[client] = min(clients.failed[client] + 1, failures)
    if clients.failed[client] == failures:
        clients.open_until[client] = now + groups.cooldown_s[group]
