"""Whole runs, learners and all: the same bytes on any number of workers, and laws of the finished folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from agents.fleet import Fleet
from commands import one_run, reading
from commands.learnings import Learnings
from commands.progress import Quiet
from sim.errors import BadInput, RunFailed
from sim.scenario import read

STUDY = ("study", "study_curves", "study_bounded", "study_losses")


def run_into(folder: Path, workers: int, *changes: str) -> Path:
    """Runs the smoke scenario with `workers` actors (0: in this process)."""
    folder.mkdir(parents=True)
    one_run.execute(read("smoke", changes), "?", folder, False, workers, None, Quiet())
    return folder


def digest(folder: Path, table: str) -> str:
    """A hash over a table's parts, names and bytes."""
    whole = hashlib.sha256()
    for part in sorted((folder / table).iterdir()):
        whole.update(part.name.encode() + part.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module", autouse=True)
def learns_anew() -> Iterator[None]:
    """Or whoever is second would not learn at all."""
    with patch.object(Learnings, "find", lambda _self: None):
        yield


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    return run_into(tmp_path_factory.mktemp("runs") / "local", 0)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_ray_and_one_process_give_the_same_bytes(local, workers, tmp_path):
    spread = run_into(tmp_path / "spread", workers)
    for table in ("requests", "attempts"):
        assert digest(spread, table) == digest(local, table)
    tables = (
        "timeline",
        "events",
        "outages",
        "learning",
        "deferral",
        "clients",
        "samples",
        "partitions",
        "reliability",
        *STUDY,
    )
    for name in (*tables, *STUDY):
        assert (spread / f"{name}.parquet").read_bytes() == (local / f"{name}.parquet").read_bytes()
    assert (spread / "summary.json").read_bytes() == (local / "summary.json").read_bytes()


def test_the_folder_holds_everything_and_no_leftovers(local):
    names = {path.name for path in local.iterdir()}
    assert names == {
        "scenario.yaml",
        "versions.json",
        "timing.json",
        "summary.json",
        "report.html",
        "figures",
        "requests",
        "SHA256SUMS",
        "attempts",
        "timeline.parquet",
        "events.parquet",
        "outages.parquet",
        "learning.parquet",
        "deferral.parquet",
        *(f"{name}.parquet" for name in STUDY),
        "clients.parquet",
        "samples.parquet",
        "partitions.parquet",
        "reliability.parquet",
        "trace.json.gz",
    }
    assert not list(local.rglob(".*"))
    timing = json.loads((local / "timing.json").read_text())
    stages = ["build", "learn", "decide", "run", "report"]
    assert sorted(timing["stages_s"]) == sorted(timing["peak_mib"]) == sorted(stages)
    peaks = [timing["peak_mib"][name] for name in stages]
    assert peaks == sorted(peaks)
    assert 50 < peaks[0] < 100_000, "in MiB"


def test_the_resolved_scenario_is_the_scenario(local):
    assert read(local / "scenario.yaml") == read("smoke")


def test_frozen_clients_stay_frozen(local):
    clients = pd.read_parquet(local / "clients.parquet")
    assert (clients["hash_before"] == clients["hash_after"]).all()
    assert clients.groupby(["group", "variant"], observed=True)["hash_before"].nunique().eq(1).all()


def test_a_client_model_that_changes_fails_the_run(tmp_path, monkeypatch):
    live = Fleet.client_hashes
    monkeypatch.setattr(Fleet, "client_hashes", lambda fleet: (("0" * 64,), *live(fleet)[1:]))
    with pytest.raises(RunFailed, match="a frozen client model changed"):
        run_into(tmp_path / "run", 0)
    assert not (tmp_path / "run/summary.json").exists()


def test_whatever_breaks_is_named_with_its_stage(tmp_path, monkeypatch):
    def broken(_fleet):
        raise ZeroDivisionError("no such chance")

    monkeypatch.setattr(Fleet, "learn", broken)
    with pytest.raises(RunFailed, match="failed in stage 'learn': ZeroDivisionError: no such chance"):
        run_into(tmp_path / "run", 0)
    assert "no such chance" in (tmp_path / "run/failure.txt").read_text()


def test_an_analysis_that_fails_keeps_what_was_simulated(tmp_path, monkeypatch):
    def refuses(_folder, _pictures, **_more):
        raise BadInput("samples.parquet: damaged")

    monkeypatch.setattr("analysis.finish", refuses)
    with pytest.raises(RunFailed, match=r"failed in stage 'report': BadInput: samples\.parquet"):
        run_into(tmp_path / "run", 0)
    assert list((tmp_path / "run/requests").iterdir())


@pytest.mark.slow
def test_policies_meet_the_same_traffic(local, tmp_path):
    other = run_into(tmp_path / "random", 0, "fleet.*.policy.score=random", "fleet.*.policy.price.at=0.5")
    same = ["request_id", "client_id", "sample_id", "label", "arrived_at_s", "decided_at_s", "client_label"]
    ours, theirs = (
        pd.read_parquet(folder / "requests", columns=same).sort_values("request_id", ignore_index=True)
        for folder in (local, other)
    )
    pd.testing.assert_frame_equal(ours, theirs)


def test_traffic_never_trained_or_calibrated_anything(local):
    samples = pd.read_parquet(local / "samples.parquet")
    requests = pd.read_parquet(local / "requests", columns=["sample_id", "held_out"])
    pool = samples.set_index("sample_id")["pool"]
    assert set(pool.loc[requests["sample_id"].unique()]) == {"traffic"}
    held_out = samples.set_index("sample_id")["held_out"]
    assert (held_out.loc[requests["sample_id"]].to_numpy() == requests["held_out"].to_numpy()).all()


@pytest.mark.slow
def test_a_horizon_of_zero_only_learns(tmp_path):
    """All of learning, no request, and results all the same; the report can be made again."""
    study = "{score: [l2h, plug_in], c_e: [0.0, 0.2]}"
    folder = run_into(tmp_path / "learned", 0, "horizon_s=0", "warm_up_s=0", f"study={study}")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["counts"]["requests"] == 0
    studied = {f"study_{what}" for what in ("accuracy", "bounded", "contrast", "losses", "rates", "risk")}
    assert {path.stem for path in (folder / "figures").iterdir()} == {
        "deferral",
        "learning",
        "reliability",
        "risk",
    } | studied
    assert summary["valid"]
    reported = [(row["group"], row["score"]) for row in summary["study"] if row["is_policy"]]
    assert reported == [("known", "l2h"), ("narrow", "l2h")]
    assert "Learning alone: narrow sends" in (folder / "report.html").read_text()
    table = pd.read_parquet(folder / "study.parquet")
    assert set(table.loc[table["score"] == "plug_in", "c_e"]) == {0.0, 0.1, 0.2}
    before = (folder / "report.html").read_bytes()
    reading.report(folder)
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.slow
def test_a_million_clients_share_their_variants_rejectors(tmp_path):
    changes = ["horizon_s=60", "warm_up_s=0", "server.outages=[]", "fleet.*.model.epochs=2"]
    plan, folder = read("million", changes), tmp_path / "million"
    one_run.execute(plan, "?", folder, False, 0, None, Quiet())
    clients, requests = pd.read_parquet(folder / "clients.parquet"), pd.read_parquet(folder / "requests")
    assert len(clients) == plan.clients == 1_000_000
    assert len(requests) == pytest.approx(60 * 500, abs=5 * (60 * 500) ** 0.5)
    assert requests["client_id"].nunique() > 0.95 * len(requests)
    assert {group.rejector.per for group in plan.fleet} == {"variant"}
