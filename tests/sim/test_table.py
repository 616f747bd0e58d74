"""From ended requests to rows: every column of `requests` and `attempts` for requests made by hand."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds import frame, group_of, scenario_of, uniform

from sim.engine.learning import Learning
from sim.engine.state import ROW_TYPES, SEND_TYPES, Ended, empty
from sim.messages import GroupTables, Learned, Samples, Tables
from sim.results.columns import ATTEMPTS, CAUSES, OUTCOMES, REQUESTS
from sim.results.table import Tabulator
from sim.results.table import tabulator as tabulator_of
from sim.world.population import CLIENT_SHIFT
from sim.world.world import World

HORIZON_S = 100.0
# Group "own" falls back to its own answer and has two models for its two clients, group "mute" to none.
FLEET = (group_of("own", clients=2, model={"variants": 2}), group_of("mute", fallback="none"))
LEARNED = Learned(
    samples=Samples(
        sample_id=np.array([100, 101, 102], np.int32),
        base_id=np.array([0, 1, 2], np.int32),
        view=np.zeros(3, np.int32),
        label=np.array([4, 5, 6], np.int16),
        pool=np.full(3, 4, np.int8),
        held_out=np.array([True, False, True]),
    ),
    traffic=((uniform(np.arange(3, dtype=np.int32)),),) * 2,
    tables=Tables(
        groups=(
            GroupTables(np.array([[4, 0, 0], [1, 5, 1]], np.int16), None),
            GroupTables(np.array([[2, 2, 7]], np.int16), None),
        ),
        server_label=np.array([9, 5, 6], np.int16),
    ),
    client_hashes=(("a", "b"), ("c",)),
    learning={},
    deferral={},
    partitions={},
)


def row(client: int, k: int, sample: int, outcome: str, resolved: float, **parts: Any) -> dict[str, Any]:
    """A decided row that arrived at 10 s and was decided at 11 s."""
    return {
        "request_id": client << CLIENT_SHIFT | k,
        "client": client,
        "sample": sample,
        "arrived": 10.0,
        "decided": 11.0,
        "deadline": inf,
        "server_version": 0,
        "score": 0.25,
        "threshold": 0.125,
        "propensity": 1.0,
        "deferred": True,
        "outcome": OUTCOMES.index(outcome),
        "completed_at": resolved,
    } | parts


def send(row: int, attempt: int, sent: float, cause: str = "none", **parts: Any) -> dict[str, Any]:
    """A send that reaches the server in a second and, unless told otherwise, is never served."""
    return {
        "row": row,
        "attempt": attempt,
        "sent": sent,
        "reached": sent + 1,
        "timeout_at": inf,
        "started": nan,
        "finished": nan,
        "replica": -1,
        "cause": CAUSES.index(cause),
    } | parts


ROWS = [
    row(0, 0, 0, "local", 11.0, score=-0.5, propensity=0.0, deferred=False),
    row(0, 1, 1, "remote", 16.0),
    row(1, 0, 1, "timed_out", 40.0),
    row(1, 1, 0, "timed_out", 11.0),
    row(2, 0, 2, "refused", 13.0),
    row(
        2, 1, 1, "in_flight", nan, decided=120.0, server_version=-1, score=0.0, propensity=0.0, deferred=False
    ),
    row(2, 2, 2, "in_flight", nan),
]
SERVED = {"started": 13.0, "finished": 15.0, "replica": 2, "batch_size": 4}
SENDS = [  # in no order: retries are appended behind the first sends of other requests
    send(2, 2, 20.0, "lost", started=22.0, replica=1, batch_size=3),
    send(1, 1, 11.0, **SERVED),
    send(6, 1, 99.5),
    send(2, 1, 11.0, "queue_full"),
    send(4, 1, 11.0, "down"),
    send(2, 3, 30.0, "lost"),
]

EXPECTED: dict[str, list[Any]] = {
    "request_id": [0, 1, 1 << 32, (1 << 32) + 1, 2 << 32, (2 << 32) + 1, (2 << 32) + 2],
    "client_id": [0, 0, 1, 1, 2, 2, 2],
    "group": ["own", "own", "own", "own", "mute", "mute", "mute"],
    "sample_id": [100, 101, 101, 100, 102, 101, 102],
    "held_out": [True, False, False, True, True, False, True],
    "label": [4, 5, 5, 4, 6, 5, 6],
    "server_version_at_decision": [0, 0, 0, 0, 0, -1, 0],
    "arrived_at_s": [10.0] * 7,
    "decided_at_s": [11.0, 11.0, 11.0, 11.0, 11.0, nan, 11.0],
    "score": [-0.5, 0.25, 0.25, 0.25, 0.25, nan, 0.25],
    "threshold": [0.125, 0.125, 0.125, 0.125, 0.125, nan, 0.125],
    "propensity": [0.0, 1.0, 1.0, 1.0, 1.0, nan, 1.0],
    "deferred": [False, True, True, True, True, False, True],
    "attempts": [0, 1, 3, 0, 1, 0, 1],
    "sent_at_s": [nan, 11.0, 30.0, nan, 11.0, nan, 99.5],
    "reached_at_s": [nan, 12.0, 31.0, nan, 12.0, nan, nan],  # 100.5 s lies beyond the horizon
    "started_at_s": [nan, 13.0, nan, nan, nan, nan, nan],
    "finished_at_s": [nan, 15.0, nan, nan, nan, nan, nan],
    "first_answer_at_s": [11.0, 16.0, 40.0, 11.0, nan, nan, nan],
    "answered_at_s": [11.0, 16.0, 40.0, 11.0, nan, nan, nan],
    "replica": [-1, 2, -1, -1, -1, -1, -1],
    "batch_size": [0, 4, 0, 0, 0, 0, 0],
    "outcome": ["local", "remote", "timed_out", "timed_out", "refused", "in_flight", "in_flight"],
    "server_cause": ["none", "none", "lost", "none", "down", "none", "none"],
    "answered_by": ["client", "server", "client", "client", "none", "none", "none"],
    "client_label": [4, 0, 5, 1, 7, -1, 7],
    "server_label": [9, 5, 5, 9, 6, -1, 6],
    "answer_label": [4, 5, 5, 1, -1, -1, -1],
    "correct": [True, True, True, False, False, False, False],
    "cost": [0.0, 0.25, 0.75, 0.0, 0.25, 0.0, 0.25],
    "server_version": [0, 0, 0, 0, 0, -1, 0],
    "copy_version": [0, 0, 0, 0, 0, -1, 0],
    "rejector_version": [0, 0, 0, 0, 0, -1, 0],
}
EXPECTED_ATTEMPTS: dict[str, list[Any]] = {
    "request_id": [1 << 32] * 3,
    "attempt": [1, 2, 3],
    "sent_at_s": [11.0, 20.0, 30.0],
    "reached_at_s": [12.0, 21.0, 31.0],
    "started_at_s": [nan, 22.0, nan],
    "finished_at_s": [nan] * 3,
    "replica": [-1, 1, -1],
    "batch_size": [0, 3, 0],
    "server_cause": ["queue_full", "lost", "lost"],
    "charged": [True] * 3,
}


def columns(types: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    found = empty(types, len(rows))
    for name in types:
        found[name][:] = [one.get(name, 0) for one in rows]
    return found


def tabulator() -> Tabulator:
    scenario = scenario_of(horizon_s=HORIZON_S, fleet=FLEET, costs={"c_e": 0.25})
    return tabulator_of(World(scenario), Learning(World(scenario), LEARNED))


def requests_of(ended: Ended) -> pa.Table:
    made = tabulator()
    return made.requests(made.columns(ended))


def ended() -> Ended:
    return Ended(columns(ROW_TYPES, ROWS), columns(SEND_TYPES, SENDS))


def test_no_column_is_left_out_here():
    assert set(EXPECTED) == set(REQUESTS.names)
    assert set(EXPECTED_ATTEMPTS) == set(ATTEMPTS.names)


@pytest.mark.parametrize("name", REQUESTS.names)
def test_a_column_of_requests_says_what_happened(name):
    values = frame(requests_of(ended()))[name].tolist()
    np.testing.assert_array_equal(values, EXPECTED[name])


@pytest.mark.parametrize("name", ATTEMPTS.names)
def test_a_column_of_attempts_says_what_became_of_every_send(name):
    """Only of the request that was sent more than once."""
    values = frame(tabulator().attempts(ended()))[name].tolist()
    np.testing.assert_array_equal(values, EXPECTED_ATTEMPTS[name])


def test_tables_have_the_declared_types():
    assert requests_of(ended()).schema.equals(REQUESTS)
    assert tabulator().attempts(ended()).schema.equals(ATTEMPTS)


def test_a_chunk_in_which_nothing_ends_gives_empty_tables_of_the_same_types():
    nothing = Ended(empty(ROW_TYPES), empty(SEND_TYPES))
    requests, attempts = requests_of(nothing), tabulator().attempts(nothing)
    assert (len(requests), len(attempts)) == (0, 0)
    assert requests.schema.equals(REQUESTS)
    assert pa.concat_tables([requests, requests_of(ended())]).num_rows == 7


def test_what_is_tabulated_is_left_as_it_was():
    before, found = ended(), ended()
    requests_of(found)
    tabulator().attempts(found)
    for name, column in before.rows.items():
        np.testing.assert_array_equal(found.rows[name], column)
    for name, column in before.sends.items():
        np.testing.assert_array_equal(found.sends[name], column)
