"""The clients: what they may send, what they learn, when they give up or try again, and when they ask next.
Handlers of attempts; a first one is decided by `deciding` where that is not known beforehand."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from sim.engine.events import (
    ARRIVE,
    ASK,
    HEDGE,
    KEY_ARRIVAL,
    KEY_HEDGE,
    KEY_REACH,
    KEY_TIMER,
    LOST,
    NO_POWER,
    REACH,
    REFUSED,
    REMOTE,
    RETRY,
    TIMED_OUT,
    TIMER,
    UPLOAD,
)
from sim.engine.handlers.batching import hold
from sim.engine.handlers.choosing import choose
from sim.engine.handlers.deciding import SENDS, decide_now, hear_outcome
from sim.engine.handlers.device import end_computing, leaves_device
from sim.engine.handlers.energy import is_on
from sim.engine.handlers.heeding import last_of, means_something, outcome_of
from sim.engine.handlers.links import has_shared_links, set_out
from sim.engine.handlers.lookups import is_up_through, settle, slowed, way_of
from sim.engine.handlers.obstacles import give_up, kept_back, obstacle, tell_breaker
from sim.engine.handlers.primitives import put, uniform, whole_number
from sim.engine.handlers.server import is_too_late, place, rank, rank_of
from sim.engine.handlers.sessions import end_block, items_of, pause_s
from sim.engine.handlers.work import option_of
from sim.engine.linking import handler
from sim.policy.waiting import timer_of
from sim.registry.allotments import TOKEN
from sim.world.population import CLIENT_SHIFT

_timer_of = handler(timer_of)


@handler
def gain(w: Any, client: Any) -> Any:
    """A first send earns a share of a retry token."""
    wallet = w.clients.wallet[client]
    earned = w.clients.allowance[wallet] + w.groups.earns[w.clients.group[client]]
    w.clients.allowance[wallet] = min(w.clients.most_allowed[wallet], earned)


@handler
def send_or_hear(w: Any, r: Any, now: Any, code: Any, attempt: Any) -> Any:
    """What becomes of a request at its client; gives the attempt that reaches the server at once, else -1.

    A first attempt (ASK) or the next one (RETRY, HEDGE) may leave, or one that its device is done with
    (UPLOAD); an error or an answer has come, or the timer has fired; but for UPLOAD `means_something` was
    asked. Each step stands here once, since compiled code takes time to make for each place where it is used.
    """
    row = w.sends.row[attempt]
    client = w.rows.client[row]
    group = w.clients.group[client]
    leaves = -1
    is_so = code != UPLOAD or means_something(w, now, code, attempt)
    works = is_so and is_on(w, now, client, row)
    # Who cannot send a second one still waits for the first.
    settled = SENDS if works or not is_so or code == HEDGE else NO_POWER
    if code == HEDGE:
        leaves = hedge(w, r, now, attempt) if works else -1
    elif code in (ASK, RETRY):
        settled, leaves = set_off(w, r, now, code, attempt, settled)
    elif code == UPLOAD:
        leaves = end_computing(w, now, attempt, works)
    elif works:
        why = outcome_of(code)
        hear(w, now, attempt, client, why)
        w.rows.open[row] -= 1
        if why == REMOTE or (w.rows.open[row] <= 0 and not tries_again(w, r, now, attempt)):
            settled = why
    if leaves >= 0 and (w.constants.computes or w.power.is_metered[group]):
        fate = leaves_device(w, r, now, code, leaves)
        if fate == NO_POWER:
            settled, attempt = NO_POWER, leaves
        if fate != SENDS:
            leaves = -1
    if settled != SENDS:
        write_down(w, now, attempt, settled)
        if w.groups.is_closed[group]:
            end_block(w, row, settled)
            think(w, r, now, client)
    return depart(w, r, now, code, leaves) if leaves >= 0 else -1


@handler
def set_off(w: Any, r: Any, now: Any, code: Any, attempt: Any, settled: Any) -> Any:
    """A first attempt, or the next one, is to leave, unless that is settled otherwise, or a first one waits
    to be sent with others; gives what is settled, and the attempt that leaves, else -1."""
    sends, row = w.sends, w.sends.row[attempt]
    group = w.clients.group[w.rows.client[row]]
    option = whole_number(sends.option[attempt])
    if settled == SENDS and code == ASK and w.groups.decided_in_loop[group]:
        settled = decide_now(w, now, row)
    if settled == SENDS and code == ASK and w.groups.batch_size[group] > 0:
        hold(w, r, now, attempt)
        return settled, whole_number(-1)
    if settled == SENDS:
        if w.groups.options[group] > 1 and (code == ASK or w.groups.asks_others[group]):
            failed = -1 if code == ASK else option
            number = 1 if code == ASK else last_of(w, attempt) + 1
            option = whole_number(choose(w, now, row, number, failed))
        settled = kept_back(w, now, code, attempt, option)
    if settled == SENDS:
        return settled, whole_number(leave(w, r, now, code, attempt, option))
    if code == ASK:
        sends.sent[attempt] = sends.reached[attempt] = nan
        sends.timeout_at[attempt] = inf
        sends.closed_at[attempt] = now
    return settled, whole_number(-1)


@handler
def write_down(w: Any, now: Any, attempt: Any, settled: Any) -> Any:
    """A request is over for its client. An answer in time is written down with all others, by
    `sim.engine.window`; but of two the first. Without power nothing more is heard of either."""
    row, other = w.sends.row[attempt], w.sends.rival[attempt]
    client = w.rows.client[row]
    if settled == REMOTE and w.groups.hedge_after_s[w.clients.group[client]] == inf:
        return
    end_request(w, now, row, settled)
    left = w.rows.open[row]
    if left > 0 and settled == NO_POWER:
        left -= 1
        give_up(w, now, client, attempt)
    if left > 0 and other >= 0:
        give_up(w, now, client, other)


@handler
def end_request(w: Any, now: Any, row: Any, outcome: Any) -> Any:
    w.rows.outcome[row] = outcome
    w.rows.completed_at[row] = now


@handler
def hear(w: Any, now: Any, attempt: Any, client: Any, why: Any) -> Any:
    """An attempt has ended for its client: its budget, its breaker and its price are told."""
    sent = w.sends.sent[attempt]
    if w.constants.is_held and w.clients.has_obstacles[client]:
        settle(w.budgets, w.clients.account[client], sent, now, why != REFUSED)
    server = w.sends.server[attempt]
    tell_breaker(w, client, server, why == REMOTE, sent, now)
    if len(w.clients.backlog) > 0 and why != TIMED_OUT:
        w.clients.backlog[client * w.constants.servers + server] = w.sends.backlog[attempt]
    if why != REMOTE:
        w.sends.failure[attempt] = why
    if w.groups.uses_feedback[w.clients.group[client]]:
        hear_outcome(w, now, attempt, why)


@handler
def tries_again(w: Any, r: Any, now: Any, attempt: Any) -> Any:
    """Whether another attempt is planned after one that failed; else the client falls back."""
    sends, groups = w.sends, w.groups
    row, number = sends.row[attempt], last_of(w, attempt)
    client = w.rows.client[row]
    group = w.clients.group[client]
    is_limited, wallet = groups.is_limited[group], w.clients.wallet[client]
    if number >= groups.max_attempts[group] or (is_limited and w.clients.allowance[wallet] < TOKEN):
        return False
    step = groups.backoff_s[group, number - 1]
    if groups.is_jittered[group]:
        step *= uniform(w.constants.backoff_root, w.rows.request_id[row], number)
    at = now + step
    if is_too_late(at, w.rows.deadline[row]):
        return False
    if is_limited:
        w.clients.allowance[wallet] -= TOKEN
    sends.retry_at[attempt] = at
    place_of_next = rank(w, attempt) + number + 1 - sends.attempt[attempt]
    put(w.events, r, at, KEY_TIMER | place_of_next, RETRY, attempt)
    return True


@handler
def think(w: Any, r: Any, now: Any, client: Any) -> Any:
    """A client of a closed loop is done with a request, and once it is with all that it made together it
    thinks before it asks again."""
    if w.constants.at_once > 1 and is_waiting(w, client):
        return
    member, k = w.requests.member[client], w.clients.next_k[client]
    think_s = w.requests.think_s[member * w.constants.requests + k - w.requests.base[member]]
    at = now + pause_s(w, client, think_s)
    w.clients.next_at[client] = at
    if at < w.constants.end:
        of_request = rank_of(place(client << CLIENT_SHIFT | k, w.constants.place_bits), 0)
        put(w.events, r, at, KEY_ARRIVAL | of_request, ARRIVE, client)


@handler
def is_waiting(w: Any, client: Any) -> Any:
    """Whether a client of a closed loop, done with a request, waits for others that it made with it."""
    at_once = w.groups.at_once[w.clients.group[client]]
    if at_once == 1:
        return False
    w.clients.unsettled[client] -= 1
    return w.clients.unsettled[client] > 0 or w.clients.next_k[client] % at_once != 0


@handler
def leave(w: Any, r: Any, now: Any, code: Any, attempt: Any, option: Any) -> Any:
    """The attempt that leaves now: the first one, which earns, or a new one after that which failed."""
    sends, row = w.sends, w.sends.row[attempt]
    client = w.rows.client[row]
    group = w.clients.group[client]
    w.rows.open[row] += 1
    if code == ASK:
        gain(w, client)
        if w.groups.options[group] > 1:
            address(w, group, attempt, row, option)
        if w.groups.hedge_after_s[group] < inf:
            at = now + w.groups.hedge_after_s[group]
            put(w.events, r, at, KEY_HEDGE | rank(w, attempt), HEDGE, attempt)
        return attempt
    number, new = last_of(w, attempt) + 1, r.sends
    r.sends += 1
    sends.row[new] = row
    sends.attempt[new] = number
    sends.sent[new] = now
    sends.timeout_at[new] = _timer_of(now, w.groups.timeout_s[group], w.rows.deadline[row])
    address(w, group, new, row, option)
    return new


@handler
def hedge(w: Any, r: Any, now: Any, attempt: Any) -> Any:
    """The first attempt has come to nothing yet: a second one leaves to another option that would do and that
    nothing keeps its client from, if there is one; gives it, else -1."""
    row = w.sends.row[attempt]
    client = w.rows.client[row]
    group = w.clients.group[client]
    first = w.groups.first_option[group]
    before = whole_number(w.sends.option[attempt])
    option = whole_number(choose(w, now, row, 2, before))
    server = w.options.server[first + option]
    if option == before or obstacle(w, now, client, server) != 0:
        return -1
    new = leave(w, r, now, HEDGE, attempt, option)
    w.sends.rival[attempt], w.sends.rival[new] = new, attempt
    return new


@handler
def address(w: Any, group: Any, send: Any, row: Any, option: Any) -> Any:
    """Whom an attempt asks, and what chance has decided for it."""
    sends = w.sends
    sends.option[send], sends.server[send] = option, w.options.server[w.groups.first_option[group] + option]
    drawn = drawn_for(w, send, sends.sent[send])
    sends.reached[send] = sends.sent[send] + w.drawn.uplink_s[drawn, row]
    sends.downlink_s[send] = w.drawn.downlink_s[drawn, row]
    sends.service_factor[send] = w.drawn.service_factor[drawn, row]
    if w.groups.takes_turns[group]:
        w.clients.turn[w.rows.client[row]] = (option + 1) % w.groups.options[group]


@handler
def drawn_for(w: Any, send: Any, at: Any) -> Any:
    """Where in `drawn` stands what chance says of an attempt that leaves at an instant."""
    client = w.rows.client[w.sends.row[send]]
    way = way_of(w, client, w.groups.first_option[w.clients.group[client]] + w.sends.option[send], at)
    return (w.sends.attempt[send] - 1) * w.constants.ways + way


@handler
def depart(w: Any, r: Any, now: Any, code: Any, send: Any) -> Any:
    """An attempt leaves, and its link may swallow it; gives it if it reaches the server at once, else -1."""
    sends, row = w.sends, w.sends.row[send]
    client = w.rows.client[row]
    if sends.timeout_at[send] < inf and code != UPLOAD:
        put(w.events, r, sends.timeout_at[send], KEY_TIMER | rank(w, send), TIMER, send)
    longer = slowed(w.slow_links, client, now, 0)
    more_s = (items_of(w, row) - 1) * w.options.transfer_s[option_of(w, send)]
    if longer != 1.0 or code == UPLOAD or more_s > 0.0:
        drawn = drawn_for(w, send, now)
        sends.reached[send] = now + (w.drawn.uplink_s[drawn, row] + more_s) * longer
        sends.downlink_s[send] = w.drawn.downlink_s[drawn, row]
    if not is_up_through(w.cuts, w.clients.link[client], now, sends.reached[send]):
        sends.reached[send] = nan
        sends.closed_at[send] = now
        sends.cause[send] = LOST
        return -1
    if has_shared_links(w, send):
        return set_out(w, r, now, send)
    if sends.reached[send] > now:
        put(w.events, r, sends.reached[send], KEY_REACH | rank(w, send), REACH, send)
        return -1
    return send
