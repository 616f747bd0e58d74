"""Which version clients have: what is summed over very many of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from tried import tried

from sim.engine.handlers.lookups import in_force, version_at
from sim.world.versions import Log, Versions


def versions(entries: int) -> Versions:
    """Of one client, who gets so many, at random instants of 1,000 s."""
    at_s = np.sort(np.random.default_rng(0).uniform(0.0, 1_000.0, entries))
    at_s[0] = -np.inf
    return Versions(at_s, np.arange(entries, dtype=np.int32), np.array([0, entries]))


@pytest.mark.parametrize("entries", [1, 2, 3, 4, 5, 8])
def test_a_version_is_in_force_from_its_instant_on(entries: int) -> None:
    """At an instant before the second, at each, and between any two."""
    at_s = np.append(-np.inf, np.arange(1.0, entries))
    held = SimpleNamespace(first=[0, entries], at_s=at_s, version=np.arange(entries))
    for at in np.arange(0.5, entries + 0.5, 0.5):
        last = int(np.searchsorted(at_s, at, side="right")) - 1
        assert in_force(at_s, at) == version_at(held, 0, at) == last


@st.composite
def held_by_some(draw: st.DrawFn) -> Versions:
    """What some clients have, at whole seconds, some versions skipped."""
    clients = draw(st.integers(1, 4))
    log = Log(clients, 20.0)
    for version in range(1, draw(st.integers(0, 6)) + 1):
        who = np.array(draw(st.lists(st.booleans(), min_size=clients, max_size=clients)))
        log.add(version, who, np.full(clients, 3.0 * version))
    return log.versions()


@tried(50)
@given(held=held_by_some(), from_s=st.integers(-1, 20), lasts_s=st.integers(1, 25), data=st.data())
def test_means_and_last_uses_are_those_of_each_second(
    held: Versions, from_s: int, lasts_s: int, data: st.DataObject
) -> None:
    clients = len(held.first) - 1
    first = data.draw(st.integers(0, clients - 1))
    end = data.draw(st.integers(first + 1, clients))
    seconds = np.arange(from_s, from_s + lasts_s) + 0.5
    had = np.array([[held.one(client, at_s) for at_s in seconds] for client in range(first, end)])
    assert held.mean(first, end, from_s, from_s + lasts_s) == pytest.approx(had.mean())
    ever = np.array(
        [[held.one(client, at_s) for at_s in np.arange(-0.5, 21.0)] for client in range(first, end)]
    )
    for version, until_s in enumerate(held.last_use_s(first, end)):
        times = np.flatnonzero((ever == version).any(axis=0))
        expected = -np.inf if not len(times) else np.inf if times[-1] == ever.shape[1] - 1 else times[-1]
        assert until_s == expected


@pytest.mark.parametrize("entries", [1, 10_000, 10_001, 40_000])
def test_a_mean_version_has_the_same_bits_on_any_number_of_cores(entries: int) -> None:
    """OpenBLAS adds up more than 10,000 products in as many parts as it has threads."""
    held = versions(entries)

    def means() -> list[float]:
        return [held.mean(0, 1, from_s, from_s + 300.0) for from_s in range(0, 700, 20)]

    with threadpool_limits(1):
        alone = means()
    with threadpool_limits(2):
        assert means() == alone
    exact = np.array([held.one(0, at_s) for at_s in np.arange(0.05, 1_000.0, 0.1)], dtype=float)
    assert means()[0] == pytest.approx(exact[:3_000].mean(), rel=0.01)
