"""Runs that differ only in their seeds as replications: differences with intervals over seeds.
Beside `analysis.statistics.comparison`, for the chance that one run cannot show: other models, samples and
events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from analysis.metrics.measures import MEASURES, OF_GROUPS, Percentile, is_in_time
from analysis.metrics.naming import measure_of
from analysis.metrics.summary import summary_of
from analysis.run_folder.traffic import Traffic
from analysis.statistics.comparison import IN_WINDOWS, MOST_WINDOWS, Measured, about, as_told
from analysis.statistics.in_time import needed_relaxations
from analysis.statistics.pairing import traffic_differs, what_differs
from analysis.statistics.percentiles import LEAST_RUNS, Latencies, number_of
from analysis.statistics.units import Mask, jackknife
from sim.errors import BadInput

METHOD = (
    "Numbers are means over seeds, but percentiles are of the requests of all seeds together. Difference = "
    "run minus baseline, for shares in points; its 95% interval resamples seeds, in both runs alike (the "
    "jackknife, which is Student's interval for means), so it holds for models, samples and events that are "
    "drawn anew. Each interval is a statement of its own, so among many some will miss."
)
Arm = dict[int, Traffic]  # one scenario's runs by seed
Summaries = dict[int, dict[str, Any]]  # of them


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


def compare_over_seeds(
    arms: Sequence[Arm], names: Sequence[str], shown: Sequence[str] = ()
) -> dict[str, Any]:
    """Every scenario against the first, JSON-safe, in the form that `analysis.statistics.comparison.compare`
    gives.

    names: one for each scenario. shown: keys of measures, or paths of the summary. A measure that some seed
    lacks has no difference.
    """
    seeds, keys = sorted(arms[0]), list(dict.fromkeys([*MEASURES, *shown]))
    summaries = [{seed: summary_of(arm[seed]) for seed in seeds} for arm in arms]
    values = [
        {key: _evidence(key, arm, described) for key in keys}
        for arm, described in zip(arms, summaries, strict=True)
    ]
    lasts = [_lasts(summary) for summary in summaries]
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
            "measures": {
                key: over_seeds(values[0][key], measured[key], _level(key), _needed(key, lasts[0], last))
                for key in keys
            },
            "groups": _of_groups(arms[0], arm, summaries[0], summary),
            "windows": _windows(arms[0], arm, summaries[0], summary),
        }
        for said, arm, measured, summary, last in zip(
            described[1:], arms[1:], values[1:], summaries[1:], lasts[1:], strict=True
        )
    ]
    baseline = described[0] | {
        "requests": sum(len(traffic.requests) for traffic in arms[0].values()),
        "measures": {key: number_of(values[0][key], _level(key)) for key in keys},
    }
    return as_told(keys, shown, baseline, runs)


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


def _level(key: str) -> float | None:
    measure = measure_of(key)
    return measure.level if isinstance(measure, Percentile) else None


def _evidence(key: str, arm: Arm, summaries: Summaries) -> Evidence:
    return _said_by([Measured(arm[seed], summaries[seed]) for seed in sorted(arm)], key)


def _said_by(measured: Sequence[Measured], key: str) -> Evidence:
    if _level(key) is None:
        return [_number(one.value(measure_of(key))) for one in measured]
    return [one.latencies for one in measured]


def _of_groups(base: Arm, other: Arm, *summaries: Summaries) -> dict[str, dict[str, dict[str, Any]]]:
    """The measures of each group that both scenarios have, as in `measures`, and `baseline`, the first's."""
    one, two = (next(iter(arm.values())).run.groups for arm in (base, other))
    pairs = list(_pairs(base, other, *summaries))
    return {
        name: _compared([(first.group(name), second.group(name)) for first, second in pairs], OF_GROUPS)
        for name in one
        if name in two
    }


def _windows(base: Arm, other: Arm, *summaries: Summaries) -> list[dict[str, Any]]:
    """What outages cost: the differences among who asked in any outage of either run of a seed, and in each
    that all seeds have alike; as `comparison` gives them, from_s and to_s null for the first."""
    pairs = list(_pairs(base, other, *summaries))
    seen = [
        {(one.from_s, one.to_s, one.label) for run in pair for one in run.traffic.outages} for pair in pairs
    ]
    inside = [np.logical_or(*(run.traffic.in_outages for run in pair)) for pair in pairs]
    if not any(mask.any() for mask in inside):
        return []
    in_any = [
        tuple(Measured(run.traffic, run.summary, mask) for run in pair)
        for pair, mask in zip(pairs, inside, strict=True)
    ]
    found: list[tuple[str, float | None, float | None, list[tuple[Measured, ...]]]]
    found = [("in any outage", None, None, in_any)]
    for from_s, to_s, label in sorted(set.intersection(*seen))[:MOST_WINDOWS]:
        windows = [tuple(run.window(from_s, to_s) for run in pair) for pair in pairs]
        found.append((label, from_s, to_s, windows))
    return [
        {"from_s": from_s, "to_s": to_s, "label": label, "measures": _compared(windows, IN_WINDOWS)}
        for label, from_s, to_s, windows in found
    ]


def _pairs(base: Arm, other: Arm, *summaries: Summaries) -> Iterator[tuple[Measured, ...]]:
    """The runs of both scenarios seed by seed."""
    for seed in sorted(base):
        yield tuple(Measured(arm[seed], of[seed]) for arm, of in zip((base, other), summaries, strict=True))


def _compared(pairs: Sequence[tuple[Measured, ...]], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    runs = list(zip(*pairs, strict=True))
    lasts = [_lasts({seed: one.summary for seed, one in enumerate(each)}) for each in runs]
    found = {}
    for key in keys:
        base, other = (_said_by(each, key) for each in runs)
        found[key] = {"baseline": number_of(base, _level(key))} | over_seeds(
            base, other, _level(key), _needed(key, *lasts)
        )
    return found


def _lasts(summaries: Summaries) -> float:
    """How many relaxation times of the server all runs last together."""
    return sum(_number(one["run_length"]["relaxations"], np.inf) for one in summaries.values())


def _needed(key: str, *lasts: float) -> float:
    """How long the runs of either scenario last, as far as the number takes long runs to tell."""
    return min(lasts) if is_in_time(key) else np.inf


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
