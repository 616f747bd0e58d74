"""What two runs share, and so how they may be compared: the same requests, the same clients, or nothing.
Below `analysis.statistics.comparison`; refuses pairs whose difference would mix policy and chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.run_folder.traffic import Traffic
from analysis.statistics.clusters import Clusters, clusters
from analysis.statistics.estimates import Floats, Spread
from sim.errors import BadInput

SAME = ("request_id", "arrived_at_s", "sample_id")


@dataclass(frozen=True)
class Pairing:
    """Two runs side by side; `kind` is "requests", "clients and samples" or "nothing".

    base, other: the cells of each, under the same codes unless nothing is shared.
    """

    kind: str
    sentence: str
    base: Clusters
    other: Clusters

    def spread(self, base: Floats, other: Floats, base_sizes: Floats, other_sizes: Floats) -> Spread:
        """Of a difference, from what the cells of both runs contribute to it, and their requests (cells of
        each,)."""
        if self.kind == "requests":
            return self.base.spread(other - base, (base_sizes + other_sizes) / 2)
        if self.kind == "nothing":
            one, two = self.base.spread(base, base_sizes), self.other.spread(other, other_sizes)
            variance = one.variance + two.variance
            weighted = one.variance**2 / one.freedom + two.variance**2 / two.freedom
            return Spread(variance, variance**2 / weighted if weighted > 0 else 1.0)
        client, sample, group = (
            np.concatenate([getattr(self.base, name), getattr(self.other, name)])
            for name in ("client", "base", "group")
        )
        union = clusters(client, sample, group)
        return union.spread(
            union.sums(np.concatenate([-base, other])),
            union.sums(np.concatenate([base_sizes, other_sizes]) / 2),
        )


def pair(base: Traffic, other: Traffic, unpaired: bool) -> Pairing:
    """How `other` is held against `base`. Raises BadInput for different traffic, unless `unpaired`."""
    differs = traffic_differs(base, other)
    if differs is None:
        after = " after the warm-up" if base.run.warm_up_s > 0 else ""
        sentence = (
            f"the same {len(base.requests):,} requests{after}: same arrivals, same samples; differences are "
            "paired request by request"
        )
        return Pairing("requests", sentence, base.cells, other.cells)
    if _thinks(base) and _thinks(other) and (shared := _shared_requests(base, other)):
        return _by_client_and_sample(base, other, shared)
    if not unpaired:
        raise BadInput(
            f"compare {base.run.path} {other.run.path}: their traffic differs ({differs}); give runs with "
            "one seed, fleet, horizon and warm-up, or --unpaired to compare them as they are"
        )
    sentence = f"nothing ({differs}); the intervals of the differences hold the chance of both runs"
    return Pairing("nothing", sentence, base.cells, other.cells)


def traffic_differs(base: Traffic, other: Traffic) -> str | None:
    """The first way in which the counted requests of two runs differ, in words; None where they do not."""
    for name in ("warm_up_s", "horizon_s"):
        one, two = getattr(base.run, name), getattr(other.run, name)
        if one != two:
            return f"{name} is {one:g} and {two:g}"
    if len(base.requests) != len(other.requests):
        return f"{len(base.requests):,} and {len(other.requests):,} requests"
    for name in SAME:
        one, two = base.requests[name].to_numpy(), other.requests[name].to_numpy()
        unequal = np.flatnonzero(one != two)
        if unequal.size:
            at = int(unequal[0])
            return f"{name} of request {at + 1:,} in order of arrival is {one[at]} and {two[at]}"
    return None


def _thinks(traffic: Traffic) -> bool:
    """Whether any group's next request waits for its last answer, so that the server shapes the traffic."""
    groups = [group for group in traffic.run.groups.values() if "arrivals" in group]
    return any(group["arrivals"]["process"]["kind"] == "closed_loop" for group in groups)


def _shared_requests(base: Traffic, other: Traffic) -> int:
    """How many requests both runs have, by client and number; 0 if one of them asks about another sample."""
    both = base.requests[["request_id", "sample_id"]].merge(
        other.requests[["request_id", "sample_id"]], on="request_id"
    )
    return len(both) if (both["sample_id_x"] == both["sample_id_y"]).all() else 0


def _by_client_and_sample(base: Traffic, other: Traffic, shared: int) -> Pairing:
    clients, bases = (
        np.concatenate([traffic.requests[name].to_numpy() for traffic in (base, other)])
        for name in ("client_id", "base_id")
    )
    first, second = (
        clusters(
            traffic.requests["client_id"].to_numpy(),
            traffic.requests["base_id"].to_numpy(),
            traffic.requests["group"].cat.codes.to_numpy(),
            clients=clients,
            bases=bases,
        )
        for traffic in (base, other)
    )
    sentence = (
        "think times and samples only: with closed_loop arrivals the next request waits for the last answer, "
        f"so arrivals differ ({shared:,} requests have the same client and number); differences are paired "
        "by client and sample"
    )
    return Pairing("clients and samples", sentence, first, second)


NAMED_BY = ("group", "option", "server", "link")  # keys that hold the name of an entry of a list


def what_differs(base: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """The scenario's paths at which two runs differ, with both values; None where one lacks it."""
    one, two = dict(_leaves(base)), dict(_leaves(other))
    paths = [*one, *(path for path in two if path not in one)]
    return [(path, one.get(path), two.get(path)) for path in paths if one.get(path) != two.get(path)]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, part in enumerate(value):
            name = next((part[key] for key in NAMED_BY if isinstance(part.get(key), str)), index)
            yield from _leaves(part, f"{path}.{name}")
    else:
        yield path, value
