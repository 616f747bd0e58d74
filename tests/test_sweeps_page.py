"""The page on sweeps, studies and capacity: its commands run, and what it says of them comes out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from commands import main
from sim.scenario.schema.policy_study import read_study

PAGE = (Path(__file__).resolve().parents[1] / "docs/sweeps.md").read_text()
COMMANDS = [shlex.split(line) for line in re.findall(r"^python run_sim\.py (.*)$", PAGE, flags=re.MULTILINE)]


@pytest.mark.slow
def test_every_command_of_the_page_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert [words[0] for words in COMMANDS] == ["sweep", "check", "study", "capacity", "capacity"]
    for words in COMMANDS:
        assert not main.app(words, standalone_mode=False), words
    reported = capsys.readouterr().out
    assert "sweep: runs/smoke-sweep/sweep.html" in reported
    assert "study: runs/smoke_policies-study/study.html" in reported
    assert "fewest replicas from 1 to 4 that meet latency.p95 <= 0.2: 1 (95% confidence)" in reported
    assert "most clients of known from 2 to 6 that meet latency.p95 <= 0.2: 6" in reported
    table = pd.read_parquet("runs/smoke-sweep/sweep.parquet")
    p95 = table.pivot_table("latency_s.final.p95", "server.replicas", "costs.c_e")
    assert p95.shape == (2, 2)


def test_the_study_on_the_page_is_one(tmp_path):
    path = tmp_path / "random.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL).group(1))
    assert list(read_study(path).policies) == ["l2h", "always_local", "random_half"]


def test_the_table_of_the_shipped_study_names_its_policies():
    listed = re.findall(r"^\| (\w+) \| [\d.]+ ± ", PAGE, flags=re.MULTILINE)
    assert listed == list(read_study("outage_policies").policies)
