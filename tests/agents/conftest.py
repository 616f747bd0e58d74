"""What every test of the learners needs: one thread of torch, a cache that starts empty, Ray kept indoors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # as `agents.fleet` does, before any test imports Ray


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The learners promise the same bytes with one thread only."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the tests share, so that equal clients are trained once."""
    return tmp_path_factory.mktemp("cache")
