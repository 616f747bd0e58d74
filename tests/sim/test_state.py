"""The loop's state as data."""

from __future__ import annotations

import numpy as np
from worlds import group_of, scenario_of

from sim.engine.state import ROW_TYPES, SEND_TYPES, TOKEN, at_start, empty, join, take
from sim.world.world import World


def test_at_the_start_nobody_has_come_and_everybody_holds_one_retry():
    outage = {"when": {"kind": "intervals", "at": ((0.0, 5.0),)}, "target": {"kind": "replicas", "count": 1}}
    server = SERVER | {"outages": (outage,)}
    state = at_start(World(scenario_of(fleet=(group_of(clients=3),), server=server)))
    assert state.next_k.tolist() == [0, 0, 0]
    assert state.device_free.tolist() == [-np.inf] * 3
    assert state.allowance.tolist() == [TOKEN] * 3
    (server,) = state.stations
    assert (server.waiting, server.batch_of, server.usable) == ([], [[], []], 1)
    assert set(state.rows) == set(ROW_TYPES)
    assert set(state.sends) == set(SEND_TYPES)


SERVER = {"replicas": 2, "service": {"kind": "affine", "base_s": 1.0}}


def test_rows_are_joined_and_taken_column_by_column():
    three = {"a": np.array([1, 2, 3]), "b": np.array([0.1, 0.2, 0.3])}
    both = join(three, take(three, np.array([True, False, True])))
    assert both["a"].tolist() == [1, 2, 3, 1, 3]
    assert take(both, np.array([4, 0]))["b"].tolist() == [0.3, 0.1]
    assert all(len(column) == 2 for column in empty(SEND_TYPES, 2).values())
    assert {name: column.dtype for name, column in join(empty(SEND_TYPES), empty(SEND_TYPES, 2)).items()} == {
        name: np.dtype(kind) for name, kind in SEND_TYPES.items()
    }
