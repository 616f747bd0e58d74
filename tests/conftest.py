"""What holds for every test: a property's examples are the same each time (but with the profile `anew`), and
not timed, since other work shares the cores; with many workers a file's tests stay together, and those that
start clusters or servers come one after another."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import one_thread  # noqa: F401  (before all others)
import pytest
from hypothesis import settings
from plain import draw_plainly
from tried import QUICK, WHOLE

from agents.backends.before_ray import before_ray

LIVE = Path(__file__).parent / "live"

os.environ.setdefault("RAY_worker_niceness", "0")  # else tests of clusters starve beside the others
before_ray(None)  # here, since some test modules import Ray as they are collected

settings.register_profile("whole", deadline=None, derandomize=True, max_examples=WHOLE)
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=QUICK)
settings.register_profile("anew", deadline=None, max_examples=WHOLE)


@pytest.hookimpl(tryfirst=True)  # Hypothesis loads a profile that was asked for, and then that one counts
def pytest_configure(config: pytest.Config) -> None:
    """Before any test module is imported."""
    settings.load_profile("quick" if "not slow" in config.option.markexpr else "whole")


@pytest.fixture(scope="module", autouse=True)
def no_cluster_is_left_behind() -> Iterator[None]:
    """Whoever comes next in this process would join it, unasked."""
    yield
    ray = sys.modules.get("ray")
    assert ray is None or not ray.is_initialized()


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn as ever, but written as empty pictures: most of a report's time is their text."""
    draw_plainly(monkeypatch)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: the one with the clusters mostly waits."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker, deals whole files, whose tests share what they need, but for tests that start clusters or
    servers: two at once do not fit, so these are one group.

    It comes first: it is the longest, and the others fill what is left.
    """
    if not hasattr(config, "workerinput"):
        return
    alone = {item for item in items if item.get_closest_marker("ray") or item.path.is_relative_to(LIVE)}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("clusters" if item in alone else str(item.path)))
    items.sort(key=lambda item: item not in alone)
