"""Runs held against one another: pairs by request where the traffic is one, refuses where it is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from run_folders import write_folder, write_tiny

import analysis
from analysis.metrics.measures import IN_SUMMARY, MEASURES, RATIOS
from analysis.reports.cell_table import in_summary
from analysis.reports.print_figure import print_figure
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of
from analysis.statistics.comparison import Measured, compare, load_traffics, names_of
from analysis.statistics.pairing import what_differs
from sim.errors import BadInput

Finished = tuple[Path, dict[str, Any]]
WRONG = 9


def held_against(base: Path, other: Path, unpaired: bool = False) -> dict[str, Any]:
    return compare(load_traffics([base, other]), unpaired)["runs"][0]


@pytest.fixture(scope="module")
def copy(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run again, in another folder."""
    return shutil.copytree(finished[0], tmp_path_factory.mktemp("copies") / "again")


@pytest.mark.slow
def test_a_run_does_not_differ_from_itself(finished: Finished, copy: Path) -> None:
    reported = held_against(finished[0], copy)
    assert reported["paired_by"] == "requests"
    assert "requests after the warm-up: same arrivals" in reported["shared"]
    assert reported["scenario"] == []
    for key, measure in reported["measures"].items():
        assert measure["difference"] == (None if measure["value"] is None else 0.0), key
        assert (measure["low"], measure["high"]) in ((0.0, 0.0), (None, None)), key
    answers = {key for key, measure in RATIOS.items() if not measure.in_time}
    assert {key for key, m in reported["measures"].items() if m["low"] is not None} == answers
    assert all(reported["measures"][key]["by"] == "samples" for key in answers)
    assert reported["measures"]["latency_p95"]["why"] == "1 outage: too few to show how they vary"


def test_measures_agree_with_the_summary(finished: Finished) -> None:
    summary = finished[1]
    value = Measured(traffic_of(load_run(finished[0])), summary).value
    agree = {key: in_summary(summary, key) for key in IN_SUMMARY}
    assert set(MEASURES) - set(agree) == {"service"}
    assert {key: value(MEASURES[key]) for key in agree} == pytest.approx(agree)


def twenty(wrong: set[int]) -> list[dict[str, Any]]:
    """Twenty clients, one request each, some of which are answered wrongly."""
    return [
        {"client_id": n, "sample_id": n % 5, "client_label": WRONG if n in wrong else 1} for n in range(20)
    ]


def test_differences_by_hand(tmp_path: Path) -> None:
    base = write_tiny(tmp_path / "base", twenty({0, 1, 2, 3}))
    other = write_tiny(tmp_path / "other", twenty({0}), price=("c_e: 0.1", "c_e: 0.3"))
    reported = held_against(base, other)
    assert reported["shared"].startswith("the same 20 requests: same arrivals")
    assert reported["measures"]["accuracy"]["value"] == 19 / 20
    assert reported["measures"]["accuracy"]["difference"] == pytest.approx(3 / 20)
    assert reported["measures"]["accuracy"]["low"] is None, "five samples show no spread"
    assert reported["measures"]["goodput"]["difference"] == pytest.approx(3 / 100)
    assert reported["scenario"] == [["costs.c_e", 0.1, 0.3]] or reported["scenario"] == [
        ("costs.c_e", 0.1, 0.3)
    ]


def test_groups_are_compared_each_for_itself(tmp_path: Path) -> None:
    """Of two groups of ten requests one gains four right answers and the other none."""
    samples = [
        {"sample_id": k % 5, "client_id": k % 2, "group": ("sensors", "cameras")[k % 2]} for k in range(20)
    ]
    base = [row | {"client_label": 9} for row in samples]
    better = [
        row | ({"client_label": 1} if k in (0, 2, 4, 6) else {"client_label": 9})
        for k, row in enumerate(samples)
    ]
    paths = [write_tiny(tmp_path / name, rows) for name, rows in (("base", base), ("better", better))]
    (run,) = compare(load_traffics(paths))["runs"]
    found = {name: measures["accuracy"] for name, measures in run["groups"].items()}
    assert found["sensors"]["difference"] == pytest.approx(0.4)
    assert found["cameras"]["difference"] == 0.0
    assert found["sensors"]["baseline"] == 0.0
    assert run["measures"]["accuracy"]["difference"] == pytest.approx(0.2)


def test_pairing_narrows_the_interval_and_reports_the_same_difference(tmp_path: Path) -> None:
    base, other = (
        write_folder(tmp_path / name, clients=8, horizon_s=120, outages=outages)
        for name, outages in (("calm", ()), ("down", (("server", 60, 90),)))
    )
    paired, apart = held_against(base, other), None
    assert paired["paired_by"] == "requests"
    strange = write_folder(
        tmp_path / "strange", clients=8, horizon_s=120, outages=(("server", 60, 90),), seed=2
    )
    apart = held_against(base, strange, unpaired=True)
    assert apart["paired_by"] == "nothing"
    for key in ("accuracy", "gain"):
        with_pairs, without = (reported["measures"][key] for reported in (paired, apart))
        assert with_pairs["low"] < with_pairs["difference"] < with_pairs["high"], key
        width = with_pairs["high"] - with_pairs["low"]
        assert width < without["high"] - without["low"], key


def test_what_an_outage_of_either_run_cost_is_told_for_its_window(tmp_path: Path) -> None:
    base, other = (
        write_folder(tmp_path / name, clients=8, horizon_s=120, outages=outages)
        for name, outages in (("calm", ()), ("down", (("server", 60, 90),)))
    )
    (window,) = held_against(base, other)["windows"]
    assert (window["from_s"], window["to_s"], window["label"]) == (60, 90, "server")
    during, whole = window["measures"]["accuracy"], held_against(base, other)["measures"]["accuracy"]
    assert during["low"] < during["difference"] < during["high"] < 0
    assert during["difference"] < whole["difference"]
    assert window["measures"]["latency_p95"]["why"] == "one window of one course of events"
    back = held_against(other, base)["windows"][0]["measures"]["accuracy"]
    assert back["difference"] == pytest.approx(-during["difference"])
    analysis.write_comparison([base, other], tmp_path / "out")
    printed = print_figure(tmp_path / "out", "compare_timelines", "7.0in", "svg", ["accuracy"]).decode()
    assert {"calm", "down", "virtual time (s)"} <= set(re.findall(r">([^<>]+)</text>", printed))
    with pytest.raises(BadInput, match="did you mean 'compare_timelines'"):
        print_figure(tmp_path / "out", "timelines")
    assert "server 60–90 s" in (tmp_path / "out/compare.html").read_text()


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"seed": 2}, "requests"),
        ({"warm_up_s": 30}, "warm_up_s is 20 and 30"),
        ({"horizon_s": 90}, "horizon_s is 120 and 90"),
        ({"clients": 5}, "requests"),
    ],
)
def test_other_traffic_is_refused_unless_asked_for(
    tmp_path: Path, change: dict[str, Any], reported: str
) -> None:
    usual = {"clients": 4, "horizon_s": 120, "outages": ()}
    base = write_folder(tmp_path / "base", **usual)
    other = write_folder(tmp_path / "other", **(usual | change))
    with pytest.raises(BadInput, match="their traffic differs") as refused:
        held_against(base, other)
    assert reported in str(refused.value)
    assert "--unpaired" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert held_against(base, other, unpaired=True)["paired_by"] == "nothing"


def test_another_sample_is_other_traffic(tmp_path: Path) -> None:
    requests = twenty(set())
    base = write_tiny(tmp_path / "base", requests)
    other = write_tiny(tmp_path / "other", [*requests[:7], requests[7] | {"sample_id": 0}, *requests[8:]])
    with pytest.raises(BadInput, match="sample_id of request 8 in order of arrival is 2 and 0"):
        held_against(base, other)


THINKS = ("process: {kind: poisson, rate_hz: 1.2}", "process: {kind: closed_loop}")


def test_closed_loop_shares_clients_and_samples_and_says_so(tmp_path: Path) -> None:
    slow = [row | {"arrived_at_s": 2.0 * n} for n, row in enumerate(twenty({0, 1, 2, 3}))]
    base = write_tiny(tmp_path / "base", slow, thinks=THINKS)
    other = write_tiny(tmp_path / "other", twenty({0}), thinks=THINKS)
    reported = held_against(base, other)
    assert reported["paired_by"] == "clients and samples"
    assert "20 requests have the same client and number" in reported["shared"]
    assert reported["measures"]["accuracy"]["difference"] == pytest.approx(3 / 20)
    strange = write_tiny(tmp_path / "strange", [r | {"sample_id": 4} for r in twenty({0})], thinks=THINKS)
    with pytest.raises(BadInput, match="their traffic differs"):
        held_against(base, strange)


def test_pairing_by_client_and_sample_equals_pairing_by_request_where_both_can_be_had(
    finished: Finished, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    rng = np.random.default_rng(3)
    base, other = load_traffics([finished[0], folder])
    better = {"correct": other.correct | (rng.random(other.count) < 0.1)}
    other = replace(other, columns={**other.columns, **better})
    by_request = compare([base, other])["runs"][0]["measures"]["accuracy"]
    for traffic in (base, other):
        traffic.run.groups["sensors"]["arrivals"]["process"] = {"kind": "closed_loop"}
    later = {"arrived_at_s": other.arrived_at_s + 1e-3}
    loop = compare([replace(base), replace(other, columns={**other.columns, **later})])["runs"][0]
    assert loop["paired_by"] == "clients and samples"
    assert loop["measures"]["accuracy"] == pytest.approx(by_request)


def test_one_run_and_one_run_twice_are_refused(finished: Finished) -> None:
    with pytest.raises(BadInput, match="1 run given"):
        load_traffics([finished[0]])
    with pytest.raises(BadInput, match="given twice"):
        load_traffics([finished[0], finished[0] / "figures" / ".."])


def test_runs_of_one_name_are_told_apart(finished: Finished, copy: Path, tmp_path: Path) -> None:
    third = shutil.copytree(finished[0], tmp_path / finished[0].name)
    assert names_of(load_traffics([finished[0], copy, third])) == [str(finished[0]), "again", str(third)]


def test_what_differs_names_paths_by_group() -> None:
    one = {"seed": 1, "fleet": [{"group": "a", "n": 1}, {"group": "b", "n": 1}], "x": None}
    two = {"seed": 1, "fleet": [{"group": "a", "n": 2}, {"group": "b", "n": 1}], "x": {"y": 3}}
    assert what_differs(one, two) == [("fleet.a.n", 1, 2), ("x.y", None, 3)]


@pytest.mark.slow
def test_results_are_written_whole_and_load_nothing(finished: Finished, copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "comparison"
    reported = analysis.write_comparison([finished[0], copy], out)
    assert json.loads((out / "compare.json").read_text()) == json.loads(json.dumps(reported))
    page = (out / "compare.html").read_text()
    assert "https://" not in page
    assert "<script" not in page
    assert "latency, p95 (ms)" in page
    assert {path.name for path in out.iterdir()} == {
        "compare.json",
        "compare.html",
        "compare_timelines.svg",
    }
    analysis.write_comparison([finished[0], copy], out, png=True)
    assert (out / "compare_timelines.png").read_bytes().startswith(b"\x89PNG")
    analysis.write_comparison([finished[0], copy], out)
    assert not (out / "compare_timelines.png").exists()
    with pytest.raises(BadInput, match="holds other things"):
        analysis.write_comparison([finished[0], copy], finished[0])


def test_table_fits_a_terminal(finished: Finished, copy: Path) -> None:
    console = Console(width=80, record=True)
    console.print(analysis.comparison_table(compare(load_traffics([finished[0], copy]))))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert any(
        line.startswith("accuracy, held-out (%)") and line.rstrip().endswith("0.0 [0.0, 0.0] s")
        for line in lines
    )


def replications(tmp_path: Path, name: str, seeds: tuple[int, ...], **options: Any) -> list[Path]:
    """One scenario's runs of several seeds."""
    paths = []
    for seed in seeds:
        path = write_folder(tmp_path / f"{name}-{seed}", clients=3, horizon_s=60, seed=seed, **options)
        text = (path / "scenario.yaml").read_text().replace("seed: 7", f"seed: {seed}")
        (path / "scenario.yaml").write_text(text.replace("when_down: queue", f"when_down: {name}"))
        paths.append(path)
    return paths


def test_differences_over_seeds_by_hand(tmp_path: Path) -> None:
    calm = replications(tmp_path, "queue", (1, 2, 3), outages=())
    down = replications(tmp_path, "refuse", (3, 1, 2), outages=(("server", 30, 50),))
    asked = ["latency.p95", "work.wasted_s"]
    reported = analysis.write_comparison([*calm, *down], tmp_path / "out", replicated=True, shown=asked)
    (run,) = reported["runs"]
    assert reported["shown"] == ["latency_p95", "work.wasted_s"]
    wasted = [np.mean([summarised(one)["work"]["wasted_s"] for one in arm]) for arm in (calm, down)]
    assert run["measures"]["work.wasted_s"]["difference"] == pytest.approx(wasted[1] - wasted[0])
    assert run["scenario"] == [["server.when_down", "queue", "refuse"]]
    assert run["paired_by"] == "seeds"
    singles = [
        [summary["load"]["utilisation"] for summary in map(summarised, paths)]
        for paths in (calm, sorted(down))
    ]
    difference = np.subtract(singles[1], singles[0])
    found = run["measures"]["utilisation"]
    assert reported["baseline"]["measures"]["utilisation"] == pytest.approx(np.mean(singles[0]))
    assert found["difference"] == pytest.approx(difference.mean())
    half = 4.302652729911275 * difference.std(ddof=1) / np.sqrt(3)  # Student's t, two degrees of freedom
    assert (found["low"], found["high"]) == pytest.approx(
        (difference.mean() - half, difference.mean() + half)
    )
    page = (tmp_path / "out/compare.html").read_text()
    assert "--over-seeds" in page
    assert "Numbers are means over seeds" in page


def test_what_is_asked_for_is_told_first_and_alone_in_a_terminal(tmp_path: Path) -> None:
    base = write_tiny(tmp_path / "base", twenty({0, 1, 2, 3}))
    other = write_tiny(tmp_path / "other", twenty({0}), price=("c_e: 0.1", "c_e: 0.3"))
    asked = ["goodput", "accuracy.held_out.server_accuracy", "spend"]
    reported = analysis.write_comparison([base, other], tmp_path / "out", shown=asked)
    console = Console(width=100, record=True)
    console.print(analysis.comparison_table(reported))
    text = console.export_text()
    assert "accuracy, held-out" not in text
    assert "goodput: right and in time (1/s)" in text
    server = summarised(base)["accuracy"]["held_out"]["server_accuracy"]["value"]
    assert re.search(rf"accuracy\.held_out\.server_accuracy +{server:.3f}", text)
    assert "spend: no run has such a number. Price x charged attempts" in text
    page = (tmp_path / "out/compare.html").read_text()
    assert page.index("goodput: right and in time") < page.index("accuracy, held-out")
    assert "spend: no run has such a number." in page
    assert f"Runs made by {'; '.join(reported['made_by'])}." in page
    assert "--show goodput --show accuracy.held_out.server_accuracy --show spend" in page


def summarised(path: Path) -> dict[str, Any]:
    return analysis.summarise(load_run(path))


@pytest.mark.parametrize(
    ("seeds", "reported"),
    [
        (((1, 2, 3), ()), "all runs are of one scenario"),
        (((1, 2), (1, 2)), "2 seeds given; 3 needed"),
        (((1, 2, 3), (1, 2, 4)), "seed 3 is not there for every scenario"),
    ],
)
def test_seeds_that_do_not_fit_are_refused(
    tmp_path: Path, seeds: tuple[tuple[int, ...], ...], reported: str
) -> None:
    paths = [
        path
        for name, each in zip(("queue", "refuse"), seeds, strict=True)
        for path in replications(tmp_path, name, each, outages=())
    ]
    with pytest.raises(BadInput, match=reported):
        analysis.write_comparison(paths, tmp_path / "out", replicated=True)
    assert not (tmp_path / "out").exists()


def test_a_seed_twice_and_other_traffic_are_refused_over_seeds(tmp_path: Path) -> None:
    calm = replications(tmp_path, "queue", (1, 2, 3), outages=())
    twice = shutil.copytree(calm[1], tmp_path / "twice")
    with pytest.raises(BadInput, match="repeats seed 2"):
        analysis.write_comparison([*calm, twice], tmp_path / "out", replicated=True)
    other = replications(tmp_path / "more", "refuse", (1, 2, 3), outages=(), rate_hz=2.0)
    with pytest.raises(BadInput, match="traffic of seed 1 differs"):
        analysis.write_comparison([*calm, *other], tmp_path / "out", replicated=True)
    with pytest.raises(BadInput, match="goes not with --over-seeds"):
        analysis.write_comparison(calm, tmp_path / "out", unpaired=True, replicated=True)


@pytest.mark.slow
def test_the_command_prints_the_table_and_says_where_the_page_is(
    finished: Finished, copy: Path, tmp_path: Path
) -> None:
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, str(root / "run_sim.py"), "compare", str(finished[0]), str(copy)]
    reported = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert "again against outage" in reported.stdout
    assert reported.stdout.strip().endswith("comparison: runs/comparison/compare.html")
    assert (tmp_path / "runs/comparison/compare.json").is_file()
    words.append(str(copy))
    refused = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.strip() == f"compare: {copy} is given twice"
