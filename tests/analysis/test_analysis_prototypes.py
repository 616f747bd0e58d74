"""What is told of clients that answer by prototypes: numbers from the rows, sentence, figure and law."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from played_runs import played

from analysis.reports.sentences import sentences
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of
from analysis.theory.together import predict

Finished = tuple[Path, dict[str, Any]]
SHARED = ("federation.learns=prototypes", "fleet.*.fallback=prototype")


def test_numbers_are_those_of_the_rows(of_sharers: Finished) -> None:
    path, summary = of_sharers
    rows = pd.read_parquet(path / "requests")
    rows = rows[rows["arrived_at_s"] >= 10.0]
    by_prototype = rows[rows["answered_by"] == "prototype"]
    assert len(by_prototype) > 10
    told = summary["prototypes"]
    assert told["answered"] == len(by_prototype)
    assert told["age_s"] == pytest.approx(by_prototype["prototype_age_s"].mean(), rel=1e-6)
    assert told["age_max_s"] == pytest.approx(by_prototype["prototype_age_s"].max(), rel=1e-6)
    seen = by_prototype[by_prototype["held_out"]]
    right = (seen["prototype_label"] == seen["label"]).mean()
    assert summary["accuracy"]["held_out"]["by_answerer"]["prototype"]["value"] == pytest.approx(right)
    own = (seen["client_label"] == seen["label"]).mean()
    assert told["gain"]["value"] == pytest.approx(right - own)
    assert (told["classes"], told["samples"], told["fewest"]) == (1, 4, 4)


def test_sentence_figure_and_law_speak_of_prototypes(of_sharers: Finished) -> None:
    path, summary = of_sharers
    said = " ".join(sentences(summary))
    assert "versions behind the merged prototypes" in said
    assert "The nearest prototype answered" in said
    assert (path / "figures/together.svg").is_file()
    found = {one.quantity: one for one in predict(traffic_of(load_run(path))) or []}
    assert found["prototypes merged"].predicted == found["prototypes merged"].simulated.value == 2


def test_others_have_no_such_section(of_learners: Finished) -> None:
    assert "prototypes" not in of_learners[1]
    assert "prototype" not in of_learners[1]["accuracy"]["held_out"]["by_answerer"]
    assert not (of_learners[0] / "prototypes.parquet").exists()


@pytest.mark.usefixtures("plain_pictures")
@pytest.mark.parametrize("detail", ["lean", "none"])
def test_runs_that_keep_less_tell_the_same_of_who_answered(
    detail: str, of_sharers: Finished, tmp_path: Path
) -> None:
    _, summary = played(
        "learning_together", tmp_path / "run", (*SHARED, f"detail={detail}"), shared_numbers=(650,)
    )
    told, whole = (
        one["accuracy"]["held_out"]["by_answerer"]["prototype"] for one in (summary, of_sharers[1])
    )
    assert (told["n"], told["value"]) == (whole["n"], pytest.approx(whole["value"]))
    same = ("answered", "answered_share", "classes", "samples", "fewest")
    assert [summary["prototypes"][name] for name in same] == [
        of_sharers[1]["prototypes"][name] for name in same
    ]
    assert "The nearest prototype answered" in " ".join(sentences(summary))
