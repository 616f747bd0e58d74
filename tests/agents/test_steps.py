"""Steps of pretraining: batches by key, and copies of the server that are never ahead of it."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_fleets import group, scenario

from agents.plan import make_plan
from agents.server.steps import copy_in_force, rejector_batches, server_batches, staleness, steps_seen_by


@pytest.mark.parametrize(("interval", "versions"), [(1, [1, 2, 3, 4, 5, 6]), (3, [0, 0, 3, 3, 3, 6])])
def test_a_stale_copy_is_an_earlier_version(interval: int, versions: list[int]) -> None:
    """Refreshed after every `interval` steps of the server; before the first refresh it is untrained."""
    assert [copy_in_force(step, interval) for step in range(6)] == versions
    assert [staleness(step, interval) for step in range(6)] == [
        step + 1 - version for step, version in enumerate(versions)
    ]


@given(interval=st.integers(1, 12), steps=st.integers(0, 40))
def test_every_step_is_seen_by_exactly_the_copy_in_force(interval: int, steps: int) -> None:
    seen = {step: version for version in range(steps + 1) for step in steps_seen_by(version, interval, steps)}
    assert seen == {step: copy_in_force(step, interval) for step in range(steps)}
    assert all(0 <= staleness(step, interval) < interval for step in range(steps))


def test_all_rejectors_look_at_the_same_batches() -> None:
    """They are keyed by the seed alone: neither groups nor settings move them."""
    few = rejector_batches(make_plan(scenario()))
    many = rejector_batches(make_plan(scenario(group("a"), group("b", clients=9), study={"c_e": (0.0, 0.5)})))
    assert np.array_equal(few, many)
    assert few.shape == (18, 64)
    counts = np.bincount(few.ravel(), minlength=359)
    assert counts.max() - counts.min() <= 1


def test_a_shared_batch_serves_both_stages() -> None:
    plan = make_plan(scenario(training={"shared_batch": True, "pretrain": {"epochs": 2}}))
    assert np.array_equal(rejector_batches(plan), np.stack(list(islice(server_batches(plan), plan.steps))))
    apart = make_plan(scenario())
    of_server = np.stack(list(islice(server_batches(apart), apart.steps)))
    assert not np.array_equal(rejector_batches(apart), of_server)
