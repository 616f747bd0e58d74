"""Partitions: which samples a frozen model was trained on, and which traffic is a group's own.
A new partition is one selecting function and one line of `PARTITIONS`."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.choices import choose
from agents.datasets import DataSet
from sim.errors import BadInput
from sim.messages import Samples
from sim.scenario import POOLS, Group
from sim.streams import stream

log = logging.getLogger(__name__)
Ids = NDArray[np.int32]


def everything(_group: Group, _data: DataSet, ids: Ids) -> Ids:
    """All of `ids`: what `iid` and `domain_shift` train on."""
    return ids


def without_classes(group: Group, data: DataSet, ids: Ids) -> Ids:
    """The samples of `ids` whose class is not among `partition.classes`."""
    return ids[known_classes(group, data)[data.labels[ids]]]


def few_of_each(group: Group, data: DataSet, ids: Ids) -> Ids:
    """The first `partition.per_class` samples of each class, in the order of `ids`."""
    assert group.partition.kind == "few_samples"
    labels = data.labels[ids]
    rank = np.zeros(len(ids), dtype=np.int64)
    for label in range(data.classes):
        mine = labels == label
        rank[mine] = np.arange(mine.sum())
    return ids[rank < group.partition.per_class]


PARTITIONS: dict[str, Callable[[Group, DataSet, Ids], Ids]] = {
    "iid": everything,
    "missing_classes": without_classes,
    "few_samples": few_of_each,
    "domain_shift": everything,
}


def known_classes(group: Group, data: DataSet) -> NDArray[np.bool_]:
    """Which classes a group's models have seen, bool (classes,).

    Raises BadInput for a missing class that the data set does not have, or if none is left.
    """
    known = np.ones(data.classes, dtype=np.bool_)
    if group.partition.kind != "missing_classes":
        return known
    path = f"fleet.{group.group}.partition.classes"
    for label in group.partition.classes:
        if label >= data.classes:
            raise BadInput(f"{path}: {label} is not a class of {data.name} (0 to {data.classes - 1})")
        known[label] = False
    if not known.any():
        raise BadInput(f"{path}: {list(group.partition.classes)} leave no class of {data.name} to train on")
    return known


def training_samples(
    group: Group, data: DataSet, pool: Ids, *, view: int, seed: int, place: int, variant: int
) -> Ids:
    """The sample_ids that one variant is trained on, int32 (at most `model.train_samples`,), keyed by the
    group's place in the fleet and the variant's number.

    Raises BadInput if the partition leaves no sample.
    """
    select = choose(PARTITIONS, group.partition.kind, f"fleet.{group.group}.partition.kind", "partition")
    order = stream(seed, "client partition", place, variant).permutation(pool)
    chosen = select(group, data, order)[: group.model.train_samples]
    if not len(chosen):
        raise BadInput(
            f"fleet.{group.group}.partition: {group.partition.kind} leaves none of the {len(pool)} "
            "samples of the client pool to train on"
        )
    return (chosen + view * data.size).astype(np.int32)


def tell_shortfall(group: Group, data: DataSet, got: int) -> None:
    """Logs that a group's models train on fewer samples than the scenario asks for."""
    asked = group.model.train_samples
    if group.partition.kind == "few_samples":
        asked = min(asked, group.partition.per_class * data.classes)
    if got < asked:
        log.warning(
            "fleet.%s.model.train_samples: %d asked, the client pool has %d for it", group.group, asked, got
        )


def all_traffic(_group: Group, _data: DataSet, samples: Samples, _view: int) -> NDArray[np.bool_]:
    """Which rows of the axis a client meets under mix `all`: every traffic sample as it is."""
    rows: NDArray[np.bool_] = (samples.pool == POOLS.index("traffic")) & (samples.view == 0)
    return rows


def own_traffic(group: Group, data: DataSet, samples: Samples, view: int) -> NDArray[np.bool_]:
    """Mix `own`: traffic samples of the classes that the group's models know, as the group sees them."""
    known = known_classes(group, data)[samples.label]
    rows: NDArray[np.bool_] = (samples.pool == POOLS.index("traffic")) & (samples.view == view) & known
    return rows


MIXES: dict[str, Callable[[Group, DataSet, Samples, int], NDArray[np.bool_]]] = {
    "all": all_traffic,
    "own": own_traffic,
    "dirichlet": all_traffic,  # each client with class weights of its own, see `agents.mixes`
}


def traffic_of(group: Group, data: DataSet, samples: Samples, view: int) -> NDArray[np.int32]:
    """Positions on the sample axis that a group's requests are drawn from before any drift, int32, ascending.

    Raises BadInput if no held-out sample is among them, since nothing could then be measured.
    """
    path = f"fleet.{group.group}.traffic"
    select = choose(MIXES, group.traffic.mix, f"{path}.mix", "traffic mix")
    positions = np.flatnonzero(select(group, data, samples, view)).astype(np.int32)
    if not samples.held_out[positions].any():
        raise BadInput(f"{path}: no held-out traffic sample fits mix '{group.traffic.mix}'")
    return positions
