"""Whole runs on files that users brought: what the report counts, and that a changed file is another run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from brought_files import graded, write

from analysis.run_folder.run import load_run
from commands import one_run
from commands.learnings import Learnings
from commands.progress import Quiet
from sim.errors import BadInput
from sim.scenario import Scenario, read

SCENARIO = """\
# What do graded answers come to?
name: graded
horizon_s: 60
data: {{set: table, file: {file}, pools: [0, 0, 0.4, 0.2, 0.4]}}
costs: {{c_e: 0.2, c_1: 1.5}}
fleet:
  - group: users
    clients: 6
    model: {{variants: 2, answers: [small, tiny]}}
    rejector: {{per: variant}}
    timeout_s: 0.2
    retry: {{attempts: 2, backoff_s: 0.1}}
    arrivals: {{process: {{kind: poisson, rate_hz: 2.0}}}}
server:
  model: {{answers: large/4.1}}
  service: {{kind: affine, base_s: 0.08, cv: 0.3}}
  max_batch: 2
training: {{pretrain: {{epochs: 5}}}}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))


def scenario(folder: Path, **changes: np.ndarray) -> Scenario:
    write(graded() | changes, folder / "answers.parquet")
    (folder / "graded.yaml").write_text(SCENARIO.format(file=folder / "answers.parquet"))
    return read(folder / "graded.yaml")


def execute(plan: Scenario, folder: Path, resume: bool = False) -> None:
    one_run.execute(plan, "", folder, True, 0, None, Quiet(), resume=resume, pictures=False)


def test_the_summary_of_graded_answers_is_that_of_their_rows(tmp_path):
    execute(scenario(tmp_path), tmp_path / "run")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    rows = pd.concat(map(pd.read_parquet, sorted((tmp_path / "run/requests").glob("*.parquet"))))
    columns, samples = graded(), pd.read_parquet(tmp_path / "run/samples.parquet").set_index("sample_id")
    assert samples["work"].tolist() == columns["work.large/4.1"][samples["base_id"]].tolist()
    among = rows[rows["held_out"] & (rows["outcome"] != "in_flight")]
    e = columns["server_quality.large/4.1"][among["sample_id"]]
    assert among["server_quality"].to_numpy() == pytest.approx(e)
    c_e = columns["cost.large/4.1"][among["sample_id"]]
    assert among["c_e"].to_numpy() == pytest.approx(c_e)
    attempts = among["attempts"].to_numpy()
    assert (attempts > 1).any()
    assert among["cost"].to_numpy() == pytest.approx(c_e * attempts)
    by_server = (among["answered_by"] == "server").to_numpy()
    quality = np.where(by_server, e, among["client_quality"])
    assert among["quality"].to_numpy() == pytest.approx(quality)
    risk = c_e * attempts + np.where(by_server, 1.5, 1.0) * (1 - quality)
    best = np.minimum(1 - among["client_quality"].to_numpy(), c_e + 1.5 * (1 - e))
    held_out = summary["accuracy"]["held_out"]
    for found, wanted in (
        (summary["risk"]["realised"], risk),
        (summary["risk"]["oracle"], best),
        (held_out["all"], quality),
        (held_out["client_accuracy"], among["client_quality"].to_numpy()),
        (held_out["gain"], quality - among["client_quality"].to_numpy()),
    ):
        assert found["value"] == pytest.approx(wanted.mean(), abs=1e-6)
        assert found["low"] < found["value"] < found["high"]
    every = rows["cost"].to_numpy().astype(float).sum()
    assert summary["cost"]["total"] == pytest.approx(every, rel=1e-5)
    sends = columns["work.large/4.1"][rows["sample_id"][rows["attempts"] > 0]]
    offered = summary["load"]["first_sends_outside_outages_hz"] * 0.08 / 2 * sends.mean()
    assert summary["load"]["offered"] == pytest.approx(offered)
    assert {law["law"] for law in summary["predictions"]} & {"waiting", "backlog", "sharing"} == set()
    assert load_run(tmp_path / "run").requests["quality"].between(0, 1).all()


def test_a_changed_file_is_learned_from_anew_and_not_resumed(tmp_path):
    """Though it has the same name, size and time of change."""
    plan = scenario(tmp_path)
    first = Learnings(plan, {})._path
    execute(plan, tmp_path / "run")
    flat = np.zeros(400)
    again = scenario(tmp_path, **{"server_quality.large/4.1": flat})
    assert Learnings(again, {})._path != first
    with pytest.raises(BadInput):
        execute(again, tmp_path / "run", resume=True)
    execute(again, tmp_path / "run")
    rows = pd.concat(map(pd.read_parquet, sorted((tmp_path / "run/requests").glob("*.parquet"))))
    assert (rows["server_quality"].dropna() == 0).all()


def test_a_run_has_the_same_bytes_on_both_clocks(tmp_path):
    scenario(tmp_path)
    left = []
    for path in ("simpy", "compiled"):
        execute(read(tmp_path / "graded.yaml", [f"engine.path={path}"]), tmp_path / path)
        left.append([file.read_bytes() for file in sorted((tmp_path / path / "requests").glob("*.parquet"))])
    assert left[0] == left[1]
