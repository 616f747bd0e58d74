"""Serverless servers, told call by call: which instances are warm, who finds none, and what outages do.

A call takes one second, and half a second more on a cold instance, unless a story says otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest
from stories import Story, devices, server
from worlds import scenario_of

from sim.scenario.rules import checks

TWO = devices(clients=2)


def calls(**parts: Any) -> dict[str, Any]:
    return {"keep_alive_s": 2.0, "cold_start_s": 0.5} | parts


def burst(instances: int = 3, terms: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    return server(replicas=instances, serverless=terms or calls(), **parts)


def test_an_instance_is_warm_until_its_last_call_is_long_over():
    """Cold at 0, until 1.5; warm at 3.0, until 4.0; at 6.0, just when it would expire; cold at 9.25."""
    story = Story((0.0, 0), (3.0, 0), (6.0, 0), (9.25, 0), server=burst())
    assert story["cold_start"] == [True, False, False, True]
    assert story["finished_at_s"] == [1.5, 4.0, 7.0, 10.75]
    assert story["replica"] == [0, 0, 0, 0]


def test_of_warm_instances_the_lowest_is_called():
    """Both started cold, and are warm at 3.0."""
    story = Story((0.0, 0), (3.0, 0), (0.25, 1), fleet=TWO, server=burst())
    assert story["cold_start"] == [True, False, True]
    assert story["replica"] == [0, 0, 1]


def test_a_warm_instance_is_called_before_a_cold_one_of_a_lower_index():
    """Index 0, called until 3.25, is warm until 4.0; index 1, called from 2.5, beside it, until 4.25."""
    story = Story(
        (0.0, 0),
        (2.25, 0),
        (4.25, 0),
        (0.25, 1),
        (2.5, 1),
        fleet=TWO,
        server=burst(terms=calls(keep_alive_s=0.75)),
    )
    assert story["replica"] == [0, 0, 1, 1, 1]
    assert story["cold_start"] == [True, False, False, True, False]


def test_of_two_calls_at_one_instant_the_second_is_cold_on_a_lower_index():
    """Both at 4.25: the first takes index 1, warm until then, the second index 0, warm until 4.0."""
    story = Story(
        *((0.0, 0), (2.25, 0), (4.25, 0), (0.25, 1), (2.5, 1), (4.25, 1)),
        fleet=TWO,
        server=burst(terms=calls(keep_alive_s=0.75)),
    )
    assert story["replica"] == [0, 0, 1, 1, 1, 0]
    assert story["cold_start"] == [True, False, False, True, False, True]


def test_a_call_beyond_the_instances_is_refused_or_waits():
    """The one instance is busy until 1.5: with places the second waits for it and finds it warm."""
    for limit, outcomes, ends in (
        (0, ["remote", "refused"], [1.5, None]),
        (None, ["remote"] * 2, [1.5, 2.5]),
    ):
        story = Story((0.0, 0), (1.0, 1), fleet=TWO, server=burst(1, queue_limit=limit))
        assert story["outcome"] == outcomes
        assert story["finished_at_s"] == ends
        assert story["cold_start"] == [True, False]


def test_an_outage_turns_instances_cold_but_those_provisioned():
    for provisioned, cold in ((0, True), (1, False)):
        terms = calls(provisioned=provisioned)
        story = Story((0.0, 0), (2.5, 0), server=burst(terms=terms, down=((2.0, 2.25),)))
        assert story["cold_start"] == [cold, cold]


def test_a_call_that_outlasts_an_outage_leaves_its_instance_warm():
    """From 0 to 1.5: through the outage from 0.5 to 1.0, but not where one from 1.25 on is not over."""
    for down, cold in (((0.5, 1.0), False), ((1.25, 1.75), True)):
        story = Story((0.0, 0), (2.0, 0), server=burst(down=(down,), in_flight="finish"))
        assert story["cold_start"] == [True, cold]


def test_a_cold_start_is_not_slowed_down():
    slow = {"when": {"kind": "intervals", "at": ((0.0, 9.0),)}, "effect": {"kind": "slowdown", "factor": 3.0}}
    story = Story((0.0, 0), server=burst() | {"outages": (slow,)})
    assert story["finished_at_s"] == [3.5]


SCALING = {"target_queue": 1.0, "interval_s": 1.0, "provisioning_s": 0.0, "min": 1, "max": 4}


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"max_batch": 4}, "server.max_batch"),
        ({"in_flight": "requeue"}, "server.in_flight"),
        ({"in_flight": "resume"}, "server.in_flight"),
        ({"terms": calls(provisioned=4)}, "server.serverless.provisioned"),
        ({"autoscaling": SCALING}, "server.autoscaling"),
        ({"terms": calls(provisioned=3)}, None),
    ],
)
def test_what_calls_do_not_go_with_is_refused(parts, path):
    found = [".".join(finding.path) for finding in checks.findings(scenario_of(server=burst(**parts)))]
    assert found == ([path] if path else [])


def test_a_call_beside_an_instance_that_is_down_takes_another():
    """Of two instances the second is down, and neither was called before."""
    story = Story((2.0, 0), server=burst(2, replicas_down=((1.0, 3.0),)))
    assert (story["replica"], story["cold_start"]) == ([0], [True])
