"""Holds runs against the first of them: each headline number's difference, with its interval if it has one.
Takes run folders, gives plain data that `analysis.compare_report` prints and writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.measures import MEASURES, Percentile, Ratio
from analysis.metrics import json_safe, summary_of
from analysis.pairing import pair, what_differs
from analysis.resampling import LEAST_SAMPLES, Resampling, interval
from analysis.run import load_run
from analysis.traffic import Floats, Traffic, traffic_of
from sim.errors import BadInput


def load_traffics(paths: Sequence[Path]) -> list[Traffic]:
    """The traffic of each run. Raises BadInput for fewer than two, one twice, or none that asked anything."""
    if len(paths) < 2:
        raise BadInput(f"compare: {len(paths)} run given; give the baseline and at least one more")
    places = [path.resolve() for path in paths]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise BadInput(f"compare: {paths[index]} is given twice")
    traffics = [traffic_of(load_run(path)) for path in paths]
    for traffic in traffics:
        if traffic.requests.empty:
            raise BadInput(f"compare: {traffic.run.path}: no request arrived after the warm-up")
    return traffics


def names_of(traffics: Sequence[Traffic]) -> list[str]:
    """A short name for each run that tells it from the others: its folder's, or its whole path."""
    short = [traffic.run.path.resolve().name for traffic in traffics]
    return [
        name if short.count(name) == 1 else str(traffic.run.path)
        for name, traffic in zip(short, traffics, strict=True)
    ]


def compare(traffics: Sequence[Traffic], unpaired: bool = False) -> dict[str, Any]:
    """Every run against the first, JSON-safe: what differs in the scenario, what is shared, the measures.

    Under `runs` a measure has value, difference, low and high (95%, null where it has no interval). The
    interval is that of the differences of bootstrap replicates in which both runs count the same clients
    and samples equally often (see `analysis.resampling`). Raises BadInput for pairs that share too little.
    """
    base, names = traffics[0], names_of(traffics)
    summaries = [summary_of(traffic) for traffic in traffics]
    pairings = [pair(base, other, unpaired, index) for index, other in enumerate(traffics[1:], start=1)]
    alone = Sample(base, base.resampling, summaries[0])
    runs = []
    for name, other, summary, pairing in zip(names[1:], traffics[1:], summaries[1:], pairings, strict=True):
        first = (
            alone if pairing.base_draws is base.resampling else Sample(base, pairing.base_draws, summaries[0])
        )
        second = Sample(other, pairing.other_draws, summary)
        runs.append(
            {
                "name": name,
                "path": str(other.run.path),
                "seed": other.run.scenario["seed"],
                "valid": summary["valid"],
                "invalid_because": summary["invalid_because"],
                "scenario": what_differs(base.run.scenario, other.run.scenario),
                "paired_by": pairing.kind,
                "shared": pairing.sentence,
                "measures": {key: _difference(key, first, second) for key in MEASURES},
            }
        )
    baseline = {
        "name": names[0],
        "path": str(base.run.path),
        "seed": base.run.scenario["seed"],
        "valid": summaries[0]["valid"],
        "invalid_because": summaries[0]["invalid_because"],
        "requests": len(base.requests),
        "measures": {key: alone.value(key) for key in MEASURES},
    }
    units = {key: {"label": measure.label, "unit": measure.unit} for key, measure in MEASURES.items()}
    shown: dict[str, Any] = json_safe({"measures": units, "baseline": baseline, "runs": runs})
    return shown


class Sample:
    """One run's measures under one set of bootstrap draws, each worked out once."""

    def __init__(self, traffic: Traffic, draws: Resampling, summary: dict[str, Any]) -> None:
        self.traffic, self.draws, self.summary = traffic, draws, summary
        self._replicates: dict[str, Floats] = {}

    def value(self, key: str) -> float | None:
        """The measure itself; None where it does not exist in this run."""
        measure = MEASURES[key]
        if isinstance(measure, Ratio):
            parts, wholes = measure.parts_and_wholes(self.traffic)
            whole = float(wholes.sum())
            return float(parts.sum()) / whole * self._scale(measure) if whole > 0 else None
        if isinstance(measure, Percentile):
            taken_s = self._taken_s()
            return (
                float(np.quantile(taken_s[~np.isnan(taken_s)], measure.level)) if self._has(taken_s) else None
            )
        found: Any = self.summary
        for step in measure.path:
            found = found[step]
        return None if found is None else float(found)

    def replicates(self, key: str) -> Floats | None:
        """The measure in each bootstrap replicate; None where it has no interval."""
        if key not in self._replicates:
            measure = MEASURES[key]
            if isinstance(measure, Ratio):
                parts, wholes = measure.parts_and_wholes(self.traffic)
                if np.unique(self.draws.base[self.draws.cell[wholes > 0]]).size < LEAST_SAMPLES:
                    return None
                self._replicates[key] = self.draws.ratios(parts, wholes) * self._scale(measure)
            elif isinstance(measure, Percentile) and self._has(self._taken_s()):
                levels = {k: m.level for k, m in MEASURES.items() if isinstance(m, Percentile)}
                found = percentiles(self._taken_s(), self.draws, tuple(levels.values()))
                self._replicates |= dict(zip(levels, found, strict=True))
        return self._replicates.get(key)

    def _scale(self, measure: Ratio) -> float:
        return len(self.traffic.requests) / self.traffic.run.observed_s if measure.per_second else 1.0

    def _taken_s(self) -> Floats:
        return self.traffic.requests["final_s"].to_numpy(dtype=np.float64)

    def _has(self, taken_s: Floats) -> bool:
        return not bool(np.isnan(taken_s).all())


def percentiles(values: Floats, draws: Resampling, levels: tuple[float, ...]) -> Floats:
    """Weighted percentiles of `values` (n,), NaN left out, per replicate; shape (levels, replicates).

    The smallest value at which the weights up to it reach the level's share of all weights.
    """
    there = np.flatnonzero(~np.isnan(values))
    order = there[np.argsort(values[there], kind="stable")]
    ordered = values[order]
    found = np.full((len(levels), len(draws.client_weights)), np.nan)
    for replicate in range(found.shape[1]):
        reached = np.cumsum(draws.request_weights(replicate)[order], dtype=np.int64)
        if reached[-1]:
            found[:, replicate] = ordered[np.searchsorted(reached, np.multiply(levels, reached[-1]))]
    return found


def _difference(key: str, first: Sample, second: Sample) -> dict[str, Any]:
    """One measure of the second run, and by how much it differs from the first's."""
    one, two = first.value(key), second.value(key)
    told: dict[str, Any] = {"value": two, "difference": None, "low": None, "high": None}
    if (
        one is None
        or two is None
        or (key == "accuracy_in_outages" and first.traffic.outages != second.traffic.outages)
    ):
        return told
    told["difference"] = two - one
    before, after = first.replicates(key), second.replicates(key)
    if before is not None and after is not None:
        told["low"], told["high"] = interval(after - before)
    return told
