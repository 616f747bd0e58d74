"""Runs that differ only in their seeds as replications: differences with intervals over seeds.
Beside `analysis.statistics.comparison`, for the chance that one run cannot show: other models, samples and
events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.metrics.measures import MEASURES, Percentile
from analysis.metrics.summary import json_safe, summary_of
from analysis.run_folder.traffic import Traffic
from analysis.statistics.comparison import Measured, about, units
from analysis.statistics.in_time import needed_relaxations
from analysis.statistics.pairing import traffic_differs, what_differs
from analysis.statistics.percentiles import LEAST_INDEPENDENT, LEAST_RUNS, Latencies, percentile
from analysis.statistics.units import Mask, jackknife
from sim.errors import BadInput

METHOD = (
    "Numbers are means over seeds, but percentiles are of the requests of all seeds together. Difference = "
    "run minus baseline, for shares in points; its 95% interval resamples seeds, in both runs alike (the "
    "jackknife, which is Student's interval for means), so it holds for models, samples and events that are "
    "drawn anew. Each interval is a statement of its own, so among many some will miss."
)
Arm = dict[int, Traffic]  # one scenario's runs by seed


def arms_of(traffics: Sequence[Traffic]) -> list[Arm]:
    """The runs by scenario, in order of the first of each, under their seeds.

    Raises BadInput unless there are two scenarios or more, each with the same three seeds or more, whose
    traffic agrees seed by seed.
    """
    arms: list[Arm] = []
    for traffic in traffics:
        same = [arm for arm in arms if not _differs(next(iter(arm.values())), traffic)]
        arm = same[0] if same else {}
        if not same:
            arms.append(arm)
        seed = int(traffic.run.scenario["seed"])
        if seed in arm:
            raise BadInput(
                f"compare --over-seeds: {traffic.run.path} repeats seed {seed} of {arm[seed].run.path}"
            )
        arm[seed] = traffic
    if len(arms) < 2:
        raise BadInput(
            "compare --over-seeds: all runs are of one scenario; give those of another beside them"
        )
    first = arms[0]
    if len(first) < LEAST_RUNS:
        raise BadInput(f"compare --over-seeds: {len(first)} seeds given; {LEAST_RUNS} needed for an interval")
    for arm in arms[1:]:
        if set(arm) != set(first):
            missing = sorted(set(arm) ^ set(first))[0]
            raise BadInput(f"compare --over-seeds: seed {missing} is not there for every scenario")
        for seed, traffic in arm.items():
            differs = traffic_differs(first[seed], traffic)
            if differs is not None:
                raise BadInput(f"compare --over-seeds: traffic of seed {seed} differs ({differs})")
    return arms


def _differs(one: Traffic, other: Traffic) -> list[Any]:
    """What the scenarios of two runs have otherwise, seeds and names apart."""
    measured = what_differs(one.run.scenario, other.run.scenario)
    return [difference for difference in measured if difference[0] not in ("seed", "name")]


def compare_over_seeds(arms: Sequence[Arm], names: Sequence[str]) -> dict[str, Any]:
    """Every scenario against the first, JSON-safe, in the form that `analysis.statistics.comparison.compare`
    gives.

    names: one for each scenario. A measure that some seed lacks has no difference.
    """
    seeds = sorted(arms[0])
    summaries = [{seed: summary_of(arm[seed]) for seed in seeds} for arm in arms]
    values = [
        {key: _evidence(key, arm, described) for key in MEASURES}
        for arm, described in zip(arms, summaries, strict=True)
    ]
    lasts = [
        sum(_number(one["run_length"]["relaxations"], np.inf) for one in summary.values())
        for summary in summaries
    ]
    described = [
        about(name, arm[seeds[0]], _worst(summary)) | {"seed": ", ".join(map(str, seeds))}
        for name, arm, summary in zip(names, arms, summaries, strict=True)
    ]
    base = arms[0][seeds[0]]
    listed = (
        f"seeds {described[0]['seed']}: the same requests in both, seed by seed; intervals are over the seeds"
    )
    runs = [
        said
        | {
            "scenario": _differs(base, arm[seeds[0]]),
            "paired_by": "seeds",
            "shared": listed,
            "measures": {key: over_seeds(values[0][key], measured[key], _level(key)) for key in MEASURES},
        }
        for said, arm, measured, last in zip(described[1:], arms[1:], values[1:], lasts[1:], strict=True)
    ]
    baseline = described[0] | {
        "requests": sum(len(traffic.requests) for traffic in arms[0].values()),
        "measures": {key: number_of(values[0][key], _level(key)) for key in MEASURES},
    }
    shown: dict[str, Any] = json_safe({"measures": units(), "baseline": baseline, "runs": runs})
    return shown


Evidence = Sequence[float] | Sequence[Latencies]  # what each seed's run says of a number


def over_seeds(
    base: Evidence, other: Evidence, level: float | None = None, relaxations: float = np.inf
) -> dict[str, Any]:
    """The number of `other`, and its difference from that of `base` with its interval, both by seed (seeds,).

    A number per run stands for its mean; latencies for their percentile of that `level`, over all runs. The
    seeds are resampled, the same in both. relaxations: how many relaxation times of the server all runs of
    either last, if the number takes long runs to tell; no interval where they are too few.
    """
    seeds = np.arange(len(base))

    def difference(among: Mask) -> float:
        one, two = ([runs[seed] for seed in seeds[among]] for runs in (base, other))
        return number_of(two, level) - number_of(one, level)

    found, why = jackknife(difference, len(base)), None
    if relaxations < needed_relaxations(level):
        found = found._replace(low=np.nan, high=np.nan)
        why = f"too short: {relaxations:.0f} relaxation times in all, {needed_relaxations(level):.0f} needed"
    elif not np.isfinite(found.low):
        why = "some seeds have no such number"
    return {
        "value": number_of(other, level),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "by": "seeds",
        "why": why,
    }


def number_of(runs: Evidence, level: float | None = None) -> float:
    """The mean of numbers, or the percentile of all requests of the runs; NaN where it cannot be told."""
    if level is None:
        return float(np.mean(runs))  # type: ignore[arg-type]
    worth = sum(run.independent(level) for run in runs)  # type: ignore[union-attr,misc]
    value = percentile(runs, level)  # type: ignore[arg-type]
    return value if worth >= LEAST_INDEPENDENT.get(level, 0.0) and np.isfinite(value) else np.nan


def _level(key: str) -> float | None:
    measure = MEASURES[key]
    return measure.level if isinstance(measure, Percentile) else None


def _evidence(key: str, arm: Arm, summaries: dict[int, dict[str, Any]]) -> Evidence:
    if _level(key) is None:
        return [_number(Measured(arm[seed], summaries[seed]).value(MEASURES[key])) for seed in sorted(arm)]
    return [
        replace(
            arm[seed].latencies(), relaxations=_number(summaries[seed]["run_length"]["relaxations"], np.inf)
        )
        for seed in sorted(arm)
    ]


def _number(value: float | None, otherwise: float = np.nan) -> float:
    return otherwise if value is None else value


def _worst(summaries: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Valid if every seed's run is; the reasons say of which seed they are."""
    reasons = [
        f"seed {seed}: {reason}"
        for seed, described in summaries.items()
        for reason in described["invalid_because"]
    ]
    return {"valid": not reasons, "invalid_because": reasons}
