"""Rules about what servers heed and clients bring: priorities, work, allowances, breakers, scaling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worlds import group_of, scenario_of

from sim.scenario.rules import checks


def broken(**parts: Any) -> list[str]:
    """The paths of a small scenario that break a rule, of those that these parts are about."""
    return [".".join(map(str, finding.path)) for finding in checks.findings(scenario_of(**parts))]


def server(**parts: Any) -> dict[str, Any]:
    return {"service": {"kind": "affine", "base_s": 1.0}} | parts


@pytest.mark.parametrize(
    ("priority", "discipline", "paths"),
    [(1, "fifo", ["fleet.1.priority"]), (1, "priority", []), (0, "fifo", [])],
)
def test_a_priority_needs_a_server_that_heeds_it(priority: int, discipline: str, paths: list[str]) -> None:
    fleet = (group_of("a"), group_of("b", priority=priority))
    assert broken(fleet=fleet, server=server(discipline=discipline)) == paths


@pytest.mark.parametrize(
    ("columns", "paths"), [({}, ["fleet.0.arrivals.process.work_of_one"]), ({"work": "t"}, [])]
)
def test_work_that_counts_is_named(tmp_path: Path, columns: dict[str, str], paths: list[str]) -> None:
    (tmp_path / "a.csv").write_text("time,t\n1,5\n")
    process = {"kind": "trace", "file": str(tmp_path / "a.csv"), "columns": columns, "work_of_one": 2.0}
    assert broken(fleet=(group_of(arrivals={"process": process}),)) == paths


@pytest.mark.parametrize(
    ("breaker", "paths"),
    [
        ({"failures": 2}, []),
        ({"ratio": 0.5, "window": 4}, []),
        ({}, ["fleet.0.breaker"]),
        ({"failures": 2, "ratio": 0.5, "window": 4}, ["fleet.0.breaker"]),
        ({"ratio": 0.5}, ["fleet.0.breaker.window"]),
        ({"failures": 2, "window": 4}, ["fleet.0.breaker.window"]),
    ],
)
def test_a_breaker_opens_in_one_way(breaker: dict[str, Any], paths: list[str]) -> None:
    assert broken(fleet=(group_of(breaker=breaker | {"cooldown_s": 1.0}),)) == paths


@pytest.mark.parametrize(("allowance", "paths"), [(0.2, []), (None, ["fleet.0.retry.allowance_by"])])
def test_tokens_that_are_shared_are_limited(allowance: float | None, paths: list[str]) -> None:
    retry = {"allowance": allowance, "allowance_by": "group"}
    assert broken(fleet=(group_of(retry=retry, timeout_s=1.0),)) == paths


SCALING = {"interval_s": 4.0, "provisioning_s": 0.0, "min": 1, "max": 4}


@pytest.mark.parametrize(
    ("scaling", "survives", "paths"),
    [
        ({"target_queue": 2.0}, False, []),
        ({}, True, ["server.autoscaling"]),
        ({"target_queue": 2.0, "target_utilisation": 0.5}, True, ["server.autoscaling"]),
        ({"target_queue": 2.0, "min": 0}, True, []),
        ({"target_queue": 2.0, "min": 0}, False, ["server.autoscaling.min"]),
        ({"target_queue": 2.0, "stabilise_s": 4_001.0}, True, ["server.autoscaling.stabilise_s"]),
    ],
)
def test_an_autoscaler_goes_by_one_target(scaling: dict[str, Any], survives: bool, paths: list[str]) -> None:
    assert broken(server=server(autoscaling=SCALING | scaling, queue_survives=survives)) == paths


CALLS = {"keep_alive_s": 1.0, "cold_start_s": 0.1}


@pytest.mark.parametrize(
    ("parts", "paths"),
    [
        ({}, []),
        ({"in_flight": "finish"}, []),
        ({"max_batch": 2}, ["server.max_batch"]),
        ({"stages": 2}, ["server.stages"]),
        ({"autoscaling": SCALING | {"target_queue": 2.0}, "queue_survives": True}, ["server.autoscaling"]),
        ({"in_flight": "requeue", "queue_survives": True}, ["server.in_flight"]),
        ({"serverless": CALLS | {"provisioned": 5}}, ["server.serverless.provisioned"]),
    ],
)
def test_instances_are_invoked_one_request_at_a_time(parts: dict[str, Any], paths: list[str]) -> None:
    assert broken(server=server(serverless=CALLS, replicas=4) | parts) == paths
