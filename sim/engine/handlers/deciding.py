"""Decisions as requests come: of clients whose price remembers, and of those that ask in closed loops.
The rule itself is `sim.policy.decision.decide`; prices hear here what became of it."""

from __future__ import annotations

from typing import Any

from sim.engine.events import LOCAL, REFUSED, REMOTE, TIMED_OUT
from sim.engine.handlers.energy import charge_of
from sim.engine.handlers.lookups import in_force
from sim.engine.handlers.primitives import real_number, uniform, whole_number
from sim.engine.handlers.work import model_of
from sim.engine.linking import handler, view
from sim.policy.decision import decide
from sim.policy.outcomes import Outcome, Request
from sim.policy.waiting import is_too_late

_decide, _is_too_late = handler(decide), handler(is_too_late)
SENDS = -1


@handler
def decide_now(w: Any, now: Any, row: Any) -> Any:
    """Decides; gives the outcome of a request that is kept, or comes too late to be sent, else SENDS.

    Of several scores, one of each option, the largest decides; `worth` tells the options that would do.
    """
    rows, asked = w.rows, w.asked
    client = rows.client[row]
    group = w.clients.group[client]
    price, threshold = w.groups.price[group], asked.threshold[row]
    if w.groups.names_options[group]:
        tell_scores(w, row, group, client)
    if price >= 0:
        threshold = w.functions.threshold[price](
            parameters_of(w, group), memory_of(w, client), now, request_of(w, row)
        )
    best, scores = 0, w.groups.scores[group]
    if scores > 1:
        best = best_of_several(w, row, scores)
        rows.worth[row] = worth_asking(w, row, scores, best, threshold)
    else:
        rows.worth[row] = (1 << w.groups.options[group]) - 1
    if w.groups.names_options[group] and memory_of(w, client)[0] >= 0:
        rows.worth[row] = 1 << whole_number(memory_of(w, client)[0])
    value = asked.value[row, best]
    low, high = asked.low[row], asked.high[row]
    if scores > 1:
        low = high = value
    is_sent, chance = _decide(
        value,
        low,
        high,
        threshold,
        asked.coin[row],
        w.groups.exploration[group],
    )
    if price >= 0:
        w.functions.on_decision[price](parameters_of(w, group), memory_of(w, client), now, is_sent)
    rows.server_version[row] = 0  # decided; which version was in force, its instant tells
    rows.threshold[row], rows.propensity[row], rows.deferred[row] = threshold, chance, is_sent
    if not is_sent:
        return LOCAL
    return TIMED_OUT if _is_too_late(now, rows.deadline[row]) else SENDS


@handler
def best_of_several(w: Any, row: Any, scores: Any) -> Any:
    """The largest of a row's scores, of equals the first."""
    best = 0
    for one in range(1, scores):
        if w.asked.value[row, one] > w.asked.value[row, best]:
            best = one
    return best


@handler
def worth_asking(w: Any, row: Any, scores: Any, best: Any, threshold: Any) -> Any:
    """The options that would do, a bit of each: whose scores exceed the threshold, or else the best, as it is
    when a client explores."""
    found = 0
    for one in range(scores):
        if w.asked.value[row, one] > threshold:
            found |= 1 << one
    return found if found != 0 else 1 << best


@handler
def tell_scores(w: Any, row: Any, group: Any, client: Any) -> Any:
    """Writes a row's score of each option behind the place where a policy in plain Python names the option
    to ask: -1, whichever the client chooses."""
    memory = memory_of(w, client)
    memory[0] = -1.0
    for option in range(w.groups.options[group]):
        memory[1 + option] = w.asked.value[row, option if w.groups.scores[group] > 1 else 0]


@handler
def hear_outcome(w: Any, now: Any, send: Any, outcome: Any) -> Any:
    """An attempt has ended for its client, who still waited for it: remote, refused or timed_out."""
    sends, rows, labels = w.sends, w.rows, w.labels
    row = sends.row[send]
    client, sample = rows.client[row], rows.sample[row]
    group = w.clients.group[client]
    server_label, backlog = -1, -1
    if outcome in (REMOTE, REFUSED):
        backlog = sends.backlog[send]
    if outcome == REMOTE:
        version = in_force(labels.in_force_at_s, sends.started[send])
        of_version = version * w.constants.models + model_of(w, send)
        server_label = labels.server[of_version * w.constants.samples + sample]
    heard = Outcome(
        whole_number(rows.request_id[row]),
        whole_number(client),
        real_number(rows.score[row]),
        whole_number(sends.option[send]),
        real_number(sends.sent[send]),
        whole_number(outcome),
        whole_number(backlog),
        whole_number(server_label),
        whole_number(own_label(w, row)),
    )
    w.functions.on_outcome[w.groups.price[group]](parameters_of(w, group), memory_of(w, client), now, heard)


@handler
def request_of(w: Any, row: Any) -> Any:
    """What a price is told of a request."""
    rows = w.rows
    client, request_id = rows.client[row], whole_number(rows.request_id[row])
    draw = 0.0
    if w.groups.draws[w.clients.group[client]]:
        draw = uniform(w.constants.policy_root, request_id, 0)
    return Request(
        request_id,
        whole_number(client),
        real_number(rows.score[row]),
        real_number(rows.arrived[row]),
        real_number(rows.deadline[row]),
        whole_number(own_label(w, row)),
        draw,
        real_number(charge_of(w, client)),
    )


@handler
def own_label(w: Any, row: Any) -> Any:
    """What the client itself answers."""
    labels, client = w.labels, w.rows.client[row]
    first = labels.first[w.clients.group[client]] + labels.variant[client] * w.constants.samples
    return labels.client[first + w.rows.sample[row]]


@view
def memory_of(w: Any, client: Any) -> Any:
    """The numbers of one client: a price is never handed anybody else's."""
    return w.clients.memory[w.constants.memory * client : w.constants.memory * (client + 1)]


@view
def parameters_of(w: Any, group: Any) -> Any:
    return w.groups.parameters[w.constants.parameters * group : w.constants.parameters * (group + 1)]
