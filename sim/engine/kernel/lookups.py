"""What the kernel asks of time lines, accounts and keyed draws; and its heaps.
The same expressions as in `sim.world.outages.downtime`, `sim.world.outages.capacity`, `sim.world.budgets` and
`sim.streams`."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np

from sim.engine.kernel.compiling import leaf
from sim.streams import mix_word, mix_words, to_unit
from sim.world.budgets import NOTHING, TOKEN

_mix_word, _mix_words, _to_unit = leaf(mix_word), leaf(mix_words), leaf(to_unit)


@leaf
def uniform(root: Any, request_id: Any, attempt: Any) -> Any:
    """`Draws.one` of the first trial."""
    trial = np.uint64(attempt) << np.uint64(16)  # the column has 8 bits, which plain Python would keep to
    return _to_unit(_mix_words(root, np.uint64(request_id), trial, _mix_word))


@leaf
def push(heap: Any, n: Any, at: Any, key: Any, what: Any) -> Any:
    """Adds to a heap of n; gives how many there are now."""
    place = n
    while place > 0:
        above = (place - 1) >> 1
        if heap.at[above] < at or (heap.at[above] == at and heap.key[above] < key):
            break
        heap.at[place], heap.key[place], heap.what[place] = heap.at[above], heap.key[above], heap.what[above]
        place = above
    heap.at[place], heap.key[place], heap.what[place] = at, key, what
    return n + 1


@leaf
def drop_first(heap: Any, n: Any) -> Any:
    """Takes the first out of a heap of n; gives how many are left."""
    n -= 1
    at, key, what = heap.at[n], heap.key[n], heap.what[n]
    place, below = 0, 1
    while below < n:
        if below + 1 < n and (
            heap.at[below + 1] < heap.at[below]
            or (heap.at[below + 1] == heap.at[below] and heap.key[below + 1] < heap.key[below])
        ):
            below += 1
        if at < heap.at[below] or (at == heap.at[below] and key < heap.key[below]):
            break
        heap.at[place], heap.key[place], heap.what[place] = heap.at[below], heap.key[below], heap.what[below]
        place, below = below, 2 * below + 1
    heap.at[place], heap.key[place], heap.what[place] = at, key, what
    return n


@leaf
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


@leaf
def slowed(slow: Any, owner: Any, now: Any, above: Any) -> Any:
    """The product of an owner's slowdowns in force now that reach beyond `above`; 1 = none."""
    found = 1.0
    for one in range(slow.first[owner], slow.first[owner + 1]):
        if slow.hits[one] > above and not is_up_through(slow.lines, slow.line[one], now, now):
            found *= slow.factor[one]
    return found


@leaf
def fill(accounts: Any, account: Any, now: Any) -> Any:
    """Adds to a bucket what has been earned since it was last asked."""
    earned = np.int64(floor(accounts.rate_hz[account] * now * TOKEN + NOTHING))
    level = accounts.left[account] + earned - accounts.mark[account]
    accounts.left[account] = min(accounts.full[account] - accounts.held[account] * TOKEN, level)
    accounts.mark[account] = earned


@leaf
def take(accounts: Any, account: Any, now: Any, is_held: Any) -> Any:
    """Takes what one send costs, if it is there; account -1 may always send."""
    if account < 0:
        return True
    if accounts.is_bucket[account]:
        fill(accounts, account, now)
        if accounts.left[account] < TOKEN:
            return False
        accounts.left[account] -= TOKEN
        accounts.held[account] += np.int64(is_held)
        return True
    period = np.int64(now / accounts.per_s[account])
    if period != accounts.mark[account]:
        accounts.mark[account], accounts.left[account] = period, accounts.full[account]
    if accounts.left[account] <= 0:
        return False
    accounts.left[account] -= 1
    return True


@leaf
def settle(accounts: Any, account: Any, sent: Any, now: Any, is_spent: Any) -> Any:
    """What was reserved, and may be released, is spent, or released."""
    if account < 0:
        return
    if accounts.is_bucket[account]:
        fill(accounts, account, now)
        accounts.held[account] -= 1
        if not is_spent:
            accounts.left[account] += TOKEN
    elif not is_spent and np.int64(sent / accounts.per_s[account]) == accounts.mark[account]:
        accounts.left[account] += 1
