"""What each step of pretraining looks at, and which version of the server the client side sees in it.
The server and every shard work it out for themselves from the plan; nothing of it is sent around."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.models.training import batch_order
from agents.plan import Plan
from sim.streams import stream

Step = TypeVar("Step", int, NDArray[np.int64])


def labelled(plan: Plan) -> NDArray[np.int64]:
    """The places in `Plan.server_pool` whose labels the server learns from, ascending: a keyed draw, each
    larger share holding the smaller ones."""
    n, share = len(plan.server_pool), plan.scenario.training.pretrain.labelled
    order = stream(plan.scenario.seed, "labelled").permutation(n)
    return np.sort(order[: math.ceil(share * n - 1e-9)])


def server_batches(plan: Plan, *model: str) -> Iterator[NDArray[np.int64]]:
    """Endless batches of stage 1: positions in `Plan.server_pool` that have a label, int64 (batch,). model:
    its name, where there are several; with `training.shared_batch` they share theirs."""
    own = () if plan.scenario.training.shared_batch else model
    order = stream(plan.scenario.seed, "server order", *own)
    batch, places = plan.scenario.training.pretrain.batch, labelled(plan)
    return (places[rows[0]] for rows in batch_order([order], len(places), batch))


def rejector_batches(plan: Plan) -> NDArray[np.int64]:
    """The batch of every step of stage 2: positions in `Plan.rejector_pool`, int64 (steps, batch).

    One batch serves all rejectors of the fleet, whatever their group and setting: the paper's algorithm
    with many clients. With `training.shared_batch` it is also the batch of stage 1.
    """
    if plan.scenario.training.shared_batch:
        batches = server_batches(plan)
    else:
        order = stream(plan.scenario.seed, "rejector order")
        batch = plan.scenario.training.pretrain.batch
        batches = (rows[0] for rows in batch_order([order], len(plan.rejector_pool), batch))
    return np.stack([next(batches) for _ in range(plan.steps)])


def copy_in_force(step: Step, interval: int) -> Step:
    """After how many steps of the server the copy was taken that the client side sees in `step`, if it is
    refreshed every `interval` batches. Step t sees version t + 1 where the interval is 1: synchronous.
    """
    return (step + 1) // interval * interval


def staleness(step: Step, interval: int) -> Step:
    """How many steps of the server are behind it that the client side's copy has not seen, in `step`."""
    return step + 1 - copy_in_force(step, interval)


def steps_seen_by(version: int, interval: int, steps: int) -> range:
    """The steps in which a copy taken after `version` steps is in force; none if it is never taken.

    Law: over all versions, these ranges cover every step once, and `copy_in_force` says the same.
    """
    if version % interval:
        return range(0)
    return range(max(version - 1, 0), min(version + interval - 1, steps))
