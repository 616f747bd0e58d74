"""Each client's own accuracy, with the fleet's help and by its own model: what fairness is counted from and
drawn with. A client that asked about few held-out samples says little about itself, and is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.run_folder.kept import kept
from analysis.run_folder.traffic import Traffic
from analysis.statistics.cells import numbered
from analysis.statistics.pieces import AT_ONCE

LEAST_REQUESTS = 10  # of a client: with fewer, its accuracy is mostly chance (a standard error above 0.1)


REPLICATES = 500  # of fleets in which chance alone makes a difference
Floats = NDArray[np.float64]


@kept
def accuracy_by_client(traffic: Traffic) -> dict[str, NDArray[Any]]:
    """The clients with `LEAST_REQUESTS` held-out requests, (k,), by `fleet`: client_id, fleet and client
    (shares), group, witnesses.

    witnesses: how many independent answers its requests amount to, as those about one sample are alike:
    (Σ n)² / Σ n² over its samples (Kish 1965). Of graded answers, whose variance is a part of that of answers
    that are right or wrong, each amounts to as many more of those.
    """
    cells, held_out = traffic.clusters, traffic.held_out
    asked = cells.held(held_out).by_client
    told = asked >= LEAST_REQUESTS
    # Only the rows of clients that are told of, and only their columns: of many clients they are few.
    rows = held_out & told[cells.client_of_requests]
    client_id, of = numbered(traffic.column("client_id")[rows])
    group, names = np.zeros(client_id.size, dtype=np.int64), np.array(list(traffic.run.groups), dtype=object)
    group[of] = traffic.codes("group")[0][rows]
    table = {
        "client_id": client_id,
        "fleet": _mean_of_each(of, traffic.correct[rows]),
        "client": _mean_of_each(of, traffic.column("client_right")[rows]),
        "group": names[group],
        "witnesses": asked[told] ** 2 / cells.squares_by_client(held_out)[told],
    }
    if traffic.run.is_graded:
        table["witnesses"] /= _share_of_variance(traffic, table["group"])
    order = np.lexsort((table["client"], table["fleet"]))
    return {name: values[order] for name, values in table.items()}


def _mean_of_each(of: NDArray[Any], values: NDArray[Any]) -> Floats:
    """The mean of the values (n,) of each of those they are `of`, numbered from 0."""
    if values.dtype == bool:
        return np.asarray(np.bincount(of, values) / np.bincount(of))
    return pd.Series(values).groupby(of).mean().to_numpy()  # whose sums make up for what each addition loses


def _share_of_variance(traffic: Traffic, group: NDArray[Any]) -> Floats:
    """Per client, by its group: σ² / (μ(1 − μ)) of the quality of an answer."""
    rows = traffic.requests[["group", "correct"]][traffic.held_out]
    of_groups = rows.groupby("group", observed=True)["correct"]
    mean, variance = of_groups.mean(), of_groups.var().fillna(0.0)
    part = (variance / (mean * (1 - mean)).clip(lower=1e-12)).clip(1e-6, 1.0)
    part.index = part.index.astype("str")
    return part.loc[group].to_numpy(dtype=np.float64)


def shrunk(table: Mapping[str, Any]) -> Floats:
    """Each client's accuracy, drawn towards its group's by as much as chance explains of the spread; (n,).

    Empirical Bayes with moments: the variance between the clients of a group beyond that of binomial counts
    (Efron and Morris 1975; Carter and Rolph 1974), at least 0. Without such a variance all are their group's.
    """
    fleet, witness = (np.asarray(table[name], dtype=float) for name in ("fleet", "witnesses"))
    found = np.empty(fleet.size)
    for places in _by_group(table):
        accuracy, witnesses = fleet[places], witness[places]
        mean = float(np.average(accuracy, weights=witnesses))
        chance = mean * (1 - mean) / witnesses
        seen = float(((accuracy - mean) ** 2).sum()) / max(1, accuracy.size - 1)
        between = max(0.0, seen - float(chance.mean()))
        kept = between / (between + chance) if between else np.zeros(accuracy.size)
        found[places] = mean + kept * (accuracy - mean)
    return found


def worst_decile(accuracy: Floats) -> float | None:
    """The mean over the tenth of the clients that fares worst, rounded up; None without clients."""
    worst = np.sort(accuracy)[: -(-accuracy.size // 10)]
    return float(worst.mean()) if worst.size else None


def worst_decile_by_chance(table: Mapping[str, Any]) -> float | None:
    """The mean worst decile of fleets in which each client has its group's accuracy and as many witnesses."""
    fleet, witnesses = (np.asarray(table[name], dtype=float) for name in ("fleet", "witnesses"))
    if not fleet.size:
        return None
    mean = np.empty(fleet.size)
    for places in _by_group(table):
        mean[places] = np.average(fleet[places], weights=witnesses[places])
    count = np.maximum(np.rint(witnesses), 1.0).astype(np.int64)
    draw = np.random.default_rng(0)  # a constant of the summary: it shares no draw with the run
    many, worst = fleet.size, -(-fleet.size // 10)
    # A column more keeps the rows apart, and with them the order in which they are summed.
    drawn = np.empty((REPLICATES, worst + (worst < many)))[:, :worst]
    each = max(1, AT_ONCE // many)
    for first in range(0, REPLICATES, each):
        shares = draw.binomial(count, mean, (min(each, REPLICATES - first), many)) / count
        drawn[first : first + each] = np.sort(shares, axis=1)[:, :worst]
    return float(drawn.mean())


def _by_group(table: Mapping[str, Any]) -> list[list[int]]:
    """The places of each group's clients."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(np.asarray(table["group"]).tolist()):
        found.setdefault(name, []).append(place)
    return list(found.values())
