"""What clients' frozen models say of the server's pool, for models of the servers that learn from it before
t = 0: the ensemble that they imitate, and who is wrong where. Asked by `agents.fleet` of its backend."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agents.backends.in_process import Backend
from agents.backends.scattering import gather, scatter
from agents.federation.ensemble import Ensemble, Teacher
from agents.plan import Plan, Variant
from agents.server.imitating import Imitation
from agents.server.steps import labelled
from sim.messages import NUMBER_BYTES


def wrong_of(plan: Plan, backend: Backend) -> list[NDArray[np.float64]]:
    """Per group the share of its clients that are wrong on each sample of the server's pool, (pool,)."""
    calls = [(share,) for share in scatter(plan.variants, backend.shards)]
    wrong = gather(plan.variants, backend.ask_shards("wrong", calls))
    groups = range(len(plan.scenario.fleet))
    by_group = [[wrong[v] for v in plan.variants if v.group == place] for place in groups]
    return [plan.shares(place, len(one)) @ np.stack(one) for place, one in enumerate(by_group)]


def warm_start(plan: Plan, backend: Backend) -> dict[str, list[object]]:
    """Has every model of the servers that is trained imitate the clients; the columns of the table
    `warm_start`, a row for each. Raises RunFailed if a loss diverges."""
    teacher = teacher_of(plan, backend)
    found: Mapping[str, Imitation] = backend.ask_server("imitate", teacher)
    labels = plan.labels(plan.pools.calibration)
    samples, classes = teacher.pool.shape
    uploaded = teacher.clients * NUMBER_BYTES * classes * (samples + len(labels))
    columns: dict[str, list[object]] = {
        "model": list(found),
        "clients": [teacher.clients] * len(found),
        "samples": [samples] * len(found),
        "labelled": [len(labelled(plan))] * len(found),
        "bytes_up": [uploaded] * len(found),
        "ensemble_accuracy": [float((teacher.calibration.argmax(axis=1) == labels).mean())] * len(found),
    }
    for name in ("epochs", "kept", "kl_before", "kl", "agreement"):
        columns[name] = [getattr(one, name) for one in found.values()]
    return columns


def teacher_of(plan: Plan, backend: Backend) -> Teacher:
    """The mean of what clients say of both pools, added up model after model, so that no more of them than
    there are shards are in memory and the sum does not know how many shards there are."""
    asked = plan.scenario.training.warm_start
    assert asked is not None
    ensemble, shards, variants = Ensemble(asked.average), backend.shards, plan.variants
    base = np.concatenate([plan.server_pool, plan.pools.calibration])
    labels = plan.labels(plan.pools.calibration)
    for begin in range(0, len(variants), shards):
        few = variants[begin : begin + shards]
        made = backend.ask_shards("says", [(share, base) for share in scatter(few, shards)])
        for variant, logits in gather(few, made).items():
            weight = float(_clients(plan, variant))
            if asked.weigh == "accuracy":
                right = logits[len(plan.server_pool) :].argmax(axis=1) == labels
                weight *= (right.sum() + 1.0) / (len(right) + 2.0)
            ensemble.add(logits, weight)
    chances = ensemble.chances().astype(np.float32)
    pool, calibration = chances[: len(plan.server_pool)], chances[len(plan.server_pool) :]
    return Teacher(pool, calibration, plan.scenario.clients)


def _clients(plan: Plan, variant: Variant) -> int:
    """How many clients have a frozen model."""
    group = plan.scenario.fleet[variant.group]
    return len(range(variant.number, group.clients, group.model.variants))
