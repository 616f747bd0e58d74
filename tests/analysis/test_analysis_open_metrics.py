"""The run as OpenMetrics: read by Prometheus' own parser, and held to the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import l2h_fleet
from analysis.reports.open_metrics import BUCKETS_S, open_metrics
from commands import main as command_line

TINY = {
    "name": "tiny",
    "horizon_s": 50,
    "training": {"pretrain": {"epochs": 1}},
    "fleet": [
        {
            "group": name,
            "clients": 5,
            "timeout_s": 0.4,
            "arrivals": {"process": {"kind": "poisson", "rate_hz": 2.0}},
            "policy": {"score": "confidence", "price": {"kind": "bounded_rate", "rate": 0.6}},
        }
        for name in ("phones", "cars")
    ],
    "server": {"service": {"kind": "affine", "base_s": 0.1}, "queue_limit": 3},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> l2h_fleet.Run:
    return l2h_fleet.run(TINY, out=tmp_path_factory.mktemp("run") / "tiny")


def families_of(lines: list[str]) -> dict[str, Metric]:
    return {one.name: one for one in text_string_to_metric_families("\n".join(lines) + "\n")}


@pytest.mark.slow
def test_what_prometheus_reads_is_what_the_tables_hold(run: l2h_fleet.Run) -> None:
    lines = list(open_metrics(run, every_s=10.0, epoch_s=1_000.0))
    # Of a histogram at several instants the parser takes all but the first bucket for duplicates.
    at_the_end = [one for one in lines if one.startswith("#") or one.endswith(" 1050")]
    families = families_of(at_the_end) | families_of([one for one in lines if "latency" not in one])
    at_s = np.arange(0.0, 51.0, 10.0)
    requests, timeline = run.requests, run.timeline

    arrivals = [sample.value for sample in families["l2h_arrivals"].samples]
    assert arrivals == [float(timeline.loc[timeline["at_s"] < at, "arrivals"].sum()) for at in at_s]
    for group in ("phones", "cars"):
        mine = requests[requests["group"] == group]
        for outcome in mine["outcome"].unique():
            samples = [
                sample
                for sample in families["l2h_requests"].samples
                if sample.labels == {"group": group, "outcome": outcome}
            ]
            assert [float(sample.timestamp) for sample in samples] == (1_000.0 + at_s).tolist()
            over = mine.loc[mine["outcome"] == outcome, "answered_at_s"]
            assert [sample.value for sample in samples] == [float((over <= at).sum()) for at in at_s]
        last = [one for one in families["l2h_latency_seconds"].samples if one.labels["group"] == group]
        last = [one for one in last if float(one.timestamp) == 1_050.0]
        taken = (mine["answered_at_s"] - mine["arrived_at_s"])[mine["answered_at_s"] <= 50.0]
        buckets = {one.labels["le"]: one.value for one in last if one.name.endswith("_bucket")}
        assert buckets == {str(b): float((taken <= b).sum()) for b in BUCKETS_S} | {"+Inf": float(len(taken))}
        (total,) = [one.value for one in last if one.name.endswith("_sum")]
        assert total == pytest.approx(taken.sum())


def test_the_command_writes_it(run: l2h_fleet.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", "metrics", str(run.path), "--out", str(tmp_path / "a.txt")])
    assert command_line.main() == 0
    assert (tmp_path / "a.txt").read_text().endswith("# EOF\n")


def test_scrapes_need_an_interval(run: l2h_fleet.Run) -> None:
    for option, value in (("every_s", 0.0), ("every_s", 1.5), ("epoch_s", np.nan), ("every_s", np.inf)):
        words = f"--{option.removesuffix('_s')}: .* is not allowed: must be a whole number"
        with pytest.raises(l2h_fleet.BadInput, match=words):
            list(open_metrics(run, **{option: value}))
