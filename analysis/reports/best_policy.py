"""Which policy of a study is the best, which cannot be told from it, and how every pair of them differs.
Between the table of the runs and `analysis.reports.policy_study`; pairs are paired seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.metrics.measures import is_in_time
from analysis.reports.cell_table import Metric, evidence_of, lasts
from analysis.reports.formatting import difference_with_interval
from analysis.run_folder.latencies import level_of
from analysis.statistics.over_seeds import over_seeds

HIGHER_IS_BETTER = ("accuracy", "gain", "answered", "served", "goodput", "jain", "worst_decile")
LOWER_IS_BETTER = (
    "risk",
    "excess",
    "latency",
    "cost",
    "spend",
    "timed_out",
    "refused",
    "wasted",
    "amplification",
)
Difference = Mapping[str, Any]  # value, difference, low, high
Pairs = dict[str, dict[tuple[str, str], Difference]]  # by metric, then (one, other)


def difference_of(base: pd.DataFrame, other: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    """That of two policies in a metric, each with a row per seed, by the same order of seeds."""
    last = min(lasts(base), lasts(other)) if is_in_time(metric.name) else np.inf
    return over_seeds(evidence_of(base, metric), evidence_of(other, metric), level_of(metric.column), last)


def pairs_of(by_policy: Mapping[str, pd.DataFrame], metrics: Sequence[Metric]) -> Pairs:
    """Every pair of policies, the second minus the first, in every metric."""
    return {
        metric.name: {
            (one, other): difference_of(by_policy[one], by_policy[other], metric)
            for one, other in combinations(by_policy, 2)
        }
        for metric in metrics
    }


def sign_of(metric: Metric) -> int:
    """1 where more of it is better, -1 where less is, 0 where that is a matter of the question."""
    name = metric.name.replace(".", "_")
    return (name.startswith(HIGHER_IS_BETTER)) - (name.startswith(LOWER_IS_BETTER))


def best_of(means: Mapping[str, float], pairs: Mapping[tuple[str, str], Difference], sign: int) -> list[str]:
    """The policy with the best mean, and behind it those that cannot be told from it, by their means."""
    known = [name for name, mean in means.items() if not np.isnan(mean)]
    ranked = sorted(known, key=lambda name: -sign * means[name])
    return ranked[:1] + [name for name in ranked[1:] if not is_apart(_of(pairs, ranked[0], name))]


def is_apart(difference: Difference) -> bool:
    """Whether the interval of a difference is known and leaves out zero."""
    return bool(difference["low"] > 0 or difference["high"] < 0)


def _of(pairs: Mapping[tuple[str, str], Difference], one: str, other: str) -> Difference:
    return pairs[one, other] if (one, other) in pairs else pairs[other, one]


def _are_alike(pairs: Mapping[tuple[str, str], Difference], names: Sequence[str]) -> bool:
    """Whether these came to the same number under every seed."""
    every = [_of(pairs, names[0], name) for name in names[1:]]
    return all(one["difference"] == one["low"] == one["high"] == 0 for one in every)


def sentences(
    rows: Sequence[Mapping[str, Any]], pairs: Pairs, metrics: Sequence[Metric], write: Any
) -> list[str]:
    """Per metric that has a better and a worse, the best policy and those that cannot be told from it."""
    said = []
    for metric in metrics:
        means = {row["chosen"][0]: row["metrics"][metric.name][0] for row in rows}
        best = best_of(means, pairs[metric.name], sign) if (sign := sign_of(metric)) else []
        if not best:
            continue
        unknown = [name for name, mean in means.items() if np.isnan(mean)]
        without = f"; no number of {', '.join(unknown)}" if unknown else ""
        value = write(means[best[0]], metric)
        if len(best) > 1 and len(best) + len(unknown) == len(means) and _are_alike(pairs[metric.name], best):
            said.append(f"{metric.label}: the same for all ({value}){without}.")
            continue
        others = (
            f"cannot be told from it: {', '.join(best[1:])}"
            if best[1:]
            else "all others are seen to be worse"
        )
        said.append(f"{metric.label}: {best[0]} is best ({value}); {others}{without}.")
    return said


def names_the_best(sentence: str) -> bool:
    """Whether it is one of `sentences`, among others of a study."""
    return " is best (" in sentence or ": the same for all (" in sentence


def pair_rows(pairs: Pairs, metrics: Sequence[Metric]) -> list[tuple[str, ...]]:
    """A row per pair, a cell per metric: the second minus the first, with its interval; * if without 0."""
    names = next(iter(pairs.values()), {})
    return [
        (
            f"{other} − {one}",
            *(
                difference_with_interval(pairs[metric.name][one, other], metric.unit)
                + (" *" if is_apart(pairs[metric.name][one, other]) else "")
                for metric in metrics
            ),
        )
        for one, other in names
    ]
