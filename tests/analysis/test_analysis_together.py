"""What is told of clients that learned together: rounds by hand, the law beside them, figure and sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.reports.sentences import sentences
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of
from analysis.theory.together import predict

Finished = tuple[Path, dict[str, Any]]
ROUND_BYTES = 6 * 4 * 1_250


def test_rounds_are_told_by_their_fate_with_their_bytes(of_learners: Finished) -> None:
    """Due at 30, 60 and 90 s, merged 12 s later; uploads of the second take 4.05 s from 70 s on."""
    _, summary = of_learners
    assert summary["federation"] == {
        "merged": 2,
        "lost": 1,
        "own": 0,
        "unfinished": 0,
        "uploaded_share": pytest.approx(2 / 3),
        "received_share": 1.0,
        "bytes_up": 2 * ROUND_BYTES,
        "bytes_down": 2 * ROUND_BYTES,
    }
    assert summary["staleness"]["copy_max"] == 1.0


def test_others_have_no_such_section(finished: Finished) -> None:
    assert "federation" not in finished[1]
    assert not (finished[0] / "federation.parquet").exists()


def test_the_law_says_what_came_of_it(of_learners: Finished) -> None:
    found = {one.quantity: one for one in predict(traffic_of(load_run(of_learners[0]))) or []}
    merged, behind = found["rejectors merged"], found["behind the merged"]
    assert merged.predicted == merged.simulated.value == 2
    assert behind.predicted == pytest.approx(2 * 4.05 / 120)
    assert behind.simulated.value == pytest.approx(behind.predicted, abs=behind.margin)


def test_figure_and_sentence_are_there(of_learners: Finished) -> None:
    path, summary = of_learners
    assert (path / "figures/together.svg").is_file()
    told = " ".join(sentences(summary))
    assert "Rounds merged: 2, lost to outages: 1." in told
