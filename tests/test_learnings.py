"""What was learned is shared by runs that would learn the same, and by no others."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from here import results_of, run_here

from commands import one_run
from commands.learnings import Learning, Learnings, heard
from commands.progress import Quiet
from sim.messages import Learned, learned_of
from sim.results.packing import pack, unpack
from sim.scenario import Scenario, read
from sim.scenario.learning_part import learning_part

SHARED = ("server.replicas=3", "server.queue_limit=9", "server.in_flight=requeue", "server.max_batch=4")
OF_GROUPS = ("fleet.*.timeout_s=0.3", "fleet.*.deadline_s=2", "fleet.*.fallback=none")
NOT_SHARED = (
    "seed=9",
    "costs.c_1=2",
    "costs.c_e=0.3",
    "data.pools=[0.25,0.25,0.2,0.1,0.2]",
    "server.model.family=linear",
    "training.pretrain.epochs=3",
    "fleet.*.policy.score=confidence",
    "fleet.*.rejector.family=linear",
    "horizon_s=100",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def path_for(*changes: str) -> Path:
    return Learnings(learning_part(read("smoke", list(changes)), None), {})._path


@pytest.mark.parametrize("change", [*SHARED, *OF_GROUPS, "warm_up_s=3", "engine.path=simpy"])
def test_what_learning_does_not_see_is_shared(change):
    assert path_for(change) == path_for()


@pytest.mark.parametrize("change", NOT_SHARED)
def test_what_learning_sees_is_not(change):
    assert path_for(change) != path_for()


def test_files_of_the_data_count_by_their_content():
    part = learning_part(read("smoke", []), None)
    assert Learnings(part, {"images": "1"})._path != Learnings(part, {"images": "2"})._path


def test_observed_availability_counts_as_the_number_that_it_is():
    asked = read("smoke", ["training.availability=observed"])
    assert learning_part(asked, 0.5) != learning_part(asked, 0.75)


def learned_by(scenario: Scenario) -> Learned:
    from agents.fleet import open_fleet  # noqa: PLC0415

    with open_fleet(scenario, workers=0) as fleet:
        fleet.build()
        fleet.learn()
        return fleet.decide()


def is_same(one: Any, other: Any) -> bool:
    """To the last bit; a number may be one of NumPy's."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return list(one) == list(other) and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other) or (isnan(one) and isnan(other))


@pytest.mark.parametrize("name", ["smoke", "unfair"])
def test_the_whole_scenario_teaches_what_its_part_does(name):
    """So nothing that the part leaves out is learned from."""
    scenario = read(name, ["training.pretrain.epochs=2"])
    whole, part = learned_by(scenario), learned_by(learning_part(scenario, None))
    assert pack(whole) == pack(part)
    assert is_same(asdict(learned_of(unpack(pack(whole)))), asdict(whole))


SWITCHING = """
name: switching
seed: 4
horizon_s: 20
data: {set: digits, pools: [0.2, 0.2, 0.12, 0.05, 0.43]}
models:
  small: {family: linear, work: 0.3}
  large: {family: small_cnn}
servers:
  - server: site
    models: [small, large]
    switch: {kind: backlog, above: 8, below: 2}
    service: {kind: affine, base_s: 0.05}
fleet:
  - group: all
    clients: 2
    model: {family: linear, train_samples: 200, epochs: 1}
    arrivals: {process: {kind: poisson, rate_hz: 0.75}}
    policy: {score: compare_confidence, price: {kind: bounded_rate, rate: 0.3}}
training: {pretrain: {epochs: 1, batch: 64}}
"""


@pytest.fixture
def switching(tmp_path) -> str:
    (tmp_path / "switching.yaml").write_text(SWITCHING)
    return str(tmp_path / "switching.yaml")


def test_who_chooses_the_model_and_by_which_shares_is_learned_from(switching):
    def path_of(*changes: str) -> Path:
        return Learnings(learning_part(read(switching, list(changes)), None), {})._path

    known = path_of()
    assert path_of("servers.0.switch.above=9") == known
    assert path_of("servers.0.switch={kind: gear, every_s: 1}") == known
    assert path_of("servers.0.switch.shares=[0.5,0.5]") != known
    plain = "fleet.*.policy.price={kind: threshold, at: 0}"
    assert path_of(plain, "servers.0.switch=null") != path_of(plain)


@pytest.mark.parametrize("changes", [(), ("servers.0.switch.shares=[1,0]", "fleet.*.policy.score=oracle")])
def test_a_server_that_switches_is_one_option_to_learning(switching, changes):
    scenario = read(switching, list(changes))
    whole, part = learned_by(scenario), learned_by(learning_part(scenario, None))
    assert whole.tables.groups[0].score.ndim == part.tables.groups[0].score.ndim == 2
    assert pack(whole) == pack(part)


def test_a_run_before_a_server_that_switches_goes_through(switching, tmp_path):
    (tmp_path / "run").mkdir()
    one_run.execute(read(switching, []), "?", tmp_path / "run", False, 0, None, Quiet(), pictures=False)
    assert (tmp_path / "run" / "summary.json").exists()


def run_into(folder: Path, *changes: str) -> dict[str, bytes]:
    folder.mkdir(parents=True)
    one_run.execute(read("smoke", list(changes)), "?", folder, False, 0, None, Quiet(), pictures=False)
    return {name: content for name, content in results_of(folder).items() if name != "report.html"}


def test_a_second_run_opens_no_learners_and_leaves_the_same_bytes(tmp_path, monkeypatch):
    first = run_into(tmp_path / "first")
    monkeypatch.setattr("agents.fleet.open_fleet", None)
    assert run_into(tmp_path / "second") == first
    other = run_into(tmp_path / "third", "server.replicas=7")
    assert other["samples.parquet"] == first["samples.parquet"]
    assert other["timeline.parquet"] != first["timeline.parquet"]


@pytest.mark.slow
def test_without_learners_no_torch_is_loaded(tmp_path):
    words = ["run", "smoke", "--quiet", "--local", "--force", "--out", str(tmp_path / "run")]
    code = f"""
import sys
from unittest.mock import patch
from commands.main import main
sys.argv = ["run_sim.py", *{words!r}]
with patch("analysis.reports.run_page.begin", return_value=None):
    main()
print([name for name in ("torch", "ray") if name in sys.modules])
"""
    told = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert told[0].splitlines()[-1] == "['torch']"
    assert told[1].splitlines()[-1] == "[]"


@pytest.mark.slow
def test_a_run_that_trains_on_goes_on_from_what_was_learned(tmp_path, monkeypatch):
    """`run_here` trains during the run; the second time nothing is pretrained or evaluated."""
    assert run_here(tmp_path, "--local", "--out", "first")[0] == 0
    monkeypatch.setattr("agents.fleet.Fleet.learn", None)
    monkeypatch.setattr("agents.fleet.Fleet.decide", None)
    assert run_here(tmp_path, "--local", "--out", "second", learns_anew=False)[0] == 0
    first, second = (results_of(tmp_path / name) for name in ("first", "second"))
    assert {n: c for n, c in first.items() if n != "report.html"} == {
        n: c for n, c in second.items() if n != "report.html"
    }


@pytest.mark.parametrize("left", [0, pytest.param(100, marks=pytest.mark.slow)])
def test_a_damaged_entry_is_told_and_learned_again(left, cache, tmp_path, caplog):
    first = run_into(tmp_path / "first")
    (entry,) = (cache / "learned").glob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:left])
    assert run_into(tmp_path / "second") == first
    assert "it is learned again" in caplog.text
    caplog.clear()
    assert run_into(tmp_path / "third") == first
    assert not caplog.text


def test_a_cache_that_cannot_be_written_costs_a_warning(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("L2H_CACHE", "/dev/null")
    run_into(tmp_path / "run")
    assert "what was learned is not kept" in caplog.text


def test_warnings_are_told_again(caplog):
    learnings = Learnings(learning_part(read("smoke", []), None), {})
    with heard() as notes:
        logging.getLogger("agents.fleet").warning("careful")
        logging.getLogger("agents.models.client_cache").warning("today's disk")
    nothing = learned_by(read("smoke", ["training.pretrain.epochs=1"]))
    learnings.keep(Learning(nothing, None, notes))
    caplog.clear()
    found = learnings.find()
    assert found is not None
    assert np.array_equal(found.learned.tables.server_label, nothing.tables.server_label)
    assert [(record.name, record.message) for record in caplog.records] == [("agents.fleet", "careful")]


def test_whoever_wants_what_another_process_learns_waits_and_is_told(cache):
    learnings, told, entered = Learnings(learning_part(read("smoke", []), None), {}), [], threading.Event()

    def second() -> None:
        with learnings.my_turn(lambda: told.append("waits")):
            entered.set()

    with learnings.my_turn(lambda: told.append("first")):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.2)
        assert told == ["waits"]
    waiting.join(10)
    assert entered.is_set()
    assert not list((cache / "learned").iterdir())
