"""Sends whose answers a client awaits: what it must know of a send when it hears of it, in a few slots.
Part of the memory of the prices in `sim.policy.online.weights`."""

from __future__ import annotations

from typing import Any

from sim.policy.online.levels import OWN

QUEUE, WAIT_S = OWN + 2, OWN + 3  # places in p: how many slots, how long an answer is awaited
REQUEST, CHANCE, COST, AT_S, SLOT = range(5)  # the numbers of a slot; a request of -1: it is free


def slots(queue: float) -> tuple[float, ...]:
    """Slots that are all free."""
    return (-1.0, 0.0, 0.0, 0.0) * int(queue)


def unheard(p: Any, m: Any, first: int, now: float) -> int:
    """How many answers are awaited. What came no answer to within `wait_s` is awaited no longer."""
    count = 0
    for slot in range(int(p[QUEUE])):
        at = first + SLOT * slot
        if m[at + REQUEST] >= 0.0 and now - m[at + AT_S] < p[WAIT_S]:
            count += 1
    return count


def note(p: Any, m: Any, first: int, now: float, request: float, chance: float, cost: float) -> None:
    """Writes a send down: in a free slot, or else in that of the oldest, whose answer will then teach
    nothing."""
    taken = first
    for slot in range(int(p[QUEUE])):
        at = first + SLOT * slot
        if m[at + REQUEST] < 0.0:
            taken = at
            break
        if m[at + AT_S] < m[taken + AT_S]:
            taken = at
    m[taken + REQUEST], m[taken + CHANCE], m[taken + COST], m[taken + AT_S] = request, chance, cost, now


def slot_of(p: Any, m: Any, first: int, request: float) -> int:
    """The place of a send's slot, -1 if it has none."""
    for slot in range(int(p[QUEUE])):
        at = first + SLOT * slot
        if m[at + REQUEST] == request:
            return at
    return -1
