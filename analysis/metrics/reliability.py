"""Whether what is said to be right with 80% is right in 80%: reliability by bins, the error of calibration.
From the estimates on held-out samples that a run writes before its traffic; a section of the summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.statistics.estimates import LEAST_SAMPLES, LEVEL, Floats, student, wilson
from analysis.statistics.percentiles import quantile

BINS = 10
REPLICATES = 500
DRAWN = 2**14  # numbers at a time
MANY = 10_000  # samples, whose means are as good as normal
Table = Mapping[str, Any]  # columns of `reliability`, arrays or those of a frame
KEYS = ("group", "source", "model")


def reliability(traffic: Traffic) -> list[dict[str, Any]]:
    """A row per group, source and model: the error of calibration, and the means of what was said and was."""
    rows = []
    for key, table in estimates_of(traffic.run):
        weight = table["weight"]
        error = calibration_error(table, "/".join(key))
        means = {name: float(np.average(table[name], weights=weight)) for name in ("estimated", "right")}
        rows.append(dict(zip(KEYS, key, strict=True)) | means | error)
    return rows


def estimates_of(run: Run) -> Iterator[tuple[tuple[str, ...], Table]]:
    """The rows of `reliability.parquet` of each group, source and model, in the order in which they stand."""
    told = run.columns_of("reliability")
    places: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(zip(*(told[name].tolist() for name in KEYS), strict=True)):
        places.setdefault(key, []).append(place)
    for key, rows in places.items():
        yield key, {name: values[rows] for name, values in told.items()}


def reliability_bins(table: Table) -> pd.DataFrame:
    """Of each bin that estimates lie in: their mean, `estimated`, the share `right` with its 95% interval
    `low` and `high`, their `weight`, and the number of distinct `samples`.

    A sample is one witness whatever share of the clients speaks of it: the interval is Wilson's for as many
    trials as would give the share the variance that it has over samples, with Student's t.
    """
    rows = []
    which_bin = _bin(table)
    for one in np.unique(which_bin):
        weight, said, right = (
            np.asarray(table[name])[which_bin == one] for name in ("weight", "estimated", "right")
        )
        share = float(np.average(right, weights=weight))
        row = {"estimated": float(np.average(said, weights=weight)), "right": share}
        low, high = _interval(weight, right, share)
        rows.append(row | {"weight": weight.sum(), "samples": weight.size, "low": low, "high": high})
    return pd.DataFrame(rows)


def calibration_error(table: Table, key: str) -> dict[str, Any]:
    """The expected calibration error over ten bins (Guo et al. 2017): the mean over estimates of how far the
    share of their bin that is right lies from the mean of what was said there.

    low, high: a conservative 95% interval. Errors of two sets of distances differ by at most the mean
    distance between them (triangle inequality), whose 95% quantile the bootstrap of samples tells.
    by_chance: what 95% of perfectly calibrated estimates stay below on as many samples, since chance only
    adds to the error (consistency resampling; Broecker and Smith 2007). Draws follow from `key`. All but
    `samples` are None with fewer than 10 of them.
    """
    sample, which_bin = np.unique(table["sample_id"], return_inverse=True)[1], _bin(table)
    samples = int(sample.max(initial=-1)) + 1
    row: dict[str, Any] = {"value": None, "low": None, "high": None, "by_chance": None, "samples": samples}
    if samples < LEAST_SAMPLES:
        return row
    weight, said, right = (np.asarray(table[name]) for name in ("weight", "estimated", "right"))
    sums = np.empty((3, samples, BINS))  # of weight, of what is said and of what is right
    for place, values in enumerate((weight, weight * said, weight * right)):
        sums[place].flat = np.bincount(sample * BINS + which_bin, values, samples * BINS)
    draws, seen = _generator(key), _distances(sums.sum(axis=1)[:, None])
    apart, perfect = (_by_samples if samples <= MANY else _by_moments)(sums, draws)
    reach = quantile(_mean(apart - seen), LEVEL)
    value = float(_mean(seen)[0])
    return row | {
        "value": value,
        "low": max(0.0, value - reach),
        "high": value + reach,
        "by_chance": quantile(_mean(perfect), LEVEL),
    }


def _by_samples(sums: Floats, draws: np.random.Generator) -> tuple[Floats, Floats]:
    """Distances of REPLICATES samples drawn from these `sums` (3, samples, BINS), and of as many in which the
    chance of being right is what is said; both (REPLICATES, BINS)."""
    samples = sums.shape[1]
    who, which = np.nonzero(sums[0])
    chance = sums[1][who, which] / sums[0][who, which]
    times, happens = np.empty((REPLICATES, samples)), np.empty((REPLICATES, who.size))
    few = max(1, DRAWN // samples)  # replicates at a time, which stay in the processor's own memory
    some = [slice(first, min(first + few, REPLICATES)) for first in range(0, REPLICATES, few)]
    for these in some:
        drawn = draws.integers(0, samples, times[these].shape)
        drawn += np.arange(0, drawn.size, samples)[:, None]
        times[these] = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
    for these in some:
        happens[these] = draws.random(times[these].shape, dtype=np.float32)[:, who] < chance
    perfect = np.broadcast_to(sums.sum(axis=1)[:, None], (3, REPLICATES, BINS)).copy()
    perfect[2] = happens @ (sums[0][who, which][:, None] * (which[:, None] == np.arange(BINS)))
    return _distances(times @ sums), _distances(perfect)


def _by_moments(sums: Floats, draws: np.random.Generator) -> tuple[Floats, Floats]:
    """The same for many samples, whose means are as good as normal: by mean and covariance, in linear time.

    A sample that several clients speak of is right for all of them or for none: of two chances p < q it is
    for both with p.
    """
    weight, said, right = sums
    whole = weight.sum()
    apart = (right.sum(axis=0) - said.sum(axis=0)) / whole
    influence = (right - said - apart * weight.sum(axis=1, keepdims=True)) / whole
    chance = np.divide(said, weight, out=np.zeros_like(said), where=weight > 0)
    both = np.empty((BINS, BINS))
    for one in range(BINS):
        p = chance[:, one, None]
        both[one] = (weight[:, one, None] * weight * (np.minimum(p, chance) - p * chance)).sum(axis=0)
    return (
        draws.multivariate_normal(apart, influence.T @ influence, REPLICATES, method="eigh"),
        draws.multivariate_normal(np.zeros(BINS), both / whole**2, REPLICATES, method="eigh"),
    )


def _distances(sums: Floats) -> Floats:
    """How far right lies from said in each bin, times the bin's share of the weight, (n, BINS) of
    (3, n, BINS): their absolute values sum to the error."""
    return np.asarray((sums[2] - sums[1]) / sums[0].sum(axis=1, keepdims=True))


def _mean(distances: Floats) -> Floats:
    return np.asarray(np.abs(distances).sum(axis=1))


def _bin(table: Table) -> Any:
    return np.minimum((np.asarray(table["estimated"]) * BINS).astype(np.int64), BINS - 1)


def _interval(weight: Floats, right: Floats, share: float) -> tuple[float, float]:
    whole, count = weight.sum(), len(weight)
    trials = float(whole**2 / (weight**2).sum())
    if count < 2:
        return 0.0, 1.0
    variance = float(((weight * (right - share)) ** 2).sum() / whole**2 * count / (count - 1))
    if variance > 0:
        trials = share * (1 - share) / variance
    low, high = wilson(share, max(1.0, trials), student(count - 1))
    return float(low), float(high)


def _generator(key: str) -> np.random.Generator:
    digest = blake2b(f"reliability/{key}".encode(), digest_size=8).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
