"""Cuts what is summed up at once smaller, so that a run of few requests is counted as one of many is."""

from __future__ import annotations

import pytest

from analysis import side_by_side
from analysis.metrics import by_client
from analysis.run_folder import filled, per_request
from analysis.statistics import clusters, percentiles, pieces, scattered

CUTTING = (by_client, clusters, filled, per_request, percentiles, pieces, scattered, side_by_side)


def cut(monkeypatch: pytest.MonkeyPatch, at_once: int = 1000) -> None:
    for module in CUTTING:
        monkeypatch.setattr(module, "AT_ONCE", at_once)
