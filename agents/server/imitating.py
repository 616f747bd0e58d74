"""Distilling: a server's model learns what a table of probabilities says of samples, before it sees a label.
Called by `agents.server.model` between its initial weights and pretraining."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from agents.federation.ensemble import Teacher
from agents.models.families import Classifier
from agents.models.frozen import weights_of
from agents.models.optimisers import Adam, Optimiser
from agents.models.training import batch_order, read, require_finite, to_tensor
from agents.plan import Plan
from agents.server.seen import Inputs
from sim.streams import stream


@dataclass(frozen=True)
class Imitation:
    """What came of it. epochs: passes that were made; kept: after how many the weights were taken, 0: the
    initial ones; kl_before, kl: mean KL(teacher || model) in nats on the calibration pool, initially and as
    kept; agreement: share of that pool on which both have the same largest probability."""

    epochs: int
    kept: int
    kl_before: float
    kl: float
    agreement: float


def imitate(
    model: Classifier, inputs: Inputs, plan: Plan, teacher: Teacher, told: str, *name: str
) -> Imitation:
    """Trains by KL(teacher || model) at temperature 1: Adam, its rate falling by a cosine over all epochs, a
    batch of the server's pool a step, each sample in one of `Plan.sent_views` drawn uniformly, as pretraining
    has it (Lin et al. 2020, arXiv 2006.07242, algorithm 3). No label is looked at. inputs: what it sees
    of samples. name: as of its draws.

    After each epoch the calibration pool is asked in all these views; it stops once that has been no better
    for `patience` epochs, and keeps the best weights there were. Raises RunFailed if the loss diverges.
    """
    asked = plan.scenario.training.warm_start
    assert asked is not None
    optimiser = Adam(model.parameters(), asked.lr, fused=True)
    views = np.array(plan.sent_views, dtype=np.int32)
    drawn = stream(plan.scenario.seed, "imitation views", *name)
    order = [stream(plan.scenario.seed, "imitation order", *name)]
    batches = batch_order(order, len(plan.server_pool), plan.scenario.training.pretrain.batch)
    per_epoch = -(-len(plan.server_pool) // plan.scenario.training.pretrain.batch)
    before, agreement = _held_against(model, inputs, plan, teacher)
    best, kept, weights, epochs = before, 0, weights_of(model), 0
    while epochs < asked.epochs and epochs - kept < asked.patience:
        for step in range(epochs * per_epoch, (epochs + 1) * per_epoch):
            done = step / (asked.epochs * per_epoch)
            optimiser.rate = asked.lr * 0.5 * (1.0 + math.cos(math.pi * done))
            places = next(batches)[0]
            seen = plan.server_pool[places] + drawn.choice(views, len(places)) * np.int32(plan.data.size)
            loss = _step(model, optimiser, inputs[seen.astype(np.int32)], teacher.pool[places])
            require_finite(loss, "learn", f"{told}, warm start", f"the loss is {loss} at step {step}")
        epochs += 1
        found, agrees = _held_against(model, inputs, plan, teacher)
        require_finite(found, "learn", f"{told}, warm start", f"the loss is {found} after epoch {epochs}")
        if found < best:
            best, kept, agreement, weights = found, epochs, agrees, weights_of(model)
    model.load_state_dict({key: to_tensor(array) for key, array in weights.items()})
    return Imitation(epochs, kept, before, best, agreement)


def _step(
    model: Classifier,
    optimiser: Optimiser,
    images: NDArray[np.float32],
    chances: NDArray[np.float32],
) -> float:
    model.train()
    logits, _ = model(to_tensor(images))
    loss = _kl(to_tensor(chances), logits)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.item()


def _held_against(model: Classifier, inputs: Inputs, plan: Plan, teacher: Teacher) -> tuple[float, float]:
    """Mean KL on the calibration pool, and how often the largest probability is the same."""
    at = np.concatenate([plan.in_view(plan.pools.calibration, view) for view in plan.sent_views])
    logits = read(model, inputs[at.astype(np.int32)]).logits.double()
    chances = to_tensor(np.tile(teacher.calibration, (len(plan.sent_views), 1))).double()
    same = (logits.argmax(dim=1) == chances.argmax(dim=1)).double().mean().item()
    return _kl(chances, logits).item(), same


def _kl(chances: Tensor, logits: Tensor) -> Tensor:
    """Mean over rows of Σ p·(log p − log softmax), 0·log 0 being 0."""
    return functional.kl_div(torch.log_softmax(logits, dim=1), chances, reduction="batchmean")
