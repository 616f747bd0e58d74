"""What the handlers ask of time lines, accounts and versions.
Leaves of plain arrays, asked by the modules beside it."""

from __future__ import annotations

from math import floor
from typing import Any

from sim.engine.handlers.primitives import whole_number
from sim.engine.linking import handler
from sim.periods import period_of
from sim.registry.allotments import NOTHING, TOKEN


@handler
def is_up_through(downtimes: Any, line: Any, begin: Any, end: Any) -> Any:
    """Whether it works at every instant of [begin, end]; line -1 always does."""
    if line < 0:
        return True
    low, stop = downtimes.first[line], downtimes.first[line + 1]
    high = stop
    while low < high:  # bisect_right
        middle = (low + high) // 2
        if begin < downtimes.until_s[middle]:
            high = middle
        else:
            low = middle + 1
    return low == stop or downtimes.from_s[low] > end


@handler
def slowed(slow: Any, owner: Any, now: Any, above: Any) -> Any:
    """The product of an owner's slowdowns in force now that reach beyond `above`; 1 = none."""
    found = 1.0
    for one in range(slow.first[owner], slow.first[owner + 1]):
        if slow.hits[one] > above and not is_up_through(slow.lines, slow.line[one], now, now):
            found *= slow.factor[one]
    return found


@handler
def way_of(w: Any, client: Any, option: Any, at: Any) -> Any:
    """The way that a client's option takes at an instant."""
    return w.options.way[from_cell(w, client, option, at)]


@handler
def from_cell(w: Any, client: Any, option: Any, at: Any) -> Any:
    """The place of a client's option, by its place among those of all groups, from the cell where the client
    is at an instant."""
    cells = w.constants.cells
    return option * cells + (version_at(w.cells, client, at) if cells > 1 else 0)


@handler
def fill(accounts: Any, account: Any, now: Any) -> Any:
    """Adds to a bucket what has been earned since it was last asked."""
    earned = whole_number(floor(accounts.rate_hz[account] * now * TOKEN + NOTHING))
    level = accounts.left[account] + earned - accounts.mark[account]
    accounts.left[account] = min(accounts.full[account] - accounts.held[account] * TOKEN, level)
    accounts.mark[account] = earned


@handler
def take(accounts: Any, account: Any, now: Any, is_held: Any) -> Any:
    """Takes what one send costs, if it is there; account -1 may always send."""
    if account < 0:
        return True
    if accounts.is_bucket[account]:
        fill(accounts, account, now)
        if accounts.left[account] < TOKEN:
            return False
        accounts.left[account] -= TOKEN
        accounts.held[account] += whole_number(is_held)
        return True
    period = whole_number(_period_of(now, accounts.per_s[account]))
    if period != accounts.mark[account]:
        accounts.mark[account], accounts.left[account] = period, accounts.full[account]
    if accounts.left[account] <= 0:
        return False
    accounts.left[account] -= 1
    return True


@handler
def settle(accounts: Any, account: Any, sent: Any, now: Any, is_spent: Any) -> Any:
    """What was reserved, and may be released, is spent, or released."""
    if account < 0:
        return
    if accounts.is_bucket[account]:
        fill(accounts, account, now)
        accounts.held[account] -= 1
        if not is_spent:
            accounts.left[account] += TOKEN
    elif not is_spent and whole_number(_period_of(sent, accounts.per_s[account])) == accounts.mark[account]:
        accounts.left[account] += 1


@handler
def version_at(held: Any, client: Any, at: Any) -> Any:
    """The version that a client has at an instant."""
    low, high = held.first[client], held.first[client + 1] - 1
    while low < high:
        middle = (low + high + 1) // 2
        if held.at_s[middle] <= at:
            low = middle
        else:
            high = middle - 1
    return held.version[low]


@handler
def in_force(at_s: Any, at: Any) -> Any:
    """The number of the last of these ascending instants that is not after `at`; the first is -inf."""
    low, high = 0, len(at_s) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if at_s[middle] <= at:
            low = middle
        else:
            high = middle - 1
    return low


_period_of = handler(period_of)
