"""What is told of clients that learned together: rounds by hand, the law beside them, figure and sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from played_runs import played

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
    assert "Rounds merged: 2, without a merge: 1." in told


def test_neighbours_are_told_with_what_they_uploaded_and_handed_over(of_neighbours: Finished) -> None:
    """Three uploads in place of six, and as many bytes between devices; half of what was told, or ten."""
    path, summary = of_neighbours
    found, rows = summary["federation"], load_run(path).hand_over
    assert found["uplinks"] == 2 * 3
    assert found["bytes_up"] == ROUND_BYTES
    assert found["bytes_between"] == 3 * ROUND_BYTES / 2  # of the lost round, too
    assert found["least_steps"] == found["most_steps"] == 25
    assert found["handed_over"] == rows["samples"].sum() > 0
    assert found["handed_over_bytes"] == 100 * found["handed_over"]
    assert found["handed_over_share"] == rows["samples"].sum() / rows["told"].sum() <= 0.6
    assert rows["last_came_at_s"].tolist() == [30.5, 60.5, 90.5]


def test_sentences_tell_what_neighbours_do(of_neighbours: Finished) -> None:
    told = " ".join(sentences(of_neighbours[1]))
    assert "Neighbours shared uplinks: 6 uploads, and 45.0 kB between devices." in told
    assert "Of what they were told clients handed over" in told


def test_sentences_tell_what_is_handed_over_where_nothing_is_merged(of_neighbours: Finished) -> None:
    rounds = of_neighbours[1]["federation"] | {"own": 3, "merged": 0, "lost": 0}
    told = " ".join(sentences(of_neighbours[1] | {"federation": rounds}))
    assert (
        "In 3 rounds rejectors learned from their clients' answers and what neighbours handed over." in told
    )
    assert "each alone" not in told
    assert "Of what they were told clients handed over" in told


def test_events_tell_rounds_of_neighbours(of_neighbours: Finished) -> None:
    events = load_run(of_neighbours[0]).events
    told = [
        (at, kind, value)
        for at, kind, target, value in events.itertuples(index=False)
        if target == "neighbours"
    ]
    assert [one for one in told if one[1] == "round_due"] == [
        (30.0, "round_due", 1.0), (60.0, "round_due", 2.0), (90.0, "round_due", 3.0)
    ]  # fmt: skip
    left_out = [(72.0, "cluster_left_out", first) for first in (0.0, 2.0, 4.0)]
    assert [one for one in told if one[1] == "cluster_left_out"] == left_out
    assert (events["kind"] == "hand_over").sum() == 3


def test_the_law_knows_how_many_upload(of_neighbours: Finished, tmp_path: Path) -> None:
    """Of six clients four and two; where devices are not equally fast, some may take no part."""
    four = ("federation.neighbours={size: 4, link: {latency: 0.5}}",)
    runs = (played("learning_together", tmp_path / "run", four, shared_numbers=(1_250,)), of_neighbours)
    both = [{one.quantity: one for one in predict(traffic_of(load_run(path))) or []} for path, _ in runs]
    assert all(found["rejectors merged"].agrees for found in both)
    uploads = both[0]["uploads of a merged round"]
    assert uploads.predicted == uploads.simulated.value == 2
    assert "uploads of a merged round" not in both[1]


def test_where_all_drop_out_rounds_are_without_a_merge_and_no_upload_is_missed(tmp_path: Path) -> None:
    """Nobody uploads, no outage loses a round, and the law knows it; half of six is seldom nobody."""
    changes = ("federation.dropout=1", "server.outages=[]")
    path, summary = played("learning_together", tmp_path / "run", changes, shared_numbers=(9,))
    rounds = summary["federation"]
    assert (rounds["merged"], rounds["lost"], rounds["uploaded_share"]) == (0, 3, None)
    told = " ".join(sentences(summary))
    assert "Rounds merged: 0, without a merge: 3. Nobody uploaded, 0 B in all" in told
    run = load_run(path)
    (merged,) = predict(traffic_of(run)) or []
    assert merged.predicted == merged.simulated.value == merged.margin == 0
    run.scenario["federation"]["dropout"] = 0.5
    (merged,) = predict(traffic_of(run)) or []
    assert merged.predicted == pytest.approx(3 * (1 - 0.5**6))
    assert not merged.agrees
