"""Tables for a paper: the numbers of the summary with both ends of their intervals, as CSV and LaTeX."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.reports.paper_table import paper_table
from sim.errors import BadInput

Finished = tuple[Path, dict[str, Any]]


def read(path: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(paper_table(path, name, "csv")))


def test_tables_of_a_run_hold_the_numbers_of_its_summary(finished: Finished) -> None:
    folder, summary = finished
    windows, groups, answers = (read(folder, name) for name in ("windows", "groups", "answers"))
    assert windows["window"].tolist()[:2] == ["whole run", "before outages"]
    assert len(windows) == 2 + 2 * len(summary["outages"]["each"])
    during = summary["outages"]["each"][0]["during"]
    row = windows.iloc[2]
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == pytest.approx(
        tuple(during["accuracy"][end] for end in ("value", "low", "high"))
    )
    assert row["requests"] == during["requests"]
    assert groups["group"].tolist() == list(summary["groups"])
    gain = summary["accuracy"]["held_out"]["gain"]
    assert answers.set_index("of held-out requests").loc["gain", "share_low"] == pytest.approx(gain["low"])


def test_latex_shows_intervals_in_the_units_of_tables_and_escapes_names(finished: Finished) -> None:
    text = paper_table(finished[0], "windows", "latex")
    whole = finished[1]["outages"]["whole_run"]["accuracy"]
    assert r"\toprule" in text
    assert r"accuracy (\%)" in text
    assert f"{100 * whole['value']:.1f} [{100 * whole['low']:.1f}, {100 * whole['high']:.1f}]" in text


def test_tables_of_studies_and_sweeps(tmp_path: Path) -> None:
    metrics = {"accuracy": [0.8, 0.7, 0.9], "latency_p95": [0.2, None, None]}
    found = {"difference": -0.05, "low": -0.06, "high": -0.04}
    study = {
        "baseline": "l_2",
        "policies": [
            {"chosen": ["l_2"], "metrics": metrics, "differences": None},
            {
                "chosen": ["all_sent"],
                "metrics": metrics,
                "differences": {
                    "accuracy": found,
                    "latency_p95": found | {"difference": None, "low": None, "high": None},
                },
            },
        ],
    }
    (tmp_path / "study").mkdir()
    (tmp_path / "study/study.json").write_text(json.dumps(study))
    assert read(tmp_path / "study", "policies")["accuracy_high"].tolist() == [0.9, 0.9]
    assert read(tmp_path / "study", "differences")["accuracy"].tolist() == [-0.05]
    text = paper_table(tmp_path / "study", "differences", "latex")
    assert r"all\_sent & -5.0 [-6.0, -4.0] & – \\" in text
    assert "accuracy (points)" in text
    named = dict(zip(("mean", "low", "high"), metrics["accuracy"], strict=True))
    sweep = {"axes": ["server.replicas"], "rows": [{"chosen": [2], "metrics": {"accuracy": named}}]}
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").write_text(json.dumps(sweep))
    assert paper_table(tmp_path / "sweep", "settings", "csv").splitlines()[1] == "2,0.8,0.7,0.9"


def test_what_there_is_not_is_told(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'windows'"):
        paper_table(finished[0], "window", "csv")
    with pytest.raises(BadInput, match="is neither a finished run nor a sweep or study"):
        paper_table(tmp_path, "windows", "csv")


@pytest.mark.parametrize("content", ["{}", '{"groups": 3}', '{"groups": {"g": "x"}}'])
def test_a_summary_that_was_edited_into_something_else_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(BadInput, match=r"summary\.json: damaged, or of another version: no table 'groups'"):
        paper_table(tmp_path, "groups", "csv")
