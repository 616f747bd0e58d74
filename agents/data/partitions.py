"""Partitions: which samples a frozen model was trained on, and which traffic is a group's own.
The code of the kinds in `sim.registry.partitions` and `sim.registry.mixes`: a selecting function each."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agents.brought_names import name_of
from agents.data.datasets import DataSet
from sim.errors import BadInput
from sim.messages import Samples
from sim.registry.mixes import MIXES
from sim.registry.partitions import PARTITIONS, Dirichlet, FewSamples, MissingClasses
from sim.registry.partitions import Ids as ByIds
from sim.registry.registry import Code
from sim.scenario import POOLS, Group, Scenario
from sim.scenario.files.partition_ids import partition_ids
from sim.scenario.files.rows import BadFile
from sim.scenario.text.wording import show
from sim.streams import stream

log = logging.getLogger(__name__)
Ids = NDArray[np.int32]

SELECTED: Code[Callable[[Group, DataSet, Ids, Generator], Ids]] = Code(PARTITIONS)
SENT: Code[Callable[[Group, DataSet, Samples, int], NDArray[np.bool_]]] = Code(MIXES)


@SELECTED.of("iid", "domain_shift", "ids")
def everything(_group: Group, _data: DataSet, ids: Ids, _draw: Generator) -> Ids:
    """All of `ids`: what `iid` and `domain_shift` train on, and `ids` of those that its file lists."""
    return ids


@SELECTED.of("missing_classes")
def without_classes(group: Group, data: DataSet, ids: Ids, _draw: Generator) -> Ids:
    """The samples of `ids` whose class is not among `partition.classes`."""
    return ids[known_classes(group, data)[data.labels[ids]]]


@SELECTED.of("few_samples")
def few_of_each(group: Group, data: DataSet, ids: Ids, _draw: Generator) -> Ids:
    """The first `partition.per_class` samples of each class, in the order of `ids`."""
    assert isinstance(group.partition, FewSamples)
    labels = data.labels[ids]
    rank = np.zeros(len(ids), dtype=np.int64)
    for label in range(data.classes):
        mine = labels == label
        rank[mine] = np.arange(mine.sum())
    return ids[rank < group.partition.per_class]


@SELECTED.of("dirichlet")
def by_mixture(group: Group, data: DataSet, ids: Ids, draw: Generator) -> Ids:
    """The samples of `ids` in the order in which classes drawn from the variant's own mixture call for them.

    As Hsu, Qi and Brown (2019) do it: mixture ~ Dirichlet(alpha), and a class that has run out is drawn no
    more. That is the order of arrival if each class sends its samples at the rate of its share, which needs
    neither a loop nor a second draw.
    """
    share, labels = class_mixture(group, data, draw), data.labels[ids]
    due = np.full(len(ids), np.inf)
    for label in np.flatnonzero(share):
        mine = np.flatnonzero(labels == label)
        with np.errstate(over="ignore"):  # a share near the smallest float calls for nothing
            due[mine] = draw.exponential(size=len(mine)).cumsum() / share[label]
    order = np.argsort(due, kind="stable")
    return ids[order[: np.isfinite(due).sum()]]


def listed(group: Group, data: DataSet, variant: int) -> NDArray[np.int64]:
    """The samples that a file lists for a variant. Raises BadInput for one that the set does not have."""
    assert isinstance(group.partition, ByIds)
    path = f"fleet.{group.group}.partition.file"
    try:
        ids = partition_ids(group.partition.file)[variant]
    except (BadFile, IndexError) as error:
        raise BadInput(f"{path}: {group.partition.file}: {error}") from None
    if len(ids) and ids[-1] >= data.size:
        raise BadInput(f"{path}: partition {variant} has sample {ids[-1]}, and {data.name} has {data.size}")
    return ids


def known_classes(group: Group, data: DataSet) -> NDArray[np.bool_]:
    """Which classes a group's models have seen, bool (classes,).

    Raises BadInput for a missing class that the data set does not have, or if none is left.
    """
    known = np.ones(data.classes, dtype=np.bool_)
    if not isinstance(group.partition, MissingClasses):
        return known
    path = f"fleet.{group.group}.partition.classes"
    for label in group.partition.classes:
        if label >= data.classes:
            raise BadInput(f"{path}: {label} is not a class of {data.name} (0 to {data.classes - 1})")
        known[label] = False
    if not known.any():
        raise BadInput(f"{path}: {list(group.partition.classes)} leave no class of {data.name} to train on")
    return known


def class_mixture(group: Group, data: DataSet, draw: Generator) -> NDArray[np.float64]:
    """The class shares of one variant under `dirichlet`, float64 (classes,), sum 1, from its own draws."""
    assert isinstance(group.partition, Dirichlet)
    return draw.dirichlet(np.full(data.classes, group.partition.alpha))


def mixture_draw(seed: int, place: int, variant: int) -> Generator:
    """Where a variant's mixture comes from, anew on each call."""
    return stream(seed, "client mixture", place, variant)


def class_weights(group: Group, data: DataSet, *, seed: int, place: int, variant: int) -> NDArray[np.float64]:
    """P(class) in what a client with this variant meets as its own, float64 (classes,), sum 1.

    The data set's shares, of the known classes alone under `missing_classes`; under `dirichlet` the mixture
    that the variant's training samples were drawn from. `few_samples` and `domain_shift` say how much a
    model has seen and how, not what its client meets: the data set's shares.
    """
    if isinstance(group.partition, ByIds):
        own = np.bincount(data.labels[listed(group, data, variant)], minlength=data.classes)
        shares: NDArray[np.float64] = own / max(1, own.sum())
        return shares
    if group.partition.is_per_variant:
        return class_mixture(group, data, mixture_draw(seed, place, variant))
    count = np.bincount(data.labels, minlength=data.classes) * known_classes(group, data)
    weights: NDArray[np.float64] = count / count.sum()
    return weights


def training_samples(
    group: Group, data: DataSet, pool: Ids, *, view: int, seed: int, place: int, variant: int
) -> Ids:
    """The sample_ids that one variant is trained on, int32 (at most `model.train_samples`,), keyed by the
    group's place in the fleet and the variant's number.

    Raises BadInput if the partition leaves no sample.
    """
    select = SELECTED.choose(group.partition.kind, f"fleet.{group.group}.partition.kind")
    order = stream(seed, "client partition", place, variant).permutation(pool)
    if isinstance(group.partition, ByIds):
        order = order[np.isin(order, listed(group, data, variant))]
    own = mixture_draw(seed, place, variant)
    chosen = select(group, data, order, own)[: group.model.train_samples]
    if not len(chosen):
        asked = show(group.partition.model_dump())
        raise BadInput(
            f"fleet.{group.group}.partition: {asked} leaves client model {variant} none of the {len(pool)} "
            "samples of the client pool to train on"
        )
    return (chosen + view * data.size).astype(np.int32)


def training_sets(
    scenario: Scenario, data: DataSet, pool: Ids, place: int, view: int, untrained: frozenset[str]
) -> tuple[Ids, ...]:
    """`training_samples` of each variant of the group at `place`; none of models that nobody trains."""
    group, seed = scenario.fleet[place], scenario.seed
    if data.given is not None or name_of(group) in untrained:
        return tuple(np.empty(0, dtype=np.int32) for _ in range(group.model.variants))
    return tuple(
        training_samples(group, data, pool, view=view, seed=seed, place=place, variant=variant)
        for variant in range(group.model.variants)
    )


def warn_of_shortfall(group: Group, data: DataSet, got: int) -> None:
    """Logs that a group's models train on fewer samples than the scenario asks for."""
    asked = group.model.train_samples
    if isinstance(group.partition, FewSamples):
        asked = min(asked, group.partition.per_class * data.classes)
    if got < asked:
        log.warning(
            "fleet.%s.model.train_samples: %d asked, the client pool has %d for it", group.group, asked, got
        )


@SENT.of("all", "dirichlet")
def all_traffic(_group: Group, _data: DataSet, samples: Samples, _view: int) -> NDArray[np.bool_]:
    """Which rows of the axis a client meets under mix `all`: every traffic sample as it is. Under
    `dirichlet` each with class weights of its own, see `agents.data.mixes`."""
    rows: NDArray[np.bool_] = (samples.pool == POOLS.index("traffic")) & (samples.view == 0)
    return rows


@SENT.of("own")
def own_traffic(group: Group, data: DataSet, samples: Samples, view: int) -> NDArray[np.bool_]:
    """Mix `own`: traffic samples of the classes that the group's models know, as the group sees them. With a
    dirichlet partition each client meets them by its model's class shares, see `agents.data.mixes`."""
    known = known_classes(group, data)[samples.label]
    rows: NDArray[np.bool_] = (samples.pool == POOLS.index("traffic")) & (samples.view == view) & known
    return rows


def traffic_of(group: Group, data: DataSet, samples: Samples, view: int) -> NDArray[np.int32]:
    """Positions on the sample axis that a group's requests are drawn from before any drift, int32, ascending.

    Raises BadInput if no held-out sample is among them, since nothing could then be measured.
    """
    path = f"fleet.{group.group}.traffic"
    select = SENT.choose(group.traffic.mix, f"{path}.mix")
    positions = np.flatnonzero(select(group, data, samples, view)).astype(np.int32)
    if not samples.held_out[positions].any():
        raise BadInput(f"{path}: no held-out traffic sample fits mix '{group.traffic.mix}'")
    return positions
