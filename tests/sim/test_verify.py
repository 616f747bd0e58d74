"""The laws of a run: true tables pass, and every way of falsifying one is found and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds import WrittenArrivals, group_of, made_up, scenario_of

from sim.engine.run import chunks
from sim.engine.state import ROW_TYPES, SEND_TYPES, Ended, State, at_start, empty
from sim.errors import RunFailed
from sim.results.verify import Verifier
from sim.world.world import World

LOST = {"when": {"kind": "intervals", "at": ((2.0, 4.0),)}, "target": {"kind": "replicas", "count": 1}}
SCENARIO = scenario_of(
    horizon_s=20.0,
    fleet=(
        group_of(
            clients=2,
            link={"latency": 0.25},
            timeout_s=1.75,
            retry={"attempts": 2, "backoff_s": 0.5, "jitter": "none"},
        ),
    ),
    server={"replicas": 2, "service": {"kind": "affine", "base_s": 1.0}, "outages": (LOST,)},
)
ARRIVALS = ((1.0, 0), (1.5, 1), (1.5, 0), (5.0, 0), (12.0, 1), (12.5, 0), (19.5, 1))


def written() -> list[tuple[pa.Table, pa.Table]]:
    """Two parts, [0, 10) and [10, 20)."""
    run = chunks(World(SCENARIO), made_up(SCENARIO), WrittenArrivals(ARRIVALS), 10.0)
    return [(chunk.requests, chunk.attempts) for chunk in run]


def arrived() -> State:
    state = at_start(World(SCENARIO))
    state.next_k[:] = [4, 3]
    return state


def verify(tables: list[tuple[pa.Table, pa.Table]]) -> None:
    verifier = Verifier(World(SCENARIO))
    for index, (requests, attempts) in enumerate(tables):
        verifier.chunk(requests, attempts, index == len(tables) - 1)
    verifier.finish(arrived(), {}, SCENARIO.horizon_s)


def changed(table: pa.Table, row: int, **values: Any) -> pa.Table:
    """The table with some values of one row replaced."""
    for name, value in values.items():
        column = table[name].to_pylist()
        column[row] = value
        place, kind = table.column_names.index(name), table.schema.field(name).type
        flat = kind.value_type if pa.types.is_dictionary(kind) else kind
        replacement = pa.array(column, type=flat)
        if pa.types.is_dictionary(kind):
            words = table[name].combine_chunks().dictionary
            codes = [words.to_pylist().index(word) for word in column]
            replacement = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int16()), words)
        table = table.set_column(place, table.schema.field(name), replacement)
    return table


def test_true_tables_pass():
    (requests, attempts), (more, _) = written()
    assert (len(requests), len(attempts), len(more)) == (4, 4, 3)
    verify(written())


@pytest.mark.parametrize(
    "values",
    [
        {"decided_at_s": 0.5},
        {"sent_at_s": 0.5},
        {"sent_at_s": 5.0},
        {"reached_at_s": 0.75},
        {"started_at_s": 1.0},
        {"started_at_s": 7.5},
        {"finished_at_s": 1.0},
        {"finished_at_s": 0.5, "started_at_s": np.nan},
        {"first_answer_at_s": 0.5},
        {"answered_at_s": 0.5},
    ],
    ids=str,
)
def test_times_out_of_order(values):
    """Request 3 arrived, was decided and sent at 5.0 s, reached at 5.25, ran until 6.25, was heard at 6.5.

    Request 0: 1.0, 1.25, 2.25, 2.5. A time before the one that precedes it is found even if some in
    between did not happen.
    """
    (requests, attempts), rest = written()
    row = requests["request_id"].to_pylist().index(0)
    with pytest.raises(RunFailed, match=r"times of request 0 are out of order: arrived_at_s <= "):
        verify([(changed(requests, row, **values), attempts), rest])


def test_times_of_an_attempt_out_of_order():
    (requests, attempts), rest = written()
    request = attempts["request_id"][0].as_py()
    with pytest.raises(
        RunFailed, match=rf"times of request {request} are out of order: sent_at_s <= reached_at_s"
    ):
        verify([(requests, changed(attempts, 0, sent_at_s=9.5)), rest])


def test_a_batch_on_a_replica_that_was_not_usable():
    """Replica 1 is out from 2.0 to 4.0: a start at 2.0 breaks the law, one at 4.0 does not."""
    (requests, attempts), rest = written()
    row = requests["request_id"].to_pylist().index(3 - 1)
    during = {"arrived_at_s": 1.0, "decided_at_s": 1.0, "sent_at_s": 1.0, "reached_at_s": 1.0}
    during |= {"finished_at_s": 9.0, "first_answer_at_s": 9.0, "answered_at_s": 9.0, "replica": 1}
    during |= {"outcome": "timed_out"}
    verify([(changed(requests, row, **during, started_at_s=4.0), attempts), rest])
    with pytest.raises(RunFailed, match=r"a batch started at 2\.0 s on a replica that was not usable"):
        verify([(changed(requests, row, **during, started_at_s=2.0), attempts), rest])


def test_an_attempt_on_a_replica_that_is_not_there():
    (requests, attempts), rest = written()
    row = np.flatnonzero(~np.isnan(attempts["started_at_s"].to_numpy()))[0]
    with pytest.raises(RunFailed, match="on a replica that was not usable"):
        verify([(requests, changed(attempts, int(row), replica=2)), rest])


def test_a_request_without_an_outcome_before_the_end():
    (requests, attempts), rest = written()
    with pytest.raises(RunFailed, match="a request was written before its outcome was known"):
        verify([(changed(requests, 0, outcome="in_flight"), attempts), rest])
    assert "in_flight" in rest[0]["outcome"].to_pylist()  # at the end it is allowed


def test_a_request_that_is_written_twice_in_a_part():
    (requests, attempts), rest = written()
    twice = pa.concat_tables([requests.slice(0, 1), requests])
    with pytest.raises(RunFailed, match="rows are out of order, or a request was written twice"):
        verify([(twice, attempts), rest])


def test_rows_that_are_out_of_order():
    (requests, attempts), rest = written()
    with pytest.raises(RunFailed, match="rows are out of order"):
        verify([(requests.take([1, 0, 2, 3]), attempts), rest])


def test_a_request_that_is_written_in_two_parts():
    first, (more, attempts) = written()
    both = pa.concat_tables([first[0].slice(0, 1), more])
    with pytest.raises(RunFailed, match="7 requests arrived, 8 have an outcome"):
        verify([first, (both, attempts)])


def test_a_request_that_is_missing():
    (requests, attempts), rest = written()
    with pytest.raises(RunFailed, match="7 requests arrived, 6 have an outcome"):
        verify([(requests.slice(1), attempts), rest])


def test_a_request_that_is_counted_to_another_client():
    (requests, attempts), rest = written()
    with pytest.raises(RunFailed, match="7 requests arrived, 7 have an outcome"):
        verify([(changed(requests, 0, client_id=1), attempts), rest])


def test_a_request_that_stands_in_the_place_of_another():
    """Client 0's first is written once more instead of its last: the numbers of rows are right."""
    first, (more, attempts) = written()
    assert more["request_id"][0].as_py() == 3
    swapped = pa.concat_tables([first[0].slice(0, 1), more.slice(1)])
    with pytest.raises(RunFailed, match="a request was written twice"):
        verify([first, (swapped, attempts)])


# Budgets and autoscaling.

THRIFTY = scenario_of(
    horizon_s=20.0,
    fleet=(group_of(clients=2, budget={"kind": "count", "per_s": 10.0, "limit": 2, "shared_by": "group"}),),
    costs={"charge_on": "send"},
)


def charged(*sends: tuple[float, int]) -> tuple[Ended, np.ndarray]:
    """Requests of the given clients, each sent once at the given instant and charged."""
    rows, columns = empty(ROW_TYPES, len(sends)), empty(SEND_TYPES, len(sends))
    rows["client"] = np.array([client for _, client in sends], np.int32)
    columns["sent"] = np.array([at for at, _ in sends])
    columns["row"] = np.arange(len(sends))
    return Ended(rows, columns), np.ones(len(sends), dtype=bool)


def thrifty() -> Verifier:
    return Verifier(World(THRIFTY))


def test_what_a_budget_holds_may_be_spent():
    thrifty().spent(*charged((1.0, 0), (9.75, 1), (10.0, 0), (19.0, 0)), np.inf)


def test_more_than_a_budget_held():
    with pytest.raises(RunFailed, match=r"more was spent than the budget held, by a send at 9\.5 s"):
        thrifty().spent(*charged((1.0, 0), (9.5, 1), (3.0, 0)), np.inf)


def test_overspending_is_found_though_the_rows_are_written_in_different_chunks():
    """The request of 2.0 ends last: what was sent since its arrival is looked at when it is known."""
    verifier = thrifty()
    verifier.spent(*charged((1.0, 0), (9.5, 1)), 2.0)
    with pytest.raises(RunFailed, match=r"by a send at 9\.5 s"):
        verifier.spent(*charged((2.0, 0)), np.inf)


def test_what_was_not_charged_is_not_spent():
    ended, _ = charged((1.0, 0), (9.5, 1), (3.0, 0))
    thrifty().spent(ended, np.array([True, True, False]), np.inf)


def test_a_batch_on_a_replica_that_the_autoscaler_had_not():
    (requests, attempts), _ = written()
    ids = requests["request_id"].to_pylist()
    at = changed(requests, ids.index(0), replica=1)
    for steps, is_wrong in (
        ([(0.0, 2)], False),
        ([(0.0, 2), (0.5, 1)], True),
        ([(0.0, 1), (1.25, 2)], False),
    ):
        verifier = Verifier(World(SCENARIO))
        verifier.scaled(0, steps)
        if is_wrong:
            with pytest.raises(RunFailed, match="on a replica that was not usable"):
                verifier.chunk(at, attempts, False)
        else:
            verifier.chunk(at, attempts.slice(0, 0), False)
