"""Calibration, comparisons with real runs and what-if: what is computed, and the commands once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.reports.fidelity import compared, numbers_of, shown
from commands import main
from commands.fidelity import with_measured
from live.calibration import Calibrated
from sim.scenario import read

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    *("--set", "fleet.*.clients=3", "--set", "fleet.*.model.variants=1", "--set", "fleet.*.model.epochs=1"),
    *("--set", "horizon_s=8", "--set", "warm_up_s=1", "--set", "server.outages=[]"),
    *("--set", "training.pretrain.epochs=1"),
]


def summary(p50: float, recovery: float | None = 3.0) -> dict[str, object]:
    percentiles = {"p50": p50, "p95": 2 * p50, "p99": 3 * p50}
    return {
        "latency_s": {"by_outcome": {"remote": percentiles}},
        "goodput": {"served_in_time_share": 0.9},
        "counts": {"outcome_share": {"remote": 0.9, "refused": 0.1, "timed_out": 0.0, "in_flight": 0.0}},
        "retries": {"amplification": 1.1},
        "queue": {"max": 5, "mean": 0.5},
        "outages": {"each": [{"recovery_s": recovery, "service_recovery_s": recovery}]},
    }


def test_a_number_stands_beside_the_spread_of_the_real_runs():
    rows = {row["number"]: row for row in compared(summary(0.11), [summary(0.10), summary(0.12)])}
    p50 = rows["p50 of answers by the server, s"]
    assert (p50["least"], p50["most"], p50["is_within"]) == (0.10, 0.12, True)
    assert p50["real"] == pytest.approx(0.11)
    assert not compared(summary(0.13), [summary(0.10), summary(0.12)])[0]["is_within"]


def test_what_has_no_value_in_some_run_is_not_compared():
    rows = compared(summary(0.1), [summary(0.1), summary(0.1, recovery=None)])
    assert rows[-1]["real"] is None
    assert shown(rows[-1])[1:] == ("3", *["-"] * 5)


def test_calibration_moves_the_service_and_the_ways_of_fixed_latency_alone():
    plan = read(ROOT / "scenarios/smoke.yaml", ["fleet.0.link.latency=0.02"])
    fitted = with_measured(plan, Calibrated(0.06, 0.03, 0.01, 0.002, 0.003, []))
    assert fitted.server.service.base_s == pytest.approx(0.07)
    assert fitted.server.service.per_item_s == 0.03
    assert fitted.fleet[0].link.latency == pytest.approx(0.0225)
    service = fitted.server.model_copy(update={"service": plan.server.service})
    assert fitted.model_copy(update={"server": service, "fleet": plan.fleet}) == plan
    ways = [group.link.model_copy(update={"latency": 0.0}) for group in fitted.fleet]
    assert ways == [group.link.model_copy(update={"latency": 0.0}) for group in plan.fleet]
    drawn = read(
        ROOT / "scenarios/smoke.yaml", ['fleet.0.link.latency={"kind": "exponential", "mean_s": 0.1}']
    )
    assert with_measured(drawn, Calibrated(0.06, 0.03, 0.01, 0.002, 0.003, [])).fleet == drawn.fleet


def call(monkeypatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["run_sim.py", *map(str, words)])
    return main.main()


@pytest.mark.slow
def test_the_commands_from_calibration_to_what_if(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    processes = ["--server", "processes", "--speed", "2"]
    assert call(monkeypatch, "calibrate", "smoke", *SMALL, *processes, "--out", "mine.yaml") == 0
    assert "batch of 4" in capsys.readouterr().out
    assert read(tmp_path / "mine.yaml").server.service.base_s >= 0.05
    words = ["fidelity", "smoke", *SMALL, *processes, "--repeats", 2, "--out", "f", "--quiet"]
    assert call(monkeypatch, *words) == 0, capsys.readouterr().err
    held = json.loads((tmp_path / "f/fidelity.json").read_text())
    assert set(held["tables"]) == {"as written", "calibrated"}
    assert next(row["runs"] for row in held["tables"]["calibrated"]) == 2
    assert "Simulated and real: smoke" in (tmp_path / "f/fidelity.html").read_text()
    real = [numbers_of(json.loads((tmp_path / f"f/real-{n}/summary.json").read_text())) for n in (1, 2)]
    assert all(0 < one["remote, share"] < 1 for one in real)

    change = ["--set", "server.service.base_s=0.2"]
    assert call(monkeypatch, "replay", "f/simulated", *change, "--out", "r1", "--quiet") == 0
    assert "the same" in capsys.readouterr().out
    assert call(monkeypatch, "replay", "f/real-1", *change, "--out", "r2", "--quiet") == 0
    said = capsys.readouterr().out
    assert "a log of real time does not tell" in said
    outcomes = [
        pq.read_table(tmp_path / folder, columns=["request_id", "outcome"]).sort_by("request_id")
        for folder in ("r1/replayed/requests", "r2/replayed/requests")
    ]
    assert outcomes[0].equals(outcomes[1])  # exact: the same draws, whatever was played before
    assert call(monkeypatch, "replay", "f/simulated", "--out", "r3") == 2
    assert "nothing is changed" in capsys.readouterr().err
