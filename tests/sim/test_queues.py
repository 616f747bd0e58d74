"""Disciplines of the queue against the plainest way to choose: looking at everybody who waits."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sim.engine.handlers import queue
from sim.registry.disciplines import DISCIPLINES

DEADLINES = [5.0, 2.0, inf, 2.0, 7.0, inf, 1.0, 3.0, 3.0, 9.0]
CLIENTS = [0, 1, 2, 0, 1, 2, 0, 0, 3, 1]
WORKS = [2.0, 1.0, 1.0, 3.0, 0.5, 2.0, 1.0, 4.0, 0.5, 1.0]
PRIORITIES = [1.0, 0.0, 2.0, 1.0]  # of each client, who are groups of their own here
ORDERS = st.permutations(range(10))
STEPS = st.lists(st.sampled_from(["come", "come", "go", "go", "back", "keep"]), max_size=40)


def world() -> Any:
    """Ten attempts, each of a row of its own; nobody waits."""
    numbers = {name: [-1] * 10 for name in ("after", "before", "behind", "first_of", "last_of", "listed")}
    line = SimpleNamespace(at=np.zeros((1, 10)), key=np.zeros((1, 10)), what=np.zeros((1, 10), dtype=int))
    return SimpleNamespace(
        sends=SimpleNamespace(row=list(range(10)), reached=[0.0] * 10, attempt=[1] * 10, option=[0] * 10),
        work=[],
        functions=SimpleNamespace(rank_waiting=[one.rank for one in DISCIPLINES.values()]),
        rows=SimpleNamespace(deadline=DEADLINES, client=CLIENTS, arrived=[0.0] * 10, work=WORKS),
        clients=SimpleNamespace(last_started=[-inf] * 4, group=list(range(4))),
        groups=SimpleNamespace(priority=PRIORITIES, first_option=[0] * 4),
        options=SimpleNamespace(work=[1.0]),
        lists=SimpleNamespace(**numbers, line=line),
    )


def server(discipline: str) -> Any:
    names = ("number", "first_client", "waiting", "returned", "lined", "came")
    ranked_by = list(DISCIPLINES).index(discipline) if DISCIPLINES[discipline].rank else -1
    code = DISCIPLINES[discipline].code
    return SimpleNamespace(discipline=code, ranked_by=ranked_by, **dict.fromkeys(names, 0))


KEYS = {
    "fifo": lambda position, _send, _started: position,
    "lifo": lambda position, _send, _started: -position,
    "edf": lambda position, send, _started: (DEADLINES[send], position),
    "priority": lambda position, send, _started: (PRIORITIES[CLIENTS[send]], position),
    "sjf": lambda position, send, _started: (WORKS[send], position),
    "fair": lambda position, send, started: (started[CLIENTS[send]], CLIENTS[send], position),
}


@pytest.mark.parametrize("discipline", DISCIPLINES)
@given(steps=STEPS, order=ORDERS)
@example(steps=["come"] * 4 + ["go"] * 2 + ["come"] + ["go"] * 3, order=[3, 0, 7, 1, 6, 2, 4, 5, 8, 9])
def test_the_next_is_the_first_by_the_key_of_the_discipline(discipline, steps, order):
    """They reach the server in any order. Some come, some are started one after the other, and the last that
    was started may be put back, or all that wait are written and read."""
    w, s = world(), server(discipline)
    started = w.clients.last_started
    queue.load(w, s, 0)
    coming, waiting, returned, gone = list(order), [], [], []
    for now, step in enumerate(steps):
        if step == "come" and coming:
            waiting.append(coming.pop(0))
            w.sends.reached[waiting[-1]] = float(now)
            queue.append(w, s, waiting[-1])
        elif step == "back" and gone:
            returned.insert(0, gone.pop())
            queue.put_back(w, s, returned[0])
        elif step == "go" and (waiting or returned):
            assert queue.oldest(w, s) == min([*waiting, *returned], key=w.sends.reached.__getitem__)
            if returned:
                send = returned.pop(0)
            else:
                places = enumerate(waiting)
                at, send = min(places, key=lambda one: KEYS[discipline](*one, started))
                waiting.pop(at)
            assert queue.pop_next(w, s) == send
            started[CLIENTS[send]] = now
            gone.append(send)
        assert (s.waiting, s.returned) == (len(returned) + len(waiting), len(returned))
        queue.list_all(w, s, 0)
        assert w.lists.listed[: s.waiting] == [*returned, *waiting]
        if step == "keep":  # written and read
            w.lists.first_of[:] = [-1] * 10
            queue.load(w, s, 0)
