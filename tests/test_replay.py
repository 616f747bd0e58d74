"""What `replay` says of the requests that it played again."""

from __future__ import annotations

import pyarrow as pa

from commands.replay import SAME, sameness


def table(outcomes: list[str], arrived_at_s: tuple[float, ...] = (1.0, 10.0, 20.0)) -> pa.Table:
    """Three requests."""
    columns = {name: [0, 1, 2] for name in SAME} | {"arrived_at_s": list(arrived_at_s)}
    return pa.table(columns | {"outcome": outcomes})


def test_requests_are_counted_with_those_of_the_warm_up_told_apart() -> None:
    """The comparison below it counts those after the warm-up alone: two numbers, and why they differ."""
    then, now = table(["local", "local", "remote"]), table(["remote", "local", "local"])
    assert sameness(then, now, 0.0) == "the same 3 requests; 2 have another outcome"
    assert sameness(then, now, 10.0) == (
        "the same 3 requests, 1 of them in the warm-up and not compared; 2 have another outcome"
    )
    assert sameness(then, table(["local"] * 3, (1.0, 10.0, 21.0)), 10.0).startswith("not the same requests")
