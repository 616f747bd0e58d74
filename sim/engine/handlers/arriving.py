"""Requests that come to their devices in the loop: of closed loops, each once its client is done with the one
before, and to devices that may have no power. What chance decides for them was drawn ahead."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from sim.engine.events import ARRIVE, ASK, IN_FLIGHT, KEY_ARRIVAL, KEY_DECISION, NO_POWER, NOTHING
from sim.engine.handlers.clients import end_request, think
from sim.engine.handlers.energy import begins
from sim.engine.handlers.lookups import version_at, way_of
from sim.engine.handlers.primitives import put
from sim.engine.handlers.server import place, rank, rank_of
from sim.engine.handlers.sessions import begin_block, device_answers, has_sessions, score_block
from sim.engine.linking import handler
from sim.policy.waiting import timer_of
from sim.world.population import CLIENT_SHIFT

_timer_of = handler(timer_of)


@handler
def come(w: Any, r: Any, now: Any, code: Any, subject: Any) -> Any:
    """A request comes to a device: a client of a closed loop asks (ARRIVE), or one of an open loop has come
    (BEGIN, a row). Gives its first attempt if that is decided at once, else -1."""
    row = arrive(w, r, now, subject) if code == ARRIVE else subject
    if code == ARRIVE and w.constants.at_once > 1:
        ask_together(w, r, now, subject)
    client = w.rows.client[row]
    group = w.clients.group[client]
    if not begins(w, now, row):
        end_request(w, now, row, NO_POWER)
        if w.groups.is_closed[group]:
            think(w, r, now, client)
        return NOTHING
    inference_s = w.groups.inference_s[group] * device_answers(w, row)
    decided = max(w.clients.device_free[client], now) + inference_s
    w.rows.decided[row] = w.clients.device_free[client] = decided
    if decided >= w.constants.end:  # decided when the clock goes on
        return NOTHING
    send = first_attempt(w, r, row, group, decided)
    if w.groups.is_closed[group]:
        look_up(w, group, now, row, send)
    else:
        look_again(w, row, decided)
        sends, drawn = w.sends, w.drawn
        way = way_of(w, client, w.groups.first_option[group], decided)
        sends.reached[send] = decided + drawn.uplink_s[way, row]
        sends.downlink_s[send], sends.service_factor[send] = (
            drawn.downlink_s[way, row],
            drawn.service_factor[way, row],
        )
    if decided > now:
        put(w.events, r, decided, KEY_DECISION | rank(w, send), ASK, send)
        return NOTHING
    return send  # what takes no time happens at the place of its cause


@handler
def arrive(w: Any, r: Any, now: Any, client: Any) -> Any:
    """A client of a closed loop asks; gives the row of its request."""
    clients, rows, requests = w.clients, w.rows, w.requests
    group, k = clients.group[client], clients.next_k[client]
    place = place_of_next(w, client)
    clients.next_k[client] = k + 1
    clients.next_at[client] = inf
    row = r.rows
    r.rows += 1
    phase, every = phase_at(w, group, now), w.constants.members * w.constants.requests
    rows.request_id[row], rows.client[row] = client << CLIENT_SHIFT | k, client
    rows.sample[row] = requests.sample[phase * every + place]
    rows.arrived[row], rows.decided[row] = now, inf
    rows.work[row] = w.groups.service_factor[group]
    rows.deadline[row] = now + w.groups.deadline_s[group]
    rows.outcome[row], rows.completed_at[row] = IN_FLIGHT, nan
    rows.server_version[row], rows.score[row], rows.propensity[row], rows.deferred[row] = (
        NOTHING,
        0.0,
        0.0,
        False,
    )
    rows.threshold[row], rows.worth[row] = nan, 0
    rows.open[row] = rows.drawn[row] = rows.computed[row] = 0
    rows.first_item[row], rows.drafts[row] = -1, 0
    if has_sessions(w, client):
        begin_block(w, row, client)
    return row


@handler
def ask_together(w: Any, r: Any, now: Any, client: Any) -> Any:
    """One of several requests that a client of a closed loop makes together has come: the next comes now."""
    at_once, k = w.groups.at_once[w.clients.group[client]], w.clients.next_k[client]
    if at_once == 1:
        return
    w.clients.unsettled[client] += 1
    if k % at_once != 0:
        of_request = rank_of(place(client << CLIENT_SHIFT | k, w.constants.place_bits), 0)
        put(w.events, r, now, KEY_ARRIVAL | of_request, ARRIVE, client)


@handler
def first_attempt(w: Any, r: Any, row: Any, group: Any, decided: Any) -> Any:
    """The first attempt of a request, to the first of its options; whoever has several chooses later."""
    sends, send = w.sends, r.sends
    r.sends += 1
    sends.row[send], sends.attempt[send], sends.sent[send] = row, 1, decided
    sends.option[send], sends.server[send] = 0, w.options.server[w.groups.first_option[group]]
    sends.timeout_at[send] = _timer_of(decided, w.groups.timeout_s[group], w.rows.deadline[row])
    return send


@handler
def look_up(w: Any, group: Any, now: Any, row: Any, send: Any) -> Any:
    """What was drawn ahead for a request of a closed loop and its first attempt."""
    rows, sends, requests, asked = w.rows, w.sends, w.requests, w.asked
    client, decided = rows.client[row], rows.decided[row]
    place, every = place_of_next(w, client) - 1, w.constants.members * w.constants.requests
    case = (
        phase_at(w, group, now) * w.constants.cases
        + requests.case_of[version_at(w.versions, client, decided)]
    )
    case = case * every + place
    rows.score[row] = requests.score[case]
    for one in range(requests.value.shape[1]):
        asked.value[row, one] = requests.value[case, one]
    asked.low[row], asked.high[row], asked.threshold[row] = (
        requests.low[case],
        requests.high[case],
        requests.threshold[case],
    )
    asked.coin[row] = requests.coin[place]
    if has_sessions(w, client):
        score_block(w, row)
    is_asked_later = len(w.slow_links.line) > 0 or len(w.sessions.items) > 0 or w.constants.batch > 0
    if is_asked_later or w.constants.options > 1 or w.constants.computes:
        for one in range(w.constants.ways):
            w.drawn.uplink_s[one, row] = requests.uplink_s[one, place]
            w.drawn.downlink_s[one, row] = requests.downlink_s[one, place]
            w.drawn.service_factor[one, row] = requests.service_factor[one, place]
    way = way_of(w, client, w.groups.first_option[group], decided)
    sends.reached[send] = decided + requests.uplink_s[way, place]
    sends.downlink_s[send], sends.service_factor[send] = (
        requests.downlink_s[way, place],
        requests.service_factor[way, place],
    )


@handler
def look_again(w: Any, row: Any, decided: Any) -> Any:
    """What a decision compares by the rejector that its client has then, if that is newer than the one that
    it had as the request came."""
    newer, asked = w.newer, w.asked
    if len(newer.at_s) == 0:
        return
    last = newer.first[row]
    while last < newer.first[row + 1] and newer.at_s[last] <= decided:
        last += 1
    if last == newer.first[row]:
        return
    w.rows.score[row] = newer.score[last - 1]
    for one in range(newer.value.shape[1]):
        asked.value[row, one] = newer.value[last - 1, one]
    asked.low[row], asked.high[row] = newer.low[last - 1], newer.high[last - 1]
    asked.threshold[row] = newer.threshold[last - 1]


@handler
def place_of_next(w: Any, client: Any) -> Any:
    """Where what was drawn ahead for the next request of a closed loop stands."""
    member = w.requests.member[client]
    return member * w.constants.requests + w.clients.next_k[client] - w.requests.base[member]


@handler
def phase_at(w: Any, group: Any, now: Any) -> Any:
    """The phase of a group's traffic."""
    phase = 0
    while phase + 1 < w.requests.phase_at_s.shape[1] and w.requests.phase_at_s[group, phase + 1] <= now:
        phase += 1
    return phase
