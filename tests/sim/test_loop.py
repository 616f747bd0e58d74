"""The product's loop against its readable definition, on random small scenarios, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from strategies import several, worlds
from strategies_together import together
from tried import tried
from worlds import (
    differences,
    group_of,
    made_up,
    poisson,
    product_with_energy,
    reference_with_energy,
    scenario_of,
)


def assert_loops_agree(scenario, arrivals, chunk_s, learned=None):
    learned = learned or made_up(scenario)
    loops = (product_with_energy, reference_with_energy)
    ours, theirs = (loop(scenario, learned, arrivals, chunk_s) for loop in loops)
    for mine, told in zip(ours, theirs, strict=True):
        assert differences(mine, told) == []


@pytest.mark.slow
@tried(150)
@given(worlds())
def test_every_table_equals_the_reference(world):
    """The same 400 worlds every time, so that a failure is the code's and not the day's."""
    assert_loops_agree(*world)


@pytest.mark.slow
@tried(100)
@given(worlds())
def test_every_table_equals_the_reference_on_new_worlds(world):
    """Other worlds on every run, to find in time what the fixed ones miss."""
    assert_loops_agree(*world)


@tried(200)
@given(several())
def test_several_servers_and_options_equal_the_reference(world):
    assert_loops_agree(*world)


@pytest.mark.slow
@tried(100)
@given(several())
def test_several_servers_and_options_equal_the_reference_on_new_worlds(world):
    assert_loops_agree(*world)


@tried(60)
@given(together())
def test_clients_that_learn_together_equal_the_reference(world):
    """Rounds, uploads, merges and broadcasts, of rejectors and of prototypes."""
    scenario, learned, arrivals, chunk_s = world
    assert_loops_agree(scenario, arrivals, chunk_s, learned)


@tried(60)
@given(together(near=True))
def test_neighbours_equal_the_reference(world):
    """Clusters with one uplink, and what is handed over."""
    scenario, learned, arrivals, chunk_s = world
    assert_loops_agree(scenario, arrivals, chunk_s, learned)


FLEET = group_of(
    clients=20,
    arrivals={"process": {"kind": "poisson", "rate_hz": 1.5}},
    device={"inference_s": 0.02},
    link={"latency": {"kind": "lognormal", "mean_s": 0.05, "cv": 0.5}},
    deadline_s=4.0,
    timeout_s=1.5,
    retry={"attempts": 3, "backoff_s": 0.2},
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_batch", [1, 4])
def test_long_runs_with_many_replicas_equal_the_reference(seed, max_batch):
    """Replicas that come and go, busy and idle in every order: the lowest idle one always works."""
    outages = tuple(
        {
            "when": {
                "kind": "intervals",
                "at": tuple((t, t + 1.25) for t in range(5 + count, 115, count + 2)),
            },
            "target": {"kind": "replicas", "count": count},
        }
        for count in (1, 2, 3, 5, 8, 13, 24)
    )
    server = {
        "replicas": 24,
        "max_batch": max_batch,
        "batch_wait_s": 0.1,
        "queue_limit": 20,
        "service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.5}},
        "outages": outages,
    }
    scenario = scenario_of(seed=seed, horizon_s=120.0, fleet=(FLEET,), server=server)
    assert_loops_agree(scenario, poisson(scenario, 60.0), 60.0)
