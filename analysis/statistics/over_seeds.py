"""Runs that differ only in their seeds as replications: differences with intervals over seeds.
Beside `analysis.statistics.comparison`, for the chance that one run cannot show: other models, samples and
events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from analysis.metrics.measures import MEASURES
from analysis.metrics.summary import json_safe, summary_of
from analysis.run_folder.traffic import Traffic
from analysis.statistics.clusters import LEVEL
from analysis.statistics.comparison import Measured, about, units
from analysis.statistics.pairing import traffic_differs, what_differs
from sim.errors import BadInput

LEAST_SEEDS = 3
METHOD = (
    "Numbers are means over seeds. Difference = run minus baseline, seed by seed, for shares in points; its "
    "95% interval is Student's over the seeds, so it holds for models, samples and events that are drawn "
    "anew. Each interval is a statement of its own, so among many some will miss."
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
    if len(first) < LEAST_SEEDS:
        raise BadInput(
            f"compare --over-seeds: {len(first)} seeds given; {LEAST_SEEDS} needed for an interval"
        )
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
        {
            key: np.array([_number(Measured(arm[seed], described[seed]).value(key)) for seed in seeds])
            for key in MEASURES
        }
        for arm, described in zip(arms, summaries, strict=True)
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
            "measures": {key: over_seeds(values[0][key], measured[key]) for key in MEASURES},
        }
        for said, arm, measured in zip(described[1:], arms[1:], values[1:], strict=True)
    ]
    baseline = described[0] | {
        "requests": sum(len(traffic.requests) for traffic in arms[0].values()),
        "measures": {key: float(values[0][key].mean()) for key in MEASURES},
    }
    shown: dict[str, Any] = json_safe({"measures": units(), "baseline": baseline, "runs": runs})
    return shown


def over_seeds(base: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """The means of `other` and of its differences from `base`, both by seed (seeds,), and their interval."""
    difference = other - base
    mean = float(difference.mean())
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(difference) - 1)) * error
    return {"value": float(other.mean()), "difference": mean, "low": mean - half, "high": mean + half}


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _worst(summaries: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Valid if every seed's run is; the reasons say of which seed they are."""
    reasons = [
        f"seed {seed}: {reason}"
        for seed, described in summaries.items()
        for reason in described["invalid_because"]
    ]
    return {"valid": not reasons, "invalid_because": reasons}
