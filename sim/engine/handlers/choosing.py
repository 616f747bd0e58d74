"""Which of its options a client asks: of those that would do and have no obstacle, the first in some order.
A choice is the order that `place_of` gives; see `sim.registry.choices`."""

from __future__ import annotations

from typing import Any

from sim.engine.events import BEST, HOME, LEAST_BACKLOG, ORDER, ROUND_ROBIN, TWO_CHOICES
from sim.engine.handlers.obstacles import blocked
from sim.engine.handlers.primitives import uniform, whole_number
from sim.engine.linking import handler

LATER = 1 << 31  # behind every backlog and every place


@handler
def choose(w: Any, now: Any, row: Any, attempt: Any, failed: Any) -> Any:
    """The option that an attempt asks. attempt: its number, from 1; failed: the option that the attempt
    before asked, -1: it is the first.

    Where all that would do have obstacles, the first of them, whose obstacle is then what happens.
    """
    client = w.rows.client[row]
    group = w.clients.group[client]
    first, options = w.groups.first_option[group], w.groups.options[group]
    found, found_at, is_free = 0, 0.0, False
    has_any = False
    drawn = two_drawn(w, row, attempt, options)
    for option in range(options):
        if w.rows.worth[row] & (1 << option) == 0:
            continue
        server = w.options.server[first + option]
        at = place_of(w, row, client, group, option, options, server, failed, drawn)
        free = blocked(w, now, client, server) == 0
        if not has_any or (free and not is_free) or (free == is_free and at < found_at):
            found, found_at, is_free, has_any = option, at, free, True
    return found


@handler
def place_of(
    w: Any,
    row: Any,
    client: Any,
    group: Any,
    option: Any,
    options: Any,
    server: Any,
    failed: Any,
    drawn: Any,
) -> Any:
    """Where an option stands among its client's: the lowest number is asked, of equals the first option.

    A retry goes on from the option that failed, which comes last.
    """
    by, found = w.groups.choose[group], 0.0
    if by == LEAST_BACKLOG:
        found = w.clients.backlog[client * w.constants.servers + server] * 1.0
    elif by == TWO_CHOICES:
        found = w.clients.backlog[client * w.constants.servers + server] * 1.0
        if drawn & (1 << option) == 0:
            found += LATER
    elif by == ROUND_ROBIN:
        found = (option - w.clients.turn[client]) % options * 1.0
    elif by == HOME:
        found = (option - client) % options * 1.0
    elif failed >= 0:
        found = (option - failed - 1) % options * 1.0
    elif by == BEST:
        found = -w.asked.value[option, row]
    elif by == ORDER:
        found = option * 1.0
    return found + 2.0 * LATER if option == failed else found


@handler
def two_drawn(w: Any, row: Any, attempt: Any, options: Any) -> Any:
    """Two different options of the client's, drawn by the attempt, as bits."""
    request_id = whole_number(w.rows.request_id[row])
    one = whole_number(uniform(w.constants.choice_root, request_id, 2 * attempt) * options)
    other = whole_number(uniform(w.constants.choice_root, request_id, 2 * attempt + 1) * (options - 1))
    return 1 << one | 1 << (other + (1 if other >= one else 0))
