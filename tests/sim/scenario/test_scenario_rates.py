"""How many requests a scenario makes by itself: against closed forms, and against drawn arrivals."""

from __future__ import annotations

from pathlib import Path

import pytest
from arrival_kinds import EVERY, PROCESSES, drawn, group, scenario
from worlds import group_of

from sim.registry.durations import mean_s
from sim.scenario.rules import memory
from sim.scenario.rules.checks import findings
from sim.scenario.rules.rates import busiest_rate_hz, mean_rate_hz
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.world import World


@pytest.mark.parametrize(("process", "shape"), EVERY, ids=["-".join(pair) for pair in EVERY])
def test_as_many_requests_are_drawn_as_are_expected(process: str, shape: str, tmp_path: Path) -> None:
    """A trace exactly; else within 6 standard errors, taking counts to vary at most 30 times as Poisson's."""
    written = scenario(group(process, shape, 300, tmp_path), horizon_s=170.0)
    expected = mean_rate_hz(written, 0) * 300 * 170.0
    found = len(drawn(ScenarioArrivals(World(written)), 170.0).at_s)
    assert found == pytest.approx(expected, abs=1e-6 if process == "trace" else 6 * (30 * expected) ** 0.5)
    assert found / 300 / 170.0 < busiest_rate_hz(written, 0) * 1.5


def test_rates_of_the_long_run(tmp_path: Path) -> None:
    """Of a run without traffic, and of a loop whose server answers at once."""
    of = {name: scenario(group(name), horizon_s=0.0) for name in ("poisson", "bursty", "mmpp")}
    assert {name: mean_rate_hz(one, 0) for name, one in of.items()} == pytest.approx(
        {"poisson": 0.7, "bursty": 0.7, "mmpp": 0.7}
    )
    traced = scenario(group("trace", "constant", 4, tmp_path), horizon_s=0.0)
    assert mean_rate_hz(traced, 0) == pytest.approx(400 / 4 / (200 * 1.5), rel=0.02)
    loop = {"process": {"kind": "closed_loop", "think": {"kind": "gamma", "mean_s": 3.0, "cv": 1.0}}}
    written = scenario(group_of(arrivals=loop, device={"inference_s": 1.0}))
    assert mean_rate_hz(written, 0) == busiest_rate_hz(written, 0) == 0.25


def test_the_mean_of_measured_durations_is_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n2\n6\n")
    loop = {
        "process": {"kind": "closed_loop", "think": {"kind": "empirical", "file": str(tmp_path / "a.csv")}}
    }
    written = scenario(group_of(arrivals=loop))
    assert mean_s(written.fleet[0].arrivals.process.think) == 3.0
    assert mean_rate_hz(written, 0) == pytest.approx(1 / 3)


def test_a_fast_trace_is_as_busy_as_it_is_played(tmp_path: Path) -> None:
    process = PROCESSES["trace"] | {"time_scale": 0.1}
    fast = scenario(group(process, "constant", 1, tmp_path))
    assert busiest_rate_hz(fast, 0) == pytest.approx(400 / 60)  # 200 s of the file, all of it in one minute


def test_states_that_hardly_last_need_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "installed_bytes", lambda: 8 * 2**30)
    hasty = {"kind": "mmpp", "rates_hz": (0.0, 1e-3), "mean_stay_s": 1e-3}
    told = findings(scenario(group(hasty, "constant", 2000)))
    breaches = [(finding.path, finding.sentence) for finding in told]
    assert [path for path, _ in breaches] == [("fleet", 0, "arrivals", "process", "mean_stay_s")]
    assert "for the states of 60 s" in breaches[0][1]


def test_a_long_trace_needs_memory_for_its_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "installed_bytes", lambda: 10**6)
    written = scenario(group("trace", "constant", 1, tmp_path))
    needs = {need.what: need.bytes for need in memory.needs_of(written, written.fleet[0], 0, 1)}
    assert needs["the analysis of its requests"] == pytest.approx(
        memory.ROW_BYTES * len(drawn(ScenarioArrivals(World(written)), 180.0).at_s)
    )
