"""Requests of closed loops: they arrive in the loop, each once its client is done with the one before.
What chance decides for them was drawn ahead, by the columns that decide everybody else's."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from sim.engine.events import ASK, IN_FLIGHT, KEY_DECISION, NOTHING
from sim.engine.handlers.lookups import version_at
from sim.engine.handlers.primitives import put
from sim.engine.handlers.server import rank
from sim.engine.linking import handler
from sim.policy.waiting import timer_of
from sim.world.population import CLIENT_SHIFT

_timer_of = handler(timer_of)


@handler
def arrive(w: Any, r: Any, now: Any, client: Any) -> Any:
    """A client asks; gives its first attempt if that is decided at once, else -1."""
    clients, rows, sends, requests = w.clients, w.rows, w.sends, w.requests
    group, k = clients.group[client], clients.next_k[client]
    member = requests.member[client]
    place = member * w.terms.requests + k - requests.base[member]
    decided = now + w.groups.inference_s[group]
    clients.next_k[client] = k + 1
    clients.next_at[client], clients.device_free[client] = inf, decided
    row = r.rows
    r.rows += 1
    phase, every = phase_at(w, group, now), w.terms.members * w.terms.requests
    rows.request_id[row], rows.client[row] = client << CLIENT_SHIFT | k, client
    rows.sample[row] = requests.sample[phase * every + place]
    rows.arrived[row], rows.decided[row] = now, decided
    rows.work[row] = w.groups.service_factor[group]
    rows.deadline[row] = now + w.groups.deadline_s[group]
    rows.outcome[row], rows.resolved[row] = IN_FLIGHT, nan
    rows.window[row], rows.score[row], rows.propensity[row], rows.deferred[row] = NOTHING, 0.0, 0.0, False
    rows.threshold[row], rows.worth[row] = nan, 0
    rows.open[row] = 0
    if decided >= w.terms.end:  # decided when the clock goes on
        return NOTHING
    case = phase * w.terms.cases + requests.case_of[version_at(w.versions, client, decided)]
    case = case * every + place
    rows.score[row] = requests.score[case]
    asked = w.asked
    for one in range(len(requests.value)):
        asked.value[one, row], asked.low[one, row], asked.high[one, row], asked.threshold[one, row] = (
            requests.value[one, case],
            requests.low[one, case],
            requests.high[one, case],
            requests.threshold[one, case],
        )
    asked.coin[row] = requests.coin[place]
    if len(w.slow_links.line) > 0 or w.terms.options > 1:
        for one in range(w.terms.options):
            w.drawn.up[one, row] = requests.up[one, place]
            w.drawn.down[one, row] = requests.down[one, place]
            w.drawn.factor[one, row] = requests.factor[one, place]
    send = r.sends
    r.sends += 1
    sends.row[send], sends.attempt[send], sends.sent[send] = row, 1, decided
    sends.reached[send] = decided + requests.up[0, place]
    sends.down[send], sends.factor[send] = requests.down[0, place], requests.factor[0, place]
    sends.option[send], sends.server[send] = 0, w.options.server[w.groups.first_option[group]]
    sends.timer[send] = _timer_of(decided, w.groups.timeout_s[group], rows.deadline[row])
    if decided > now:
        put(w.events, r, decided, KEY_DECISION | rank(w, send), ASK, send)
        return NOTHING
    return send  # what takes no time happens at the place of its cause


@handler
def phase_at(w: Any, group: Any, now: Any) -> Any:
    """The phase of a group's traffic."""
    phase = 0
    while phase + 1 < w.requests.phase_at_s.shape[1] and w.requests.phase_at_s[group, phase + 1] <= now:
        phase += 1
    return phase
