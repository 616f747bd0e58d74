"""The clock: one sequence out of an agenda and a heap, in the order of content and never of scheduling."""

from __future__ import annotations

from heapq import heappush
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine.clock import Clock, Kind, Moment
from sim.errors import RunFailed

Key = tuple[float, int, int]
keys = st.lists(st.tuples(st.integers(0, 8).map(float), st.integers(0, 9), st.integers(0, 3)), unique=True)


def walked(agenda: list[Key], heap: list[Key], end: float) -> tuple[list[Key], Clock]:
    """The order in which the events were met."""
    clock, met = Clock(), []

    def note(moment: Any) -> None:
        met.append(heap[moment.subject])
        assert clock.now == met[-1][0]

    def of_the_agenda(at: float, subject: int) -> None:
        met.append(agenda[subject])
        assert clock.now == at == met[-1][0]

    for subject, (at, kind, rank) in enumerate(heap):
        heappush(clock.heap, (at, kind, rank, Moment([note], subject)))
    items = [(at, kind, rank, 0, subject) for subject, (at, kind, rank) in enumerate(agenda)]
    clock.walk(items, [of_the_agenda], end)
    return met, clock


@given(keys, st.randoms(use_true_random=False), st.integers(0, 9).map(float))
def test_events_come_in_the_order_of_their_keys_wherever_they_were_kept(events, luck, end):
    before = [event for event in events if event[0] < end]
    agenda = sorted(event for event in before if luck.random() < 0.5)
    heap = [event for event in events if event not in agenda]
    luck.shuffle(heap)
    met, clock = walked(agenda, heap, end)
    assert met == sorted(before)
    assert clock.now == end
    assert sorted(entry[:3] for entry in clock.heap) == sorted(event for event in events if event[0] >= end)


def test_an_event_may_call_for_another_at_its_own_instant():
    """A kind that ranks before those still to come at this instant goes first; a later one waits its turn."""
    clock, met = Clock(), []

    def moment(name: str) -> Moment:
        return Moment([lambda _: met.append(name)], 0)

    def timer(at: float, _: int) -> None:
        met.append("timer")
        heappush(clock.heap, (at, int(Kind.ARRIVAL), 0, moment("arrival")))
        heappush(clock.heap, (at, int(Kind.REACH), 0, moment("reach")))

    def decision(_at: float, _: int) -> None:
        met.append("decision")

    agenda = [(1.0, int(Kind.TIMER), 0, 0, 0), (1.0, int(Kind.DECISION), 0, 1, 0)]
    clock.walk(agenda, [timer, decision], 2.0)
    assert met == ["timer", "reach", "decision", "arrival"]


def test_the_clock_never_runs_backwards():
    clock = Clock()

    def look_back(at: float, _: int) -> None:
        heappush(clock.heap, (at - 0.5, int(Kind.TIMER), 0, Moment([], 0)))

    with pytest.raises(RunFailed, match=r"the clock ran backwards, from 3\.0 s to 2\.5 s"):
        clock.walk([(3.0, int(Kind.REACH), 0, 0, 0)], [look_back], 10.0)


def test_kinds_are_ordered_as_the_design_has_them():
    """Capacity up and down, model, completion, arrival at the server, batch due, reply, timer, decision,
    arrival."""
    assert [kind.name for kind in sorted(Kind)] == [
        "CAPACITY_UP",
        "CAPACITY_DOWN",
        "MODEL",
        "COMPLETE",
        "REACH",
        "DUE",
        "REPLY",
        "TIMER",
        "DECISION",
        "ARRIVAL",
    ]
