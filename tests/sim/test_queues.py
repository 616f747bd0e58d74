"""Disciplines of the queue against the plainest way to choose: looking at everybody who waits."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine.queues import DISCIPLINES, Queue

DEADLINES = [5.0, 2.0, inf, 2.0, 7.0, inf, 1.0, 3.0, 3.0, 9.0]
CLIENTS = [0, 1, 2, 0, 1, 2, 0, 0, 3, 1]
STEPS = st.lists(st.sampled_from(["come", "go", "go", "back"]), max_size=40)


def board() -> Any:
    """Ten sends, each of a row of its own, that reach the server one after the other."""
    columns = {"row": list(range(10)), "reached": [float(n) for n in range(10)]}
    rows = {"deadline": DEADLINES, "client": CLIENTS}
    return SimpleNamespace(
        columns=lambda *names: [columns[name] for name in names],
        rows=lambda *names: [rows[name] for name in names],
        state=SimpleNamespace(last_started=np.full(4, -inf)),
    )


KEYS = {
    "fifo": lambda position, _send, _started: position,
    "lifo": lambda position, _send, _started: -position,
    "edf": lambda position, send, _started: (DEADLINES[send], position),
    "fair": lambda position, send, started: (started[CLIENTS[send]], CLIENTS[send], position),
}


@pytest.mark.parametrize("discipline", DISCIPLINES)
@given(steps=STEPS)
def test_the_next_is_the_first_by_the_key_of_the_discipline(discipline, steps):
    """Some come, some are started one after the other, and the last that was started may be put back."""
    made = board()
    started = made.state.last_started
    queue = Queue(made, DISCIPLINES[discipline], [], 0)
    coming, waiting, returned, gone = list(range(10)), [], [], []
    for now, step in enumerate(steps):
        if step == "come" and coming:
            waiting.append(coming.pop(0))
            queue.append(waiting[-1])
        elif step == "back" and gone:
            returned.insert(0, gone.pop())
            queue.put_back(returned[:1])
        elif step == "go" and (waiting or returned):
            assert queue.oldest() == min([*waiting, *returned])
            if returned:
                send = returned.pop(0)
            else:
                places = enumerate(waiting)
                at, send = min(places, key=lambda one: KEYS[discipline](*one, started))
                waiting.pop(at)
            assert queue.pop_next() == send
            started[CLIENTS[send]] = now
            gone.append(send)
        assert list(queue) == [*returned, *waiting]
        assert (len(queue), queue.returned) == (len(returned) + len(waiting), len(returned))
        queue = Queue(made, DISCIPLINES[discipline], list(queue), queue.returned)  # written and read
