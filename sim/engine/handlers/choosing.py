"""Which of its options a client asks: of those that would do and have no obstacle, the first in some order.
The order is what a function of `sim.registry.choices` gives, or one that somebody brings."""

from __future__ import annotations

from math import inf, isnan
from typing import Any

from sim.engine.handlers.lookups import from_cell
from sim.engine.handlers.obstacles import blocked
from sim.engine.handlers.primitives import real_number, uniform, whole_number
from sim.engine.linking import handler
from sim.registry.choices import Candidate


@handler
def choose(w: Any, now: Any, row: Any, attempt: Any, failed: Any) -> Any:
    """The option that an attempt asks. attempt: its number, from 1; failed: the option that the attempt
    before asked, -1: it is the first.

    Where all that would do have obstacles, the first of them, whose obstacle is then what happens. A policy
    that names an option names the first attempt's. Where two are drawn and one of them is free, and not the
    one that failed, nobody looks at the others, which stand behind these.
    """
    group = w.clients.group[w.rows.client[row]]
    options, worth = w.groups.options[group], w.rows.worth[row]
    if failed >= 0 and w.groups.names_options[group]:
        worth = (1 << options) - 1
    drawn = two_drawn(w, row, attempt, options) if w.groups.draws_options[group] else 0
    if worth & drawn != 0:
        found, is_settled = first_among(w, now, row, attempt, worth & drawn, failed, drawn)
        if is_settled:
            return found
    found, _ = first_among(w, now, row, attempt, worth, failed, drawn)
    return found


@handler
def first_among(
    w: Any, now: Any, row: Any, attempt: Any, worth: Any, failed: Any, drawn: Any
) -> tuple[Any, Any]:
    """Of the options that `worth` has a bit of, the one to ask, and whether it is free and has not failed."""
    client = w.rows.client[row]
    group = w.clients.group[client]
    first, options = w.groups.first_option[group], w.groups.options[group]
    found, found_at, is_free, is_last = 0, 0.0, False, False
    has_any = False
    for option in range(options):
        if worth & (1 << option) == 0:
            continue
        at, last = place_of(w, now, row, attempt, group, option, failed, drawn), option == failed
        is_before = is_last if last != is_last else at < found_at
        if is_free and not is_before:  # whether it has an obstacle or not
            continue
        free = blocked(w, now, client, w.options.server[first + option]) == 0
        if free != is_free:
            is_before = free
        if not has_any or is_before:
            found, found_at, is_free, is_last, has_any = option, at, free, last, True
    return found, is_free and not is_last


@handler
def place_of(
    w: Any, now: Any, row: Any, attempt: Any, group: Any, option: Any, failed: Any, drawn: Any
) -> Any:
    """Where an option stands among its client's, behind which comes the one that failed: the lowest number is
    asked, of equals the first option. What is no number comes last."""
    options = w.groups.options[group]
    if failed >= 0 and w.groups.goes_on[group]:
        found = real_number((option - failed - 1) % options)
    else:
        found = w.functions.rank_option[w.groups.choose[group]](
            candidate(w, now, row, attempt, group, option, drawn)
        )
    return inf if isnan(found) else found


@handler
def candidate(w: Any, now: Any, row: Any, attempt: Any, group: Any, option: Any, drawn: Any) -> Any:
    """What a choice is told of an option."""
    client, place = w.rows.client[row], w.groups.first_option[group] + option
    backlog, turn = 0, 0
    if len(w.clients.backlog) > 0:
        backlog = w.clients.backlog[client * w.constants.servers + w.options.server[place]]
    if len(w.clients.turn) > 0:
        turn = w.clients.turn[client]
    return Candidate(
        whole_number(client),
        whole_number(w.clients.home[client]),
        whole_number(attempt),
        whole_number(option),
        whole_number(w.groups.options[group]),
        real_number(w.asked.value[row, option if w.groups.scores[group] > 1 else 0]),
        real_number(w.options.c_e[place]),
        whole_number(backlog),
        whole_number(turn),
        drawn & (1 << option) != 0,
        real_number(w.options.latency_s[from_cell(w, client, place, now)]),
    )


@handler
def two_drawn(w: Any, row: Any, attempt: Any, options: Any) -> Any:
    """Two different options of the client's, drawn by the attempt, as bits."""
    request_id = whole_number(w.rows.request_id[row])
    one = whole_number(uniform(w.constants.choice_root, request_id, 2 * attempt) * options)
    other = whole_number(uniform(w.constants.choice_root, request_id, 2 * attempt + 1) * (options - 1))
    return 1 << one | 1 << (other + (1 if other >= one else 0))
