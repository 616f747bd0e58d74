"""What clients are sent: a group's mix of classes and view, and how both drift during the run.
Makes the phases that `sim.world.traffic` draws from; part of making a plan, without torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.data.datasets import DataSet
from agents.data.partitions import class_weights, known_classes
from agents.data.views import Shift, traffic_shift
from sim.errors import BadInput
from sim.messages import Phase, Samples
from sim.registry.mixes import MixDirichlet
from sim.scenario import POOLS, Group, Scenario
from sim.streams import stream

Weights = NDArray[np.float64]


def phases_of(
    scenario: Scenario,
    place: int,
    data: DataSet,
    samples: Samples,
    shifts: tuple[Shift, ...],
    base: NDArray[np.int32],
) -> tuple[Phase, ...]:
    """The phases of the group at `place`, whose clients are sent the positions `base` before any drift.

    Mixes `all` and `own` draw uniformly from `base`. Mix `dirichlet` gives each client class weights of its
    own from a symmetric Dirichlet distribution over the classes that occur, keyed (place, client), as Hsu, Qi
    and Brown (2019) do. Mix `own` with a dirichlet partition gives it those that its frozen model's training
    samples were drawn by. A drift's class weights hold for all clients of the group and for all traffic
    samples, so a class can appear that its models have never seen; its noise replaces the noise before.

    Raises BadInput if a class with a weight in a drift has no traffic sample, a client's own mixture has none
    that occurs, or a phase has no held-out sample.
    """
    group = scenario.fleet[place]
    weights = _own_weights(scenario.seed, place, group, samples.label[base], data)
    shift, results = traffic_shift(group), [_phase(0.0, samples, base, weights)]
    for number, drift in enumerate(group.traffic.drift):
        path = f"fleet.{group.group}.traffic.drift.{number}"
        if drift.noise is not None:
            shift = replace(shift, noise=drift.noise)
        if drift.classes is not None and len(drift.classes) != data.classes:
            rule = f"must be {data.classes} weights, one for each class"
            raise BadInput(f"{path}.classes: {list(drift.classes)} are {len(drift.classes)}: {rule}")
        if drift.classes is not None:
            weights = np.array([drift.classes], dtype=np.float64)
            base = _in_view(_traffic(samples), samples, 0)
            _require_samples(f"{path}.classes", weights[0], samples.label[base])
        positions = _in_view(base, samples, shifts.index(shift))
        phase = _phase(drift.at_s, samples, positions, weights)
        _require_held_out(path, phase, samples)
        results.append(phase)
    return tuple(results)


def calibration_of(
    scenario: Scenario,
    place: int,
    data: DataSet,
    samples: Samples,
    traffic: NDArray[np.int32],
    positions: NDArray[np.int32],
) -> Phase:
    """The calibration samples at `positions`, weighed as the group at `place` meets classes before any drift.

    traffic: the positions that its requests are drawn from. A client none of whose classes has a calibration
    sample counts all of them alike.
    """
    weights = _own_weights(scenario.seed, place, scenario.fleet[place], samples.label[traffic], data)
    if weights is not None:
        there = np.isin(np.arange(data.classes), samples.label[positions])
        weights = weights * there
        weights[~weights.any(axis=1)] = there
    return _phase(0.0, samples, positions, weights)


def _own_weights(
    seed: int, place: int, group: Group, labels: NDArray[np.int16], data: DataSet
) -> Weights | None:
    """Class weights, float64 (clients, classes); None where all samples are equally likely."""
    occur = np.unique(labels)
    if group.traffic.mix == "own" and group.partition.is_per_variant:
        return _as_trained(seed, place, group, occur, data)
    if not isinstance(group.traffic, MixDirichlet):
        return None
    weights = np.zeros((group.clients, data.classes))
    for member in range(group.clients):
        draw = stream(seed, "traffic mix", place, member)
        weights[member, occur] = draw.dirichlet(np.full(len(occur), group.traffic.alpha))
    return weights


def _as_trained(seed: int, place: int, group: Group, occur: NDArray[np.int16], data: DataSet) -> Weights:
    """Each client's class weights are those of its frozen model, clients taking models in turn."""
    variants = range(group.model.variants)
    of_variant = np.stack(
        [class_weights(group, data, seed=seed, place=place, variant=variant) for variant in variants]
    )
    there = np.isin(np.arange(data.classes), occur)
    of_variant *= there
    empty = np.flatnonzero(~of_variant.any(axis=1))
    if len(empty):
        path = f"fleet.{group.group}.traffic.mix"
        raise BadInput(f"{path}: own has no traffic sample of the classes of client model {empty[0]}")
    return of_variant[np.arange(group.clients) % len(of_variant)]


def traffic_class_weights(
    group: Group, phase: Phase, data: DataSet, pool: NDArray[np.int16], owners: int
) -> Weights | None:
    """What a sample of the rejector pool weighs by its class for each of `owners`, float64 (owners, classes).

    P(class) among what the clients of an owner are sent in a phase, over the class's share of the pool, whose
    labels are `pool`: a mean over the pool, so weighted, is one over what is met, as far as only the classes
    differ. None where nothing says that they do. Raises BadInput if the pool has none of what is met.
    """
    share = np.bincount(pool, minlength=data.classes) / len(pool)
    known = known_classes(group, data)
    if phase.upto.shape[1] > 1:  # a stratum for each class, of all clients or of each
        met = np.diff(phase.upto, axis=1, prepend=0.0)
        if len(met) > owners:  # a model's clients share a rejector
            met = np.stack([met[owner::owners].mean(axis=0) for owner in range(owners)])
    elif group.traffic.mix == "own" and not known.all():
        met = (known * share)[None]
    else:
        return None
    met = np.broadcast_to(met * (share > 0), (owners, data.classes))
    total = met.sum(axis=1, keepdims=True)
    if not total.all():
        path = f"fleet.{group.group}.traffic"
        raise BadInput(f"{path}: the rejector pool has no sample of the classes that its clients meet")
    weights: Weights = np.divide(met, total * share, out=np.zeros(met.shape), where=share > 0)
    return weights


def _phase(at_s: float, samples: Samples, positions: NDArray[np.int32], weights: Weights | None) -> Phase:
    """A phase of one stratum or, by weights (rows, classes), with a stratum for each class."""
    if weights is None:
        return Phase(at_s, np.sort(positions), np.array([0, len(positions)]), np.ones((1, 1)))
    label = samples.label[positions]
    by_class = positions[np.lexsort((positions, label))]
    first = np.searchsorted(np.sort(label), np.arange(weights.shape[1] + 1))
    upto = np.cumsum(weights, axis=1)
    return Phase(at_s, by_class, first, upto / upto[:, -1:])


def _traffic(samples: Samples) -> NDArray[np.int32]:
    """All traffic samples in all views."""
    return np.flatnonzero(samples.pool == POOLS.index("traffic")).astype(np.int32)


def _in_view(positions: NDArray[np.int32], samples: Samples, view: int) -> NDArray[np.int32]:
    """The places of the same samples in another view, each once; the axis holds view after view."""
    size = len(samples.view) // (int(samples.view[-1]) + 1)
    results: NDArray[np.int32] = np.unique(positions % size) + np.int32(view * size)
    return results


def _require_samples(path: str, weights: Weights, labels: NDArray[np.int16]) -> None:
    missing = np.setdiff1d(np.flatnonzero(weights), labels)
    if len(missing):
        raise BadInput(f"{path}: class {missing[0]} has a weight and no sample in the traffic pool")


def _require_held_out(path: str, phase: Phase, samples: Samples) -> None:
    """Raises BadInput if no held-out sample can come, since nothing could then be measured."""
    sent = np.repeat(np.diff(phase.upto, axis=1, prepend=0.0).any(axis=0), np.diff(phase.first))
    if not samples.held_out[phase.positions[sent]].any():
        raise BadInput(f"{path}: no held-out traffic sample can be drawn")
