"""Policies on the same traffic: means over seeds, paired differences from a baseline, and the pictures of it.
Takes the runs of a study; the differences are those of `compare --over-seeds`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from rich.console import Group, RenderableType
from rich.text import Text

from analysis.figures import policies as drawn
from analysis.figures.many_runs import difference_label, format_value
from analysis.metrics.measures import IN_SUMMARY
from analysis.reports.best_policy import (
    difference_of,
    is_apart,
    names_the_best,
    pair_rows,
    pairs_of,
    sentences,
)
from analysis.reports.cell_table import Metric, absent, metric_of, pivot
from analysis.reports.formatting import difference_with_half, difference_with_interval, quantity
from analysis.reports.learning_in_time import Learned, learned_in_time, learning_picture, learning_sheet
from analysis.reports.many_runs_report import (
    Picture,
    Result,
    Sheet,
    cells_as_text,
    how_sure,
    printed,
    with_ends,
    with_half,
    written_rows,
)
from analysis.reports.regret import Regrets, regret_in_time, regret_numbers, regret_picture, regret_sheet
from analysis.run_folder.files import part_paths, read_table
from sim.errors import RunFailed
from sim.results import columns

MEASURES = ("accuracy", "risk", "latency_p95", "cost", "offered_load")
WHERE_THERE_ARE_ANY = ("spend", "answered", "accuracy_in_outages", "answered_in_outages")
POLICY = "policy"  # the column of the table that names it
PAIRED = 2  # measures whose every pair is shown, unless others are asked for; all are in the JSON
PAIRS = (
    "All pairs of policies, paired by seed, with 95% intervals; * where it leaves out 0 (each on its own: of "
    "twenty pairs without any difference one is expected to have a star)"
)
Differences = dict[str, dict[str, dict[str, float]]]  # by policy, then measure: value, difference, low, high


def study_result(
    name: str,
    question: str,
    command: str,
    table: pd.DataFrame,
    baseline: str,
    scenario: str,
    shown: Sequence[str] = (),
) -> Result:
    """A study of the policies in the table's first column, which all ran under the same seeds. shown: metrics
    to tell of before the others.

    Raises RunFailed if under some seed they did not meet the same requests, BadInput for a metric that is
    none.
    """
    require_same_traffic(table)
    metrics = told_of(table, [*shown, *MEASURES, *WHERE_THERE_ARE_ANY])
    rows = pivot(table, [POLICY], metrics)
    by_policy = policies_of(table)
    results = paired_differences(by_policy, baseline, metrics)
    first = told_of(table, shown) or metrics[:PAIRED]
    pairs = pairs_of(by_policy, metrics)
    seeds = rows[0]["seeds"]
    means = Sheet("Means with 95% intervals", *cells_as_text(rows, [POLICY], metrics, with_ends))
    reported: dict[str, Any] = {
        "scenario": scenario,
        "baseline": baseline,
        "seeds": sorted(set(table["seed"].tolist())),
    }
    sheets = [
        means,
        _differences_sheet(results, metrics, baseline),
        Sheet(PAIRS, ("pair", *(difference_label(metric) for metric in first)), pair_rows(pairs, first)),
    ]
    learned, regrets = learned_in_time(table), regret_in_time(table)
    if learned is not None:
        sheets.append(learning_sheet(learned))
    if regrets is not None:
        reported["regret"] = regret_numbers(*regrets)
        sheets.append(regret_sheet(reported["regret"]))
    return Result(
        name="study",
        title=f"Study {name}",
        about=f"{len(rows)} policies on {scenario}, {seeds} seeds each, the same requests for all",
        question=question,
        command=command,
        table=table,
        reported=reported
        | {"policies": [{**row, "differences": results.get(row["chosen"][0])} for row in rows]}
        | {
            "shown": [metric.name for metric in told_of(table, shown)],
            "pairs": {
                metric: [{"from": one, "to": other, **found} for (one, other), found in of.items()]
                for metric, of in pairs.items()
            },
        },
        sheets=sheets,
        pictures=_pictures(rows, results, metrics, baseline, learned, regrets),
        method=f"{how_sure(seeds)} Differences are taken seed by seed: then all met the same requests.",
        absent=absent(table, shown),
        sentences=[
            *sentences(rows, pairs, metrics, format_value),
            *_sentences(results, metrics, baseline),
        ],
    )


def study_table(result: Result) -> RenderableType:
    """What `study` prints: means and differences of what was asked to be shown, else of the five measures and
    of money where there is any; and which policy is best."""
    metrics = told_of(result.table, result.reported["shown"] or [*MEASURES, "spend"])
    rows = pivot(result.table, [POLICY], metrics)
    means = Sheet("", *cells_as_text(rows, [POLICY], metrics, with_half))
    baseline = result.reported["baseline"]
    results = {
        row["chosen"][0]: row["differences"] for row in result.reported["policies"] if row["differences"]
    }
    parts = printed(result, [means, _differences_sheet(results, metrics, baseline, short=True)])
    return Group(parts, *(Text(line) for line in result.sentences if names_the_best(line)))


def told_of(table: pd.DataFrame, names: Sequence[str]) -> list[Metric]:
    """The metrics of these names, each once, without those optional ones of which no run has a number."""
    metrics = {metric.name: metric for metric in (metric_of(one, table) for one in names)}
    return [
        metric
        for name, metric in metrics.items()
        if name not in WHERE_THERE_ARE_ANY or table[metric.column].notna().any()
    ]


def policies_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs of each policy by seed."""
    return {
        str(name): part.set_index("seed").sort_index() for name, part in table.groupby(POLICY, sort=False)
    }


def paired_differences(
    by_policy: Mapping[str, pd.DataFrame], baseline: str, metrics: Sequence[Metric] = ()
) -> Differences:
    """Every policy but the baseline against it, seed by seed, for every measure that summaries hold, and for
    `metrics`."""
    base = by_policy[baseline]
    every = {metric.name: metric for metric in (*(metric_of(key, base) for key in IN_SUMMARY), *metrics)}
    return {
        name: {key: dict(difference_of(base, part, metric)) for key, metric in every.items()}
        for name, part in by_policy.items()
        if name != baseline
    }


def require_same_traffic(table: pd.DataFrame) -> None:
    """Raises RunFailed unless all runs of a seed hold the same requests: arrivals and samples."""
    for seed, part in table.groupby("seed", sort=True):
        names, folders = part[POLICY].tolist(), part["run"].tolist()
        digests = {name: traffic_digest(Path(folder)) for name, folder in zip(names, folders, strict=True)}
        first = next(iter(digests))
        strange = [name for name, digest in digests.items() if digest != digests[first]]
        if strange:
            why = f"{first} and {strange[0]} did not meet the same requests under seed {seed}"
            raise RunFailed("report", why)


def traffic_digest(folder: Path) -> str:
    """A digest over who asked when about which sample in a run."""
    names = ("request_id", "arrived_at_s", "sample_id")
    parts = [
        read_table(path, columns.REQUESTS, names) for path in part_paths(folder, "requests", needed=False)
    ]
    whole = blake2b(digest_size=16)
    if parts:
        ordered = pa.concat_tables(parts).sort_by("request_id")
        for name in names:
            whole.update(np.ascontiguousarray(ordered[name].to_numpy()).tobytes())
    return whole.hexdigest()


def _differences_sheet(
    results: Differences, metrics: Sequence[Metric], baseline: str, short: bool = False
) -> Sheet:
    def cell(of: Mapping[str, float], unit: str) -> str:
        if not short:
            return difference_with_interval(of, unit)
        return difference_with_half(of, unit) + (" *" if is_apart(of) else "")

    rows = [
        (name, *(cell(of[metric.name], metric.unit) for metric in metrics)) for name, of in results.items()
    ]
    star = "; * where it leaves out 0" if short else ""
    heading = f"Differences from {baseline}, paired by seed, with 95% intervals{star}"
    return Sheet(heading, (POLICY, *(difference_label(metric) for metric in metrics)), rows)


def study_pictures(written: Mapping[str, Any], table: pd.DataFrame) -> list[Picture]:
    """What the page of a study shows, of the JSON that it left and the table of its runs; without what is
    over virtual time where these are gone."""
    rows = written_rows(written["policies"])
    results = {row["chosen"][0]: row["differences"] for row in rows if row["differences"]}
    metrics = [metric_of(name, table) for name in rows[0]["metrics"]]
    are_there = all(Path(run).is_dir() for run in table["run"])
    in_time = (learned_in_time(table), regret_in_time(table)) if are_there else (None, None)
    return _pictures(rows, results, metrics, written["baseline"], *in_time)


def _pictures(
    rows: Sequence[Mapping[str, Any]],
    results: Differences,
    metrics: Sequence[Metric],
    baseline: str,
    learned: Learned | None,
    regrets: Regrets | None,
) -> list[Picture]:
    named = {metric.name: metric for metric in metrics}
    points = "; ".join(
        f"{row['chosen'][0]} {format_value(row['metrics']['accuracy'][0], named['accuracy'])}% at "
        f"{format_value(row['metrics']['offered_load'][0], named['offered_load'])}"
        for row in rows
    )
    made = [] if regrets is None else [regret_picture(*regrets)]
    made += [] if learned is None else [learning_picture(learned, baseline)]
    made += [
        Picture(
            "accuracy_against_load",
            "Accuracy against server load",
            partial(drawn.plane, rows, named["offered_load"], named["accuracy"]),
            f"Accuracy against offered load, a point per policy with 95% intervals: {points}.",
            "Up and to the left is better: more right answers for less of the server. A policy is beaten "
            "where another lies above it and not to its right. Intervals are over seeds, so they hold the "
            "chance that all policies share; whether two of them differ, the next figure tells.",
        ),
    ]
    if drawn.differing(results, metrics):
        told = " ".join(f"{line}." for line in drawn.left_out(results, metrics))
        made.append(
            Picture(
                "differences",
                "Differences from the baseline",
                partial(drawn.differences, results, metrics, baseline),
                f"Differences of each policy from {baseline} with 95% intervals, a panel per measure. {told}",
                "Paired seed by seed on the same requests, so what all policies shared has cancelled. Filled "
                "points are differences whose interval leaves out zero.",
            )
        )
    if "answered_in_outages" in named:
        made.append(
            Picture(
                "in_outages",
                "Who keeps working when the server is gone",
                partial(drawn.levels, rows, [named["answered_in_outages"], named["accuracy_in_outages"]]),
                "The share of requests in outages that got an answer, and accuracy then, a row per policy "
                "with 95% intervals.",
                "Requests that arrived while an outage lasted. Without the client's own answer to fall back "
                "on (fallback: none) whoever asks a server that is gone gets nothing, which counts as wrong.",
            )
        )
    return made


def _sentences(results: Differences, metrics: Sequence[Metric], baseline: str) -> list[str]:
    """Per measure, in words, the policies that differ from the baseline by more than their interval."""
    said = []
    for metric in metrics:
        apart = {
            word: [
                f"{name} ({quantity(of[metric.name]['difference'], metric.unit, signed=True)})"
                for name, of in results.items()
                if (of[metric.name]["low"] > 0 if word == "higher" else of[metric.name]["high"] < 0)
            ]
            for word in ("higher", "lower")
        }
        reported = "; ".join(f"{word} for {', '.join(names)}" for word, names in apart.items() if names)
        said.append(
            f"{difference_label(metric)} against {baseline}: {reported or 'no policy is seen to differ'}."
        )
    return said
