"""How many samples of each class every frozen model was trained on, and how many its clients may meet.
The table `partitions` of a run folder, and the warning where the client pool had fewer than was asked for."""

from __future__ import annotations

import numpy as np

from agents.data.partitions import warn_of_shortfall
from agents.plan import Plan


def warn_of_shortfalls(plan: Plan) -> None:
    """Warns of each group whose models have fewer samples to train on than the scenario asks for."""
    for place, (group, drawn) in enumerate(zip(plan.scenario.fleet, plan.trains_on, strict=True)):
        if plan.is_brought(place):
            continue
        warn_of_shortfall(group, plan.data, min(len(sample_ids) for sample_ids in drawn))


def class_counts(plan: Plan) -> dict[str, list[object]]:
    """The columns of `sim.results.columns.PARTITIONS`, a row per group, variant and class of the data set."""
    table: dict[str, list[object]] = {
        name: [] for name in ("group", "variant", "class", "samples", "pool_samples", "traffic_samples")
    }
    if plan.given is not None:
        return table  # what was trained on what, nobody says
    classes = plan.data.classes
    in_pool = np.bincount(plan.data.labels[plan.pools.client], minlength=classes)
    for place, group in enumerate(plan.scenario.fleet):
        if plan.is_brought(place):
            continue
        met = np.bincount(plan.samples.label[plan.traffic[place]], minlength=classes)
        for variant, sample_ids in enumerate(plan.trains_on[place]):
            table["group"] += [group.group] * classes
            table["variant"] += [variant] * classes
            table["class"] += range(classes)
            table["samples"] += np.bincount(plan.labels(sample_ids), minlength=classes).tolist()
            table["pool_samples"] += in_pool.tolist()
            table["traffic_samples"] += met.tolist()
    return table
