"""What is told of transmissions is what the rows and the attempts tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import load_run
from analysis.theory import what_there_is

Finished = tuple[Path, dict[str, Any]]


def test_transmissions_are_counted_by_their_instants(of_batching: Finished) -> None:
    """From the first attempts alone: what one client sent at one instant left together."""
    path, summary = of_batching
    requests, attempts = (pd.read_parquet(path / name) for name in ("requests", "attempts"))
    first = attempts[attempts["attempt"] == 1].set_index("request_id")["sent_at_s"]
    requests["left_at_s"] = requests["request_id"].map(first).fillna(requests["sent_at_s"])
    counted = (requests["group"] == "meters") & (requests["arrived_at_s"] >= 10)
    mine = requests[counted & (requests["attempts"] > 0)]
    left = mine.groupby(["client_id", "left_at_s"])
    told = summary["transmissions"]
    assert set(told) == {"meters"}
    # One that the warm-up cuts is named by a request that is not counted.
    cut = (
        mine.groupby("transmission")["request_id"].min()
        != mine["transmission"].drop_duplicates().sort_values().to_numpy()
    ).sum()
    assert told["meters"]["made"] == left.ngroups - cut
    assert told["meters"]["size_mean"] == pytest.approx(len(mine) / told["meters"]["made"])
    held = (mine["left_at_s"] - mine["decided_at_s"]).mean()
    assert told["meters"]["held_mean_s"] == pytest.approx(held)
    assert 2 < told["meters"]["size_mean"] <= 3.2


def test_laws_that_do_not_know_of_batches_are_silent(of_batching: Finished) -> None:
    path, summary = of_batching
    assert "batches" in what_there_is(load_run(path))
    assert [law["law"] for law in summary["predictions"]] == []


def test_the_report_tells_how_many_leave_together(of_batching: Finished) -> None:
    path, _ = of_batching
    assert "requests a transmission" in (path / "report.html").read_text()
