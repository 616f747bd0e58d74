"""Numbers over seeds: percentiles are of pooled requests wherever the summary has one; groups and windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.metrics.naming import MOST_OUTAGES
from analysis.reports.cell_table import Made, cell_table, metric_of, pivot
from analysis.run_folder.latencies import latencies_of, level_of
from analysis.run_folder.run import load_run
from analysis.statistics.comparison import load_traffics
from analysis.statistics.over_seeds import arms_of, compare_over_seeds
from analysis.statistics.percentiles import percentile
from commands import one_run
from commands.progress import Quiet
from sim.errors import BadInput
from sim.scenario import read

SEEDS = (1, 2, 3)
ARRIVALS = {"process": {"kind": "poisson", "rate_hz": 2.0}}
ALWAYS = {"score": "random", "price": {"kind": "always_remote"}}
HALF = {"score": "random", "price": {"kind": "threshold", "at": 0.5}}
LINK = {"latency": {"kind": "exponential", "mean_s": 0.05}}


ONE_REPLICA = {"kind": "replicas", "count": 1}


def group(name: str, policy: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "group": name,
        "clients": 6,
        "model": {"family": "linear", "train_samples": 30, "epochs": 1},
        "rejector": {"family": "linear", "input": "features", "per": "variant"},
        "arrivals": ARRIVALS,
        "policy": policy,
        "timeout_s": 1.0,
        "link": LINK,
    } | more


def links(share: float, correlated: bool, when: dict[str, Any]) -> dict[str, Any]:
    return {
        "when": when,
        "target": {"kind": "links", "groups": ["a"], "share": share, "correlated": correlated},
    }


SCENARIO = {
    "name": "seeds",
    "horizon_s": 150,
    "warm_up_s": 10,
    "data": {
        "set": "gaussian_mixture",
        "samples": 600,
        "mixture": {"classes": 3, "dimensions": 2, "components": 1, "separation": 3.0},
    },
    "fleet": [
        group("a", ALWAYS, traffic={"mix": "all", "drift": [{"at_s": 90, "noise": 1.0}]}),
        group("b", HALF, fallback="none"),
    ],
    "server": {
        "model": {"family": "linear"},
        "replicas": 3,
        "queue_limit": 20,
        "service": {"kind": "per_batch", "time": {"kind": "exponential", "mean_s": 0.1}},
        "outages": [
            {"when": {"kind": "intervals", "at": [[40, 50]]}, "target": {"kind": "server"}},
            links(0.5, True, {"kind": "intervals", "at": [[60, 70]]}),
            links(1.0, False, {"kind": "renewal", "up": 40.0, "down": 5.0}),
            {
                "when": {"kind": "renewal", "up": 60.0, "down": 9.0},
                "target": {"kind": "replicas", "count": 1},
            },
        ],
    },
    "training": {"pretrain": {"epochs": 1}},
}


def run_all(root: Path, *changes: str) -> list[Path]:
    root.mkdir(parents=True)
    (root / "seeds.yaml").write_text(json.dumps(SCENARIO))
    folders = []
    for seed in SEEDS:
        folder = root / f"seed{seed}"
        folder.mkdir()
        scenario = read(root / "seeds.yaml", overrides=list(changes), seed=seed)
        one_run.execute(scenario, "?", folder, False, 0, None, Quiet(), pictures=False)
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return run_all(tmp_path_factory.mktemp("seeds") / "base")


@pytest.fixture(scope="module")
def faster(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same with a server that is twice as fast."""
    return run_all(tmp_path_factory.mktemp("seeds") / "faster", "server.service.time.mean_s=0.05")


@pytest.fixture(scope="module")
def table(runs: list[Path]) -> pd.DataFrame:
    return cell_table([Made({}, seed, folder) for seed, folder in zip(SEEDS, runs, strict=True)])


def percentile_leaves(summary: Any, path: str = "") -> Iterator[str]:
    """Every number of a summary that is called p50, p95 or p99, but for lengths of time that are needed."""
    if isinstance(summary, dict):
        for name, value in summary.items():
            yield from percentile_leaves(value, f"{path}.{name}" if path else name)
    elif path.startswith("outages.each") and isinstance(summary, list):
        for number, value in enumerate(summary[:MOST_OUTAGES]):
            yield from percentile_leaves(value, f"{path}.{number}")
    elif path.startswith("intervals."):
        if path.endswith(".value") and path.split(".")[-2] in ("p50", "p95", "p99"):
            yield path
    elif path.rpartition(".")[2][:3] in ("p50", "p95", "p99") and not path.startswith("run_length."):
        yield path


def by_hand(folder: Path, path: str) -> np.ndarray:
    """The seconds that the requests of a part took; inf where there is no answer, NaN where it is open."""
    part = path.removeprefix("intervals.").removesuffix(".value").rpartition(".")[0]
    masks, taken_s = parts_by_hand(folder)
    taken = taken_s["first" if part == "latency_s.first" else "final"]
    return taken[masks[part]] if part in masks else np.zeros(0)


@cache
def parts_by_hand(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Which requests each part holds, and their seconds to both answers, by the tables; NaN: open."""
    run = load_run(folder)
    rows = run.requests[run.requests["arrived_at_s"] >= run.warm_up_s]
    at_s, periods = rows["arrived_at_s"].to_numpy(), run.periods
    own = np.zeros(len(rows), dtype=bool)
    shared, touched = own.copy(), own.copy()
    numbers = run.clients.set_index("client_id")["outages"].astype("str").str.split()
    hit_by = [set(map(int, numbers[client])) for client in rows["client_id"]]
    for period in periods.to_dict("records"):
        during = (at_s >= period["from_s"]) & (at_s < period["until_s"])
        if period["client_id"] >= 0:
            own |= during & (rows["client_id"].to_numpy() == period["client_id"])
            continue
        shared |= during
        is_link = str(period["target"]).startswith("links")
        touched |= during & (np.array([period["outage"] in hit for hit in hit_by]) | (not is_link))
    first_s = periods.loc[periods["client_id"] < 0, "from_s"].min()
    whole = np.ones(len(rows), dtype=bool)
    masks = {
        "latency_s.first": whole,
        "latency_s.final": whole,
        "outages.whole_run": whole,
        "outages.before": at_s < first_s,
        "outages.during_any": shared | own,
        "outages.affected": touched | own,
        "outages.own_links": own,
        "outages.outside": ~(shared | own),
    }
    for group_name in ("a", "b"):
        mine = (rows["group"] == group_name).to_numpy()
        masks |= {
            f"groups.{group_name}.whole_run": mine,
            f"groups.{group_name}.affected": mine & (touched | own),
            f"groups.{group_name}.unaffected": mine & ~(touched | own),
        }
    for outcome in rows["outcome"].cat.categories:
        masks[f"latency_s.by_outcome.{outcome}"] = (rows["outcome"] == outcome).to_numpy()
    each = periods[(periods["client_id"] < 0) & (periods["from_s"] < run.horizon_s)]
    each = each.sort_values(["from_s", "until_s", "target"])
    for number, period in enumerate(each.to_dict("records")):
        until = min(period["until_s"], run.horizon_s)
        later = each.loc[each["from_s"] >= until, "from_s"].min()
        masks[f"outages.each.{number}.during"] = (at_s >= period["from_s"]) & (at_s < until)
        after = (at_s >= until) & ~(at_s >= later)
        masks[f"outages.each.{number}.after"] = after & ~(shared | own)
    is_open = (rows["outcome"] == "in_flight").to_numpy()
    taken_s = {}
    for name, answer in (("first", "first_answer_at_s"), ("final", "answered_at_s")):
        taken = (rows[answer].to_numpy() - at_s).astype(np.float32).astype(float)
        taken_s[name] = np.where(np.isnan(taken) & ~is_open, np.inf, taken)
    return masks, taken_s


@pytest.mark.slow
def test_no_percentile_over_seeds_is_a_mean(table: pd.DataFrame, runs: list[Path]) -> None:
    """Each is that of the requests of all seeds together, counted anew by hand wherever nothing is open."""
    summaries = [load_run(folder).summary for folder in runs]
    paths = sorted({path for summary in summaries for path in percentile_leaves(summary)})
    assert {path.split(".")[0] for path in paths} == {"latency_s", "groups", "outages", "intervals"}
    assert any(path.startswith("outages.each.3.during") for path in paths)
    compared = differs = 0
    for path in paths:
        assert level_of(path) is not None, path
        assert path in table, path
        (row,) = pivot(table, [], [metric_of(path, table)])
        value = row["metrics"][path][0]
        taken = np.sort(np.concatenate([by_hand(folder, path) for folder in runs]))
        if np.isnan(taken).any() or not taken.size:
            continue
        rank = int(np.ceil(level_of(path) * taken.size - 1e-9)) - 1
        if np.isnan(value):
            assert np.isinf(taken[rank]) or "p99" in path, path
            continue
        assert value == taken[rank], path
        compared += 1
        differs += not np.isclose(value, table[path].astype(float).mean())
    assert compared > 40
    assert differs > 20, "the mean of the seeds' own is another number"


@pytest.mark.slow
def test_a_percentile_of_one_run_is_that_of_its_part(table: pd.DataFrame, runs: list[Path]) -> None:
    for path in percentile_leaves(load_run(runs[0]).summary):
        value, part = table[path].astype(float)[0], latencies_of(runs[0], path)
        if not np.isnan(value):
            assert part is not None
            assert percentile([part], level_of(path)) == value, path


def test_a_percentile_that_is_not_told_is_told_nowhere(runs: list[Path]) -> None:
    """A p99 that is worth fewer than a hundred requests is null in every section alike."""
    summary = load_run(runs[0]).summary
    timed = summary["intervals"]
    pairs = [(summary["latency_s"][which], timed["latency_s"][which]) for which in ("first", "final")]
    pairs += [
        (summary["latency_s"]["by_outcome"][name], one)
        for name, one in timed["latency_s"]["by_outcome"].items()
    ]
    for number, interval in pairs:
        assert {level: interval[level]["value"] for level in ("p50", "p95", "p99")} == {
            level: number[level] for level in ("p50", "p95", "p99")
        }
    assert any(number["p99"] is None and number["n"] > 0 for number, _ in pairs)


def test_ends_of_intervals_are_no_numbers_to_ask_for(table: pd.DataFrame) -> None:
    for name in ("accuracy.held_out.all.low", "intervals.latency_s.final.p95.high"):
        with pytest.raises(BadInput, match="is an end of an interval: ask for"):
            metric_of(name, table)


def test_an_outage_of_a_share_of_the_links_touches_no_others(runs: list[Path]) -> None:
    """Half of the six links of `a` are cut for 10 s: those asked for are affected, the other half is not."""
    run = load_run(runs[0])
    hit = run.clients["outages"].astype("str").str.split().map(lambda numbers: "1" in numbers)
    assert hit.sum() == 3
    assert set(run.clients.loc[hit, "group"].astype("str")) == {"a"}
    of_b = run.summary["groups"]["b"]
    arrived = run.requests["arrived_at_s"]
    b = (run.requests["group"] == "b") & (arrived >= 10)
    down = [(p["from_s"], p["until_s"]) for p in run.periods.to_dict("records") if p["target"][:5] != "links"]
    touched = np.logical_or.reduce([(arrived >= begin) & (arrived < end) for begin, end in down])
    assert of_b["affected"]["requests"] == (b & touched).sum()
    assert 0 < of_b["affected"]["requests"] < of_b["whole_run"]["requests"]


def test_groups_and_windows_are_compared_over_seeds(runs: list[Path], faster: list[Path]) -> None:
    arms = arms_of(load_traffics([*runs, *faster]))
    (found,) = compare_over_seeds(arms, ["base", "faster"])["runs"]
    assert set(found["groups"]) == {"a", "b"}
    for name, measures in found["groups"].items():
        for key in ("accuracy", "answered_in_time", "served_in_time", "latency_p95", "cost"):
            assert measures[key]["by"] == "seeds"
        own = [load_run(folder).summary["groups"][name]["whole_run"] for folder in runs]
        assert measures["timed_out"]["baseline"] == pytest.approx(
            np.mean([s["timed_out_share"] for s in own])
        )
        assert measures["latency_mean"]["high"] < 0, "a server that is twice as fast answers sooner"
    in_any, *each = found["windows"]
    assert (in_any["label"], in_any["from_s"]) == ("in any outage", None)
    spans = [(one["label"], one["from_s"], one["to_s"]) for one in each]
    assert {("server", 40.0, 50.0), ("links a", 60.0, 70.0)} <= set(spans)
    own = [load_run(folder).summary["outages"]["during_any"]["answered_in_time_share"] for folder in faster]
    assert in_any["measures"]["answered_in_time"]["value"] == pytest.approx(np.mean(own))
    assert in_any["measures"]["latency_p95"]["by"] == "seeds"
