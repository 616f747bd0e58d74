"""Many runs as one table: pivots by hand, what Parquet keeps, figures and pages that load nothing."""

from __future__ import annotations

import json
import math
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from rich.console import Console
from run_folders import write_tiny

import analysis
from analysis.figures import many_runs as figures
from analysis.figures import policies
from analysis.figures.for_print import LEAST_PT, PRINT, broken, for_print, panels_of
from analysis.figures.policies_in_time import Panel, policies_in_time
from analysis.metrics.measures import IN_SUMMARY
from analysis.metrics.naming import all_named, named
from analysis.metrics.summary import json_safe, to_json
from analysis.reports import policy_study
from analysis.reports.best_policy import names_the_best, pair_rows, pairs_of, sentences
from analysis.reports.cell_table import (
    Made,
    Metric,
    cell_table,
    makers,
    metric_of,
    pivot,
    write_cell_table,
)
from analysis.reports.fitting_table import FittingTable
from analysis.reports.formatting import difference_with_interval
from analysis.reports.many_runs_report import (
    Sheet,
    cautions,
    cells_as_text,
    sweep_result,
    sweep_table,
    with_ends,
    with_half,
    write_result,
)
from analysis.reports.page import PHONE_IN, saved
from analysis.reports.policy_study import paired_differences, policies_of
from analysis.reports.print_figure import OF_MANY_RUNS, print_figure
from sim.errors import BadInput


def summary(accuracy: float, p95: float | None, reasons: tuple[str, ...] = ()) -> dict[str, Any]:
    """A summary in which every measure stands, all 0 but two."""
    reported: dict[str, Any] = {"valid": not reasons, "invalid_because": list(reasons)}
    for path in IN_SUMMARY.values():
        part = reported
        for step in path[:-1]:
            part = part.setdefault(step, {})
        part[path[-1]] = 0.0
    reported["accuracy"]["held_out"]["all"] = {
        "value": accuracy,
        "low": accuracy - 0.1,
        "high": accuracy + 0.05,
    }
    reported["latency_s"]["final"]["p95"] = p95
    reported["latency_s"]["final"]["mean"] = p95
    reported["outages"]["each"] = [{"from_s": 3.0}]
    reported["study"] = [{"group": "a", "score": "l2h", "accuracy": 0.5, "is_policy": True}]
    return reported


SCENARIO: dict[str, Any] = {  # as far as a study asks
    "name": "smoke",
    "seed": 1,
    "horizon_s": 60.0,
    "warm_up_s": 0.0,
    "costs": {},
    "fleet": [],
    "server": {},
}


def made(place: Path, runs: list[tuple[dict[str, Any], int, dict[str, Any]]]) -> pd.DataFrame:
    """The table of runs given as (what was chosen, seed, summary)."""
    for number, (_, _, reported) in enumerate(runs):
        (place / str(number)).mkdir(parents=True)
        (place / str(number) / "summary.json").write_text(json.dumps(reported))
        (place / str(number) / "scenario.yaml").write_text(json.dumps(SCENARIO))
    return cell_table([Made(chosen, seed, place / str(n)) for n, (chosen, seed, _) in enumerate(runs)])


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Two prices, three seeds each."""
    values = {0.1: (0.80, 0.82, 0.87), 0.5: (0.70, 0.70, 0.70)}
    runs = [
        ({"costs.c_e": c_e}, seed, summary(value, 0.1 * seed))
        for c_e, each in values.items()
        for seed, value in enumerate(each, start=1)
    ]
    return made(tmp_path / "cells", runs)


def test_means_and_intervals_over_seeds_by_hand(table: pd.DataFrame) -> None:
    accuracy, mean = metric_of("accuracy", table), metric_of("latency.mean", table)
    first, second = pivot(table, ["costs.c_e"], [accuracy, mean])
    assert (first["chosen"], first["seeds"], second["chosen"]) == ([0.1], 3, [0.5])
    # Mean 0.83, s = sqrt(0.0013), Student's t for two degrees of freedom 4.3027: half 0.08957.
    assert first["metrics"]["accuracy"] == pytest.approx((0.83, 0.74043, 0.91957), abs=1e-5)
    assert second["metrics"]["accuracy"] == pytest.approx((0.7, 0.7, 0.7))
    assert first["metrics"]["latency_mean"] == pytest.approx((0.2, 0.0, 0.2 + 0.24841), abs=1e-5), (
        "no time is below 0"
    )


def test_a_percentile_over_seeds_is_of_the_requests_of_all(tmp_path: Path) -> None:
    """Three runs of 40 requests: 1 s, but in the last run eight of 9 s: of 120, 6.7% take 9 s, so p95 is 9 s;
    the mean of the three p95 would be 3.7 s."""
    runs = []
    for seed, slow in enumerate((0, 0, 8), start=1):
        requests = [
            {"arrived_at_s": float(k), "answered_at_s": k + (9.0 if k < slow else 1.0)} for k in range(40)
        ]
        folder = write_tiny(tmp_path / str(seed), requests)
        (folder / "summary.json").write_text(json.dumps(analysis.summarise(analysis.load_run(folder))))
        runs.append(Made({}, seed, folder))
    table = cell_table(runs)
    (row,) = pivot(table, [], [metric_of("latency.p95", table), metric_of("latency.p50", table)])
    value, low, high = row["metrics"]["latency_p95"]
    assert (value, low) == (9.0, 1.0)
    assert math.isnan(high), "three runs do not bound it"
    assert row["metrics"]["latency_p50"][0] == 1.0


def test_one_seed_has_the_interval_of_its_run_and_two_have_none(table: pd.DataFrame) -> None:
    metrics = [metric_of("accuracy", table), metric_of("latency.p95", table)]
    (one,) = pivot(table.iloc[:1], ["costs.c_e"], metrics)
    assert one["metrics"]["accuracy"] == pytest.approx((0.8, 0.7, 0.85))
    assert one["metrics"]["latency_p95"] == pytest.approx((0.1, math.nan, math.nan), nan_ok=True)
    (two,) = pivot(table.iloc[:2], ["costs.c_e"], metrics)
    assert two["metrics"]["accuracy"] == pytest.approx((0.81, math.nan, math.nan), nan_ok=True)


def test_paired_differences_by_hand(table: pd.DataFrame) -> None:
    table = table.assign(policy=["base"] * 3 + ["other"] * 3)
    found = paired_differences(policies_of(table), "base")["other"]["accuracy"]
    # Differences -0.10, -0.12, -0.17: mean -0.13, the same spread as above.
    assert found["value"] == pytest.approx(0.7)
    assert [found[end] for end in ("difference", "low", "high")] == pytest.approx(
        [-0.13, -0.21957, -0.04043], abs=1e-5
    )


def test_a_study_says_who_does_better_and_who_is_not_seen_to(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_study, "require_same_traffic", lambda _table: None)  # there are no requests
    table = table.drop(columns="costs.c_e").assign(policy=["l2h"] * 3 + ["alone"] * 3)
    said = policy_study.study_result("s", "", "", table, "l2h", "smoke").sentences
    assert said[0] == "accuracy, held-out: l2h is best (83.0); all others are seen to be worse."
    said = [line for line in said if not names_the_best(line)]
    assert said[0] == "accuracy, held-out (points) against l2h: lower for alone (-13.0)."
    assert "latency, p95 (ms) against l2h: no policy is seen to differ." in said


def test_every_number_of_the_summary_is_a_column(table: pd.DataFrame) -> None:
    for path in IN_SUMMARY.values():
        column = ".".join(path)
        assert column in table or f"{column}.value" in table, column
    assert "study.a.l2h.accuracy" in table
    assert "outages.each.0.from_s" in table
    assert table["accuracy.held_out.all.low"].tolist() == pytest.approx([0.7, 0.72, 0.77, 0.6, 0.6, 0.6])


def test_parquet_keeps_numbers_as_numbers_and_parts_as_json(tmp_path: Path) -> None:
    chosen = [
        {"whole": 1, "real": 0.5, "mixed": 1, "part": {"kind": "always_local"}, "word": "l2h", "flag": True},
        {"whole": 2, "real": 2, "mixed": None, "part": None, "word": "random", "flag": False},
    ]
    table = made(tmp_path / "cells", [(one, 1, summary(0.5, None)) for one in chosen])
    write_cell_table(tmp_path / "t.parquet", table)
    back = pd.read_parquet(tmp_path / "t.parquet")
    assert back["whole"].tolist() == [1, 2]
    assert back["real"].tolist() == [0.5, 2.0]
    assert back["mixed"].isna().tolist() == [False, True]
    assert [json.loads(text) if text else text for text in back["part"]] == [{"kind": "always_local"}, None]
    assert back["word"].tolist() == ["l2h", "random"]
    assert back["flag"].tolist() == [True, False]
    assert back["latency_s.final.p95"].isna().all()


@pytest.mark.parametrize(
    "name", ["accuracy", "latency.p95", "latency_p95", "latency_s.by_outcome.remote.p99"]
)
def test_metrics_go_by_name_or_column(name: str) -> None:
    assert named(name) == name


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("p95", "latency_p95"),
        ("P99", "latency_p99"),
        ("mean latency", "latency_mean"),
        ("load", "offered_load"),
        ("deferral-rate", "deferral_rate"),
    ],
)
def test_words_that_one_measure_alone_has_are_its_name(words: str, key: str) -> None:
    assert named(words) == key


def test_names_may_stand_in_one_word_with_commas() -> None:
    asked = ["p95,accuracy", "latency, p99", "cost.spend"]
    assert all_named(asked) == ["latency_p95", "accuracy", "latency_p99", "cost.spend"]
    with pytest.raises(BadInput, match=r"^acuracy: is no number of a summary: did you mean accuracy\?$"):
        all_named(["p95, acuracy"])


def test_words_that_several_measures_have_are_answered_with_all_of_them() -> None:
    with pytest.raises(BadInput, match=r"^queue: is queue_mean or queue_max: say which$"):
        named("queue")
    for nothing in ("", "...", "latency.p42"):
        with pytest.raises(BadInput, match="is no number of a summary"):
            named(nothing)


def test_a_metric_that_is_none_is_refused_with_the_nearest(table: pd.DataFrame) -> None:
    for refuse in (named, lambda name: metric_of(name, table)):
        with pytest.raises(BadInput, match=r"acuracy: is no number of a summary: did you mean accuracy\?"):
            refuse("acuracy")


def test_invalid_runs_are_counted_by_reason(tmp_path: Path) -> None:
    reasons = [(), ("offered load 1.2 is over 1",), ("offered load 1.5 is over 1", "3 clients asked")]
    runs = [({"a": n}, 1, summary(0.5, 0.1, why)) for n, why in enumerate(reasons)]
    (line,) = cautions(made(tmp_path / "cells", runs))
    assert line == (
        "Read with care: 2 of 3 runs are not valid by their own rules: offered load … is over … (2); "
        "… clients asked (1)."
    )
    assert cautions(made(tmp_path / "more", runs[:1])) == []


def result_of(table: pd.DataFrame, axes: list[str], *shown: str) -> Any:
    return sweep_result("smoke", "Does it work?", "python run_sim.py sweep", table, axes, shown)


def test_a_page_loads_nothing_and_holds_every_figure(table: pd.DataFrame, tmp_path: Path) -> None:
    crossed = pd.concat([table.assign(replicas=1), table.assign(replicas=2)])
    result = result_of(crossed, ["costs.c_e", "replicas"], "accuracy", "latency.p95")
    write_result(result, tmp_path / "out", png=True)
    page = (tmp_path / "out/sweep.html").read_text()
    assert "https://" not in page
    assert "<script" not in page
    assert [*re.findall(r"<section id=\"(\w+)\">", page)] == ["tables", "heat_maps", "curves", "reproduce"]
    assert len(re.findall(r"<img src=\"data:image/svg\+xml;base64,[^\"]+\" alt=\"[^\"]{20,}\">", page)) == 2
    assert "83.0 [74.0,\u00a092.0]" in page
    for name in ("heat_maps", "curves"):
        assert (tmp_path / f"out/figures/{name}.svg").stat().st_size > 2000
        assert (tmp_path / f"out/figures/{name}.png").read_bytes().startswith(b"\x89PNG")
    reported = json.loads((tmp_path / "out/sweep.json").read_text())
    assert reported["rows"][0]["metrics"]["accuracy"]["mean"] == pytest.approx(0.83)


def test_a_terminal_shows_the_same_numbers_uncut(table: pd.DataFrame) -> None:
    console = Console(width=80, record=True)
    console.print(sweep_table(result_of(table, ["costs.c_e"]), []), crop=False)
    lines = console.export_text().splitlines()
    assert any(re.match(r"0\.1 +3 +83\.0 ±9\.0 +0\.0000 ±0\.0000 +– ", line) for line in lines)
    assert not any("…" in line for line in lines)


def test_a_number_that_was_asked_for_and_no_run_has_is_told_with_the_reason(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    table = table.assign(**{"cost.spend": np.nan})
    result = result_of(table, ["costs.c_e"], "accuracy", "spend")
    console = Console(width=200, record=True)
    console.print(sweep_table(result, ["accuracy", "spend"]), crop=False)
    write_result(result, tmp_path / "out")
    for text in (console.export_text(), (tmp_path / "out/sweep.html").read_text()):
        (line,) = [one for one in text.splitlines() if "spend: no run has such a number. " in one]
        assert "none without such a budget" in line
    assert "no run has" not in str(result_of(table, ["costs.c_e"], "accuracy").absent)


def test_a_study_that_is_asked_for_money_alone_tells_that_there_is_none(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_study, "require_same_traffic", lambda _table: None)
    table = table.drop(columns="costs.c_e").assign(policy=["l2h"] * 3 + ["alone"] * 3)
    result = policy_study.study_result(
        "s", "", "", table.assign(**{"cost.spend": np.nan}), "l2h", "smoke", ["spend"]
    )
    console = Console(width=200, record=True)
    console.print(policy_study.study_table(result), crop=False)
    assert "spend: no run has such a number." in console.export_text()


def test_curves_run_along_numbers_and_name_what_is_none(table: pd.DataFrame) -> None:
    metric = metric_of("accuracy", table)
    drawn = figures.curves(pivot(table, ["costs.c_e"], [metric]), ["costs.c_e"], [metric])
    line = drawn.axes[0].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == [0.1, 0.5]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([83.0, 70.0])
    crossed = pd.concat([table.assign(replicas=1), table.assign(replicas=2)])
    rows = pivot(crossed, ["costs.c_e", "replicas"], [metric])
    one, other = figures.curves(rows, ["costs.c_e", "replicas"], [metric]).axes[0].lines[::3]
    apart = np.asarray(other.get_xdata()) - np.asarray(one.get_xdata())
    assert ((apart > 0) & (apart < 0.01)).all(), "lines that are alike stand beside one another"
    words = table.assign(price=[{"kind": "always_local"}] * 3 + ["x"] * 3)
    drawn = figures.curves(pivot(words, ["price"], [metric]), ["price"], [metric])
    assert [label.get_text() for label in drawn.axes[0].get_xticklabels()] == ["always_local", "x"]


def test_the_best_policy_and_those_that_cannot_be_told_from_it(tmp_path: Path) -> None:
    """Of three: b is 10 points below a under every seed, c as often above a as below."""
    of = {"a": (0.80, 0.82, 0.87), "b": (0.70, 0.72, 0.78), "c": (0.79, 0.83, 0.86)}
    runs = [
        ({"policy": name}, seed, summary(value, 0.1))
        for name, each in of.items()
        for seed, value in enumerate(each, start=1)
    ]
    table = made(tmp_path / "cells", runs)
    metrics = [metric_of("accuracy", table), metric_of("deferral_rate", table)]
    pairs = pairs_of(policies_of(table), metrics)
    assert list(pairs["accuracy"]) == [("a", "b"), ("a", "c"), ("b", "c")]
    said = sentences(pivot(table, ["policy"], metrics), pairs, metrics, figures.format_value)
    assert said == ["accuracy, held-out: a is best (83.0); cannot be told from it: c."], "no rate is better"
    row = pair_rows(pairs, metrics)[0]
    assert row == ("b − a", "-9.7 [-11.1, -8.2] *", "0.0 [0.0, 0.0]")


def test_where_no_policy_differs_none_is_called_best_and_who_has_no_number_is_named(tmp_path: Path) -> None:
    runs = [
        ({"policy": name}, seed, summary(0.5 + seed / 10, p95))
        for name, p95 in (("a", 0.1), ("b", 0.1), ("c", None))
        for seed in (1, 2, 3)
    ]
    table = made(tmp_path / "cells", runs)
    rows, metrics = pivot(table, ["policy"], [accuracy := metric_of("accuracy", table)]), [accuracy]
    (said,) = sentences(rows, pairs_of(policies_of(table), metrics), metrics, figures.format_value)
    assert said == "accuracy, held-out: the same for all (70.0)."
    cost = [metric_of("cost", table)]
    table.loc[table["policy"] == "c", cost[0].column] = np.nan
    (said,) = sentences(
        pivot(table, ["policy"], cost), pairs_of(policies_of(table), cost), cost, figures.format_value
    )
    assert said.startswith("cost per request: the same for all (")
    assert said.endswith("); no number of c.")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.0002, 0.004, "+0.20 [+0.02, +0.40]"),
        (-0.001, 0.004, "+0.2 [-0.1, +0.4]"),
        (0.0, 0.004, "+0.2 [0.0, +0.4]"),
    ],
)
def test_an_interval_that_leaves_out_zero_is_not_written_with_one(low: float, high: float, text: str) -> None:
    told = difference_with_interval({"difference": 0.002, "low": low, "high": high}, "share")
    assert told == text


def test_axes_carry_the_units_of_their_paths() -> None:
    assert figures.path_label("fleet.*.timeout_s") == "fleet.*.timeout_s (s)"
    assert figures.path_label("server.replicas") == "server.replicas"


def test_heat_maps_write_the_mean_into_its_cell(table: pd.DataFrame) -> None:
    crossed = pd.concat([table.assign(replicas=1), table.assign(replicas=2)])
    metric = metric_of("accuracy", table)
    rows = pivot(crossed, ["costs.c_e", "replicas"], [metric])
    axes = figures.heat_maps(rows, ["costs.c_e", "replicas"], [metric]).axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0.5, 0.5): "83.0", (1.5, 0.5): "83.0 ≈", (0.5, 1.5): "70.0", (1.5, 1.5): "70.0"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.1", "0.5"]


def test_policies_that_come_to_the_same_are_one_point_with_both_names(tmp_path: Path) -> None:
    runs = [
        ({"policy": name}, seed, summary(value, 0.1))
        for name, value in (("a", 0.8), ("b", 0.7), ("c", 0.8))
        for seed in (1, 2, 3)
    ]
    table = made(tmp_path / "cells", runs)
    metrics = [metric_of(one, table) for one in ("offered_load", "accuracy")]
    (legend,) = policies.plane(pivot(table, ["policy"], metrics), *metrics).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a = c", "b"]


def test_what_does_not_fit_a_terminal_stands_below_under_the_same_names(tmp_path: Path) -> None:
    """Every line fits, every number is there, and each block has the names of the rows."""
    names = ["never_defer", "all_to_the_server", "l2h_without_fallback"]
    runs = [
        ({"policy": name}, seed, summary(0.7 + 0.01 * seed * place, 0.1 * seed))
        for place, name in enumerate(names, start=1)
        for seed in (1, 2, 3)
    ]
    table = made(tmp_path / "cells", runs)
    metrics = [metric_of(one, table) for one in (*policy_study.MEASURES, "goodput", "answered")]
    rows = pivot(table, ["policy"], metrics)
    sheet = Sheet("", *cells_as_text(rows, ["policy"], metrics, with_half))
    shown = FittingTable(sheet.columns, sheet.rows)
    for width, blocks in ((80, 2), (200, 1)):
        console = Console(width=width, record=True)
        console.print(shown, crop=False)
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        text = " ".join(lines)
        assert all(cell in text for row in sheet.rows for cell in row)
        assert [text.count(name) for name in names] == [blocks] * len(names)


def test_a_difference_without_an_interval_is_written_without_one() -> None:
    metric = Metric("accuracy", "accuracy", "share", "accuracy")
    unknown = {"difference": math.nan, "low": math.nan, "high": math.nan}
    known = {"difference": 0.02, "low": math.nan, "high": math.nan}
    results = {"a": {"accuracy": unknown}, "b": {"accuracy": known}}
    (_, none), (_, one) = policy_study._differences_sheet(results, [metric], "l2h", short=True).rows
    assert (none, one) == ("–", "+2.0")


def test_an_interval_without_an_upper_end_is_told_in_words() -> None:
    """A percentile that short runs bound on one side alone; such was written as 2,358.2 ±–."""
    p95 = Metric("latency_p95", "latency, p95", "s", "latency.p95")
    bounded_below, unknown = (2.3582, 1.65, math.nan), (math.nan, math.nan, math.nan)
    assert with_half(bounded_below, p95) == "2,358.2 (over 1,650.0)"
    assert with_ends(bounded_below, p95) == "2,358.2 [1,650.0, no bound]"
    assert with_half(unknown, p95) == with_half((math.nan, 1.65, math.nan), p95) == "–"


def test_a_difference_that_leaves_out_zero_is_not_written_as_zero() -> None:
    """0.00002 to 0.00006 of a loss: a star beside '0.0000 ±0.0000' would not agree with it."""
    metric = Metric("risk", "risk", "loss", "risk")
    found = {"a": {"risk": {"difference": 0.00004, "low": 0.00002, "high": 0.00006}}}
    ((_, cell),) = policy_study._differences_sheet(found, [metric], "l2h", short=True).rows
    assert cell == "+0.00004 ±0.00002 *"


def test_policies_whose_curves_are_the_same_are_one_line_with_both_names() -> None:
    at_s, curve = np.arange(5.0), np.arange(10.0).reshape(2, 5)
    panels = [
        Panel("risk (loss)", at_s, {"a": curve, "b": curve + 1, "c": curve}),
        Panel("accuracy (%)", at_s, {"a": curve, "b": curve, "c": curve}),
    ]
    figure = policies_in_time(panels, (), 5.0)
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a = c", "b"]
    solid, dashed = legend.get_lines()
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--"), "told apart in grey, too"


@pytest.mark.parametrize("horizon_s", [900.0, 1_800.0])
def test_the_last_instant_of_a_narrow_figure_is_not_cut(horizon_s: float) -> None:
    """Other ticks than before may fit once a panel has its place."""
    at_s = np.linspace(0.0, horizon_s, 7)
    panels = [Panel("paid so far more than own_model (loss)", at_s, {"own_model": 300 * np.ones((3, 7))})] * 3
    figure = policies_in_time(panels, (), horizon_s)
    with mpl.rc_context(PRINT):
        for_print(figure, PHONE_IN, marked=False)
        figure.dpi = 72
        FigureCanvasSVG(figure)
        assert figure.axes[-1].xaxis.get_tightbbox().x1 <= figure.bbox.x1


@pytest.mark.filterwarnings("error")
def test_heat_maps_fit_a_phone_each_with_its_own_bar(table: pd.DataFrame) -> None:
    """In one column of panels every bar stands right beside its map, and no two maps overlap."""
    crossed = pd.concat([table.assign(replicas=1), table.assign(replicas=2)])
    metrics = [metric_of(name, table) for name in ("accuracy", "offered_load", "risk", "deferral_rate")]
    figure = figures.heat_maps(
        pivot(crossed, ["costs.c_e", "replicas"], metrics), ["costs.c_e", "replicas"], metrics
    )
    saved(figure)
    maps = list(panels_of(figure).values())
    assert len(maps) == len(metrics)
    boxes = [axes.get_window_extent() for axes in maps]
    for upper, lower in pairwise(boxes):
        assert upper.y0 > lower.y1
    for axes, box in zip(maps, boxes, strict=True):
        bar = axes.child_axes[0].get_window_extent()
        assert (bar.y0, bar.y1) == pytest.approx((box.y0, box.y1))
        assert 0 < bar.x0 - box.x1 < 0.1 * box.width


def study_of(place: Path, values: dict[str, float]) -> pd.DataFrame:
    """Three seeds of policies of these accuracies."""
    runs = [
        ({"policy": name}, seed, summary(value + 0.01 * seed, 0.1))
        for name, value in values.items()
        for seed in (1, 2, 3)
    ]
    return made(place, runs)


@pytest.fixture
def written(table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The folders of a sweep and of a study of nine policies."""
    monkeypatch.setattr(policy_study, "require_same_traffic", lambda _table: None)  # there are no requests
    crossed = pd.concat([table.assign(**{"server.replicas": n}) for n in (1, 2)])
    sweep = result_of(crossed, ["costs.c_e", "server.replicas"], "accuracy", "latency.p95")
    nine = study_of(tmp_path / "policies", {f"policy_{n}": 0.5 + n / 50 for n in range(9)})
    study = policy_study.study_result("s", "", "", nine, "policy_0", "smoke")
    for result in (sweep, study):
        out = tmp_path / result.name
        out.mkdir()
        write_cell_table(out / f"{result.name}.parquet", result.table)
        (out / f"{result.name}.json").write_bytes(to_json(json_safe(result.reported)))
        assert list(OF_MANY_RUNS[f"{result.name}.json"](out)) == [one.name for one in result.pictures]
    return {name: tmp_path / name for name in ("sweep", "study")}


@pytest.mark.parametrize(
    ("kind", "name", "width_in", "word"),
    [
        ("sweep", "heat_maps", 7.0, "server.replicas"),
        ("sweep", "curves", 3.33, "latency, p95"),
        ("study", "differences", 7.0, "difference from policy_0"),
        ("study", "accuracy_against_load", 3.33, "policy_8"),
    ],
)
def test_figures_of_many_runs_are_printed_with_text_as_text(
    written: dict[str, Path], kind: str, name: str, width_in: float, word: str
) -> None:
    svg = print_figure(written[kind], name, f"{width_in}in", "svg").decode()
    assert any(word in text for text in re.findall(r">([^<>]+)</text>", svg))
    assert f'width="{72 * width_in:g}pt"' in svg
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:bold )?([\d.]+)px", svg)]
    assert sizes
    assert min(sizes) >= LEAST_PT


@pytest.mark.parametrize("width_in", [3.33, 7.0])
def test_nine_policies_are_told_apart_in_grey(written: dict[str, Path], width_in: float) -> None:
    figure = OF_MANY_RUNS["study.json"](written["study"])["accuracy_against_load"](width_in, ())
    (legend,) = figure.legends
    marks = [(one.get_marker(), one.get_markerfacecolor() == "#FFFFFF") for one in legend.get_lines()]
    assert len(set(marks)) == 9, "by the mark, and whether it is open"
    (axes,) = figure.axes
    drawn = [(one.get_marker(), one.get_markerfacecolor() == "#FFFFFF") for one in axes.get_lines()]
    assert drawn == marks


def test_a_figure_that_many_runs_have_not_is_answered_with_the_nearest(written: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match="did you mean 'differences'"):
        print_figure(written["study"], "difference")
    with pytest.raises(BadInput, match=r"sweep has heat_maps, curves$"):
        print_figure(written["sweep"], "timeline")
    with pytest.raises(BadInput, match="did you mean 'accuracy held-out'"):
        print_figure(written["sweep"], "curves", panels=["acuracy"])
    with pytest.raises(
        BadInput, match=r"is no run, study, sweep or comparison: no scenario.yaml, study.json,"
    ):
        print_figure(written["study"].parent, "differences")
    shutil.rmtree(written["study"].parent / "policies")
    assert "differences" in OF_MANY_RUNS["study.json"](written["study"]), "which needs no runs"
    (written["study"] / "study.json").write_text("{}")
    with pytest.raises(BadInput, match="study: damaged, or of another version: no figures"):
        print_figure(written["study"], "differences")


def test_the_legend_of_a_phone_keeps_marks_and_the_name_of_what_it_tells_apart(
    written: dict[str, Path],
) -> None:
    """Of points with bars nothing but the bars was kept."""
    study = policy_study.study_pictures(
        json.loads((written["study"] / "study.json").read_text()),
        pd.read_parquet(written["study"] / "study.parquet"),
    )
    figure = next(one for one in study if one.name == "accuracy_against_load").draw()
    saved(figure)
    (legend,) = figure.legends
    assert [line.get_marker() for line in legend.get_lines()] == list("osD^vPXsD")
    assert len(legend.get_texts()) == 9
    curves = OF_MANY_RUNS["sweep.json"](written["sweep"])["curves"](3.33, ())
    assert curves.legends[0].get_title().get_text() == "server.replicas"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("server.replicas", ["server.", "replicas"]),
        ("accuracy (% of held-out)", ["accuracy (%", "of held-out)"]),
        ("p95 of 0.25 s", ["p95 of 0.25", "s"]),
        ("abcdefghijklmnop", ["abcdefghijk", "lmnop"]),
    ],
)
def test_long_paths_break_behind_their_dots(words: str, lines: list[str]) -> None:
    assert broken(words, 12).split("\n") == lines


def test_what_is_the_same_for_all_is_said_and_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_study, "require_same_traffic", lambda _table: None)
    found = {}
    for case, values in {"apart": {"a": 0.5, "b": 0.6}, "alike": {"a": 0.5, "b": 0.5}}.items():
        table = study_of(tmp_path / case, values).assign(**{"load.offered": np.nan})
        result = policy_study.study_result("s", "", "", table, "a", "smoke")
        found[case] = {picture.name: picture for picture in result.pictures}
    figure = found["apart"]["differences"].draw()
    assert list(panels_of(figure)) == ["accuracy held-out"]
    (title,) = [text.get_text() for text in figure.texts]
    same = "the same for all: generalised risk; cost per request; spend; got an answer"
    assert title.startswith(f"difference from a\n{same}")
    assert title.endswith("\nno number: latency, p95; offered load")
    assert same in found["apart"]["differences"].alt
    assert "differences" not in found["alike"], "no empty figure"


def test_a_difference_of_0_whose_interval_is_wide_is_drawn() -> None:
    metric = Metric("risk", "risk", "loss", "risk")
    of = {"a": {"risk": {"difference": 0.0, "low": -0.1, "high": 0.1}}}
    assert policies.differing(of, [metric]) == [metric]


def test_what_many_runs_left_tells_who_made_them(table: pd.DataFrame, tmp_path: Path) -> None:
    """Version, commit and clock, each once; no clock where nothing was played."""
    for number, folder in enumerate(table["run"]):
        told = {"l2h-fleet": "0.2.0", "commit": "0123456789abcdef" if number else ""}
        (Path(folder) / "versions.json").write_text(json.dumps(told))
        (Path(folder) / "timing.json").write_text(json.dumps({"path": {"name": "simpy", "why": "small"}}))
    made_by = ["l2h-fleet 0.2.0, clock: simpy", "l2h-fleet 0.2.0, commit 0123456789ab, clock: simpy"]
    write_result(result_of(table, ["costs.c_e"], "accuracy"), tmp_path / "out")
    assert json.loads((tmp_path / "out/sweep.json").read_text())["made_by"] == made_by
    assert f"Made by {'; '.join(made_by)}." in (tmp_path / "out/sweep.html").read_text()
    assert makers(table.assign(**{"run.horizon_s": 0.0}))[0] == "l2h-fleet 0.2.0"
