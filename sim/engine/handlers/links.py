"""Shared links: payloads come, wait or share, and pass; then they go on to the next link, or to the server.
Handlers of attempts on their way up; `clients` lets them set out."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import Any

from sim.engine.events import JOIN, KEY_REACH, PASS
from sim.engine.handlers.lookups import is_up_through
from sim.engine.handlers.primitives import drop_first, push, put, real_number
from sim.engine.handlers.server import rank, swallow
from sim.engine.handlers.work import option_of
from sim.engine.linking import handler
from sim.world import network

bits_by, passed_at = handler(network.bits_by), handler(network.passed_at)


@handler
def has_shared_links(w: Any, send: Any) -> Any:
    """Whether the way of an attempt leads over some."""
    option = option_of(w, send)
    return w.network.first[option + 1] > w.network.first[option]


@handler
def set_out(w: Any, r: Any, now: Any, send: Any) -> Any:
    """An attempt leaves over its own link, to the first of those that it shares with others; gives -1, since
    it reaches no server at once."""
    sends = w.sends
    sends.hop[send], sends.joined[send] = 0, sends.reached[send]
    sends.reached[send] = inf
    if sends.joined[send] > now:
        put(w.events, r, sends.joined[send], KEY_REACH | rank(w, send), JOIN, send)
        return -1
    join(w, r, now, send)
    return -1


@handler
def on_shared_link(w: Any, r: Any, now: Any, code: Any, send: Any) -> Any:
    """A payload comes to a link (JOIN) or has passed it (PASS); gives its attempt if that reaches its server
    at once, else -1."""
    if code == JOIN:
        join(w, r, now, send)
        return -1
    sends, net, option = w.sends, w.network, option_of(w, send)
    if not has_passed(w, r, now, send):
        return -1
    client = w.rows.client[sends.row[send]]
    if not is_up_through(w.cuts, w.clients.link[client], sends.joined[send], now):
        sends.hop[send], sends.reached[send], sends.passes[send] = -1, nan, nan
        swallow(sends.cause, sends.closed_at, now, send)
        return -1
    sends.hop[send] += 1
    sends.joined[send] = now
    if net.first[option] + sends.hop[send] < net.first[option + 1]:
        join(w, r, now, send)
        return -1
    sends.hop[send], sends.reached[send], sends.passes[send] = -1, now, nan
    return send


@handler
def has_passed(w: Any, r: Any, now: Any, send: Any) -> Any:
    """Whether a payload has passed its link, and nothing has superseded that since it was said; notes it."""
    net = w.network
    if w.sends.hop[send] < 0:
        return False
    link = link_of(w, send)
    if not net.is_shared[link]:
        if w.sends.passes[send] != now:
            return False
    elif net.due[link] != send or net.due_at[link] != now:
        return False
    else:
        leave_shared(w, r, now, link)
    passed, n = net.passed, r.passed
    passed[n, 0], passed[n, 1], passed[n, 2] = link, w.sends.joined[send], now
    passed[n, 3] = net.bits[option_of(w, send)]
    r.passed = n + 1
    return True


@handler
def link_of(w: Any, send: Any) -> Any:
    """The shared link that an attempt is at."""
    return w.network.links[w.network.first[option_of(w, send)] + w.sends.hop[send]]


@handler
def join(w: Any, r: Any, now: Any, send: Any) -> Any:
    """A payload is at a link. A queue passes it once it has passed all that came before."""
    net, link = w.network, link_of(w, send)
    bits = net.bits[option_of(w, send)]
    if net.is_shared[link]:
        share(w, now, link)
        w.sends.passes[send] = net.level[link] + bits
        stand_by(w, send, link)
        put_next(w, r, now, link)
        return
    net.level[link] = max(net.level[link], bits_by(net.lines, link, now)) + bits
    w.sends.passes[send] = max(now, passed_at(net.lines, link, net.level[link]))
    if w.sends.passes[send] < w.constants.end:  # later ones are known when the clock goes on
        put(w.events, r, w.sends.passes[send], KEY_REACH | rank(w, send), PASS, send)


# A link that payloads share: `level` is what each on it has had since it was empty.


@handler
def share(w: Any, now: Any, link: Any) -> Any:
    """Gives each payload on a link its share of what could pass since that was last counted."""
    net = w.network
    bits = bits_by(net.lines, link, now)
    if net.inside[link] > 0:
        net.level[link] += (bits - net.seen[link]) / net.inside[link]
    net.seen[link] = bits


@handler
def stand_by(w: Any, send: Any, link: Any) -> Any:
    """One more is on a link."""
    net = w.network
    net.inside[link] = push(net.line, link, net.inside[link], w.sends.passes[send], rank(w, send), send)


@handler
def put_next(w: Any, r: Any, now: Any, link: Any) -> Any:
    """Says when the next payload has passed, unless that is said already."""
    net = w.network
    if net.inside[link] == 0:
        net.level[link], net.due[link] = 0.0, -1
        return
    send, left = net.line.what[link, 0], max(0.0, net.line.at[link, 0] - net.level[link])
    at = max(now, passed_at(net.lines, link, net.seen[link] + left * net.inside[link]))
    if send == net.due[link] and at == net.due_at[link]:
        return
    net.due[link], net.due_at[link] = send, at
    if at < w.constants.end:
        put(w.events, r, at, KEY_REACH | rank(w, send), PASS, send)


@handler
def leave_shared(w: Any, r: Any, now: Any, link: Any) -> Any:
    """The first on a link has passed."""
    net = w.network
    net.level[link], net.seen[link] = real_number(net.line.at[link, 0]), bits_by(net.lines, link, now)
    net.inside[link] = drop_first(net.line, link, net.inside[link])
    put_next(w, r, now, link)


@handler
def load_shared_links(w: Any, r: Any) -> Any:
    """Who is on links that payloads share, from what the state says."""
    net = w.network
    if net.line.at.shape[1] == 0:
        return
    for send in range(r.sends):
        if w.sends.hop[send] >= 0 and not isnan(w.sends.passes[send]) and net.is_shared[link_of(w, send)]:
            stand_by(w, send, link_of(w, send))
    for link in range(len(net.is_shared)):
        if net.is_shared[link]:
            put_next(w, r, r.now, link)
