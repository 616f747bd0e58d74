"""What is told of clients that answer by heads of their own: numbers from the rows, sentences and laws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from played_runs import OF_HEADS, played

from analysis.metrics.heads import jain, personal_from_s
from analysis.reports.sentences import sentences
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of
from analysis.theory import together
from analysis.theory.heads import predict

Finished = tuple[Path, dict[str, Any]]


def test_numbers_are_those_of_the_rows(of_heads: Finished) -> None:
    path, summary = of_heads
    rows = pd.read_parquet(path / "requests")
    rows = rows[rows["arrived_at_s"] >= 10.0]
    answered = rows[rows["answered_by"] == "server"]
    assert len(answered) > 50
    assert (answered["head_version"] >= 0).all()
    told = summary["heads"]
    assert told["answered"] == len(answered)
    assert told["bytes_down"] == 256 * len(answered)
    seen = answered[answered["held_out"]]
    better = (seen["head_label"] == seen["label"]) * 1.0 - (seen["server_label"] == seen["label"])
    assert told["gain"]["value"] == pytest.approx(better.mean())
    own_s = 90.0 + steps_s(path)  # personal from 80 s on, so the round of 90 s is the first
    late = seen["arrived_at_s"] >= own_s
    assert told["personal_gain"]["n"] == late.sum() > 0
    assert told["personal_gain"]["value"] == pytest.approx(better[late].mean())
    right = (seen["head_label"] == seen["label"]).mean()
    assert summary["accuracy"]["held_out"]["by_answerer"]["server"]["value"] == pytest.approx(right)
    heads = pd.read_parquet(path / "heads.parquet")
    assert told["steps"] == heads["steps"].sum() == 3 * 6  # three rounds, a step for each of six clients
    assert told["labels"] == heads.groupby("client_id")["labels"].last().mean()
    assert told["work_jain"] == 1.0


def steps_s(path: Path) -> float:
    """What the steps of a round take."""
    federation = load_run(path).scenario["federation"]
    return float(federation["steps"] * federation["step_s"])


def test_heads_are_personal_once_those_of_the_first_such_round_are_ready(of_heads: Finished) -> None:
    run = load_run(of_heads[0])
    assert personal_from_s(run) == 90.0 + steps_s(of_heads[0])
    run.__dict__["federation"] = run.federation.assign(fate="merged")
    assert personal_from_s(run) == np.inf


@pytest.mark.parametrize(("steps", "index"), [([3, 3, 3], 1.0), ([1, 0], 0.5), ([2, 1], 0.9), ([0, 0], None)])
def test_jain_s_index(steps: list[float], index: float | None) -> None:
    assert jain(np.array(steps, dtype=float)) == (None if index is None else pytest.approx(index))


def test_sentences_tell_both_phases(of_heads: Finished) -> None:
    said = " ".join(sentences(of_heads[1]))
    assert "versions behind the merged heads" in said
    assert "Clients answered" in said
    assert "once each learned alone" in said
    assert "in 1 round each alone" in said


def test_sentences_tell_heads_that_were_never_merged(of_heads: Finished) -> None:
    lost = {"merged": 0, "lost": 2, "uploaded_share": 0.0}
    said = " ".join(sentences(of_heads[1] | {"federation": of_heads[1]["federation"] | lost}))
    assert "Rounds merged: 0, without a merge: 2." in said
    alone = " ".join(sentences(of_heads[1] | {"federation": of_heads[1]["federation"] | lost | {"lost": 0}}))
    assert "learned together" not in alone


def test_the_laws_of_rounds_and_of_work_speak(of_heads: Finished) -> None:
    """Rounds at 30 and 60 s are shared, that of 60 s lost to the outage; that of 90 s is personal. Nobody is
    absent, so all work alike. Made-up clients step without labels, too, so here they are given some."""
    run = load_run(of_heads[0])
    found = {one.quantity: one for one in together.predict(traffic_of(run)) or []}
    merged = found["heads merged"]
    assert merged.predicted == pytest.approx(1 - 0.3**6)
    assert merged.simulated.value == 1
    assert merged.agrees
    assert not predict(traffic_of(run)), "some had no labels"
    run.__dict__["heads"] = run.heads.assign(labels=1, steps=10)
    told = {one.quantity: one for one in predict(traffic_of(run)) or []}
    assert told["Jain's index of work"].predicted == 1.0
    assert told["Jain's index of work"].agrees
    assert told["steps of heads"].predicted == told["steps of heads"].simulated.value == 180
    run.__dict__["heads"] = run.heads.assign(steps=[10, 20] * 9)
    told = {one.quantity: one for one in predict(traffic_of(run)) or []}
    assert not any(one.agrees for one in told.values())


@pytest.mark.parametrize("absent", [0.2, 0.6])
def test_the_index_of_work_under_absence_is_that_of_binomials(absent: float) -> None:
    """R rounds, thousands of clients: (1 − p)/(1 − p + p/R)."""
    rounds = 8
    steps = np.random.default_rng(1).binomial(rounds, 1 - absent, size=40_000) * 5.0
    there = 1 - absent
    assert jain(steps) == pytest.approx(there / (there + absent / rounds), abs=0.005)


def test_others_have_no_such_section(of_learners: Finished) -> None:
    assert "heads" not in of_learners[1]
    assert not (of_learners[0] / "heads.parquet").exists()
    assert "head_label" not in pd.read_parquet(of_learners[0] / "requests")


@pytest.mark.usefixtures("plain_pictures")
@pytest.mark.parametrize("detail", ["lean", "none"])
def test_runs_that_keep_less_tell_the_same_of_heads(detail: str, of_heads: Finished, tmp_path: Path) -> None:
    changes = (*OF_HEADS, f"detail={detail}")
    _, summary = played("learning_together", tmp_path / "run", changes, shared_numbers=(650,))
    same = ["answered", "bytes_down", "labels", "steps", "work_jain"]
    same += ["gain", "personal_gain"] if detail == "lean" else []
    assert {name: summary["heads"][name] for name in same} == {
        name: of_heads[1]["heads"][name] for name in same
    }
    assert "Clients answered" in " ".join(sentences(summary))
