"""What is told of servers that began with what clients together say: table, summary, sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from played_runs import OF_TWO, played

from analysis.metrics.definitions import definition_of
from analysis.reports.sentences import sentences
from analysis.run_folder.run import load_run


def test_a_warm_start_is_told_by_the_model_that_imitates_worst(tmp_path: Path) -> None:
    path, summary = played("learning_together", tmp_path / "run", shared_numbers=(9,), warm_start=OF_TWO)
    assert load_run(path).warm_start.to_dict("list") == OF_TWO
    expected = {name: values[0] for name, values in OF_TWO.items() if name != "model"}
    assert summary["warm_start"] == expected
    told = " ".join(sentences(summary))
    assert (
        "what 6 clients together say of 500 samples, 144.0 kB in all, and then saw labels of 25 of them"
        in told
    )
    assert "agreed with them on 87.5% of other samples, of which they get 75.0% right." in told
    for name in expected:
        assert definition_of(f"warm_start.{name}")


def test_others_tell_of_none(of_learners: tuple[Path, dict[str, object]]) -> None:
    assert "warm_start" not in of_learners[1]
    assert not (of_learners[0] / "warm_start.parquet").exists()
    assert load_run(of_learners[0]).warm_start.empty


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [0, 25])
def test_a_server_without_labels_is_said_to_have_seen_none(labelled: int, tmp_path: Path) -> None:
    made = OF_TWO | {"labelled": [labelled] * 2}
    _, summary = played("learning_together", tmp_path / "run", shared_numbers=(9,), warm_start=made)
    assert ("and then saw no label." in " ".join(sentences(summary))) == (labelled == 0)
