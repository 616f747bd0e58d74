"""The server's model: its whole pretraining trajectory, and its answers.
Stage 1 of the algorithm; hosted in-process or by an actor, either way this plain class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.families import new_model
from agents.plan import Plan
from agents.training import Tick, batch_order, classifier_step, quietly, read, require_finite, to_tensor
from sim.streams import key, stream


@dataclass(frozen=True)
class Trajectory:
    """What pretraining left behind.

    correct: 1[e_t(x)=y] after t = 0, 1, ... steps over the rejector pool in each of `Plan.rejector_views`,
    bool (steps + 1, views, n). loss, accuracy: float64 (epochs,), means over an epoch's batches.
    """

    correct: NDArray[np.bool_]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]


class ServerModel:
    """The one classifier e that all clients share."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        asked = plan.scenario.server.model
        seed = key(plan.scenario.seed, "server model")
        shape, classes = plan.data.image_shape, plan.data.classes
        self._model = new_model(asked.family, shape, classes, seed, asked.image_size)

    def pretrain(self, tick: Tick = quietly) -> Trajectory:
        """Trains on the server pool and records, before the first and after each step, where e is right.

        A batch takes pool samples in a keyed order, each seen in one of `Plan.sent_views` drawn uniformly:
        the server practises on what clients will send, and every view counts alike however many send it.
        Steps do not grow with the number of views. Raises RunFailed if the loss diverges.
        """
        pretrain, per_epoch = self._plan.scenario.training.pretrain, self._plan.steps_per_epoch
        optimiser = torch.optim.Adam(self._model.parameters(), lr=pretrain.server_lr)
        seed, views = self._plan.scenario.seed, np.array(self._plan.sent_views, dtype=np.int32)
        order = batch_order([stream(seed, "server order")], len(self._plan.pools.server), pretrain.batch)
        view_draws = stream(seed, "server views")
        curve = np.zeros((pretrain.epochs, per_epoch, 2))
        correct = [self._right_on_rejector_pool()]
        for step in range(pretrain.epochs * per_epoch):
            base = self._plan.pools.server[next(order)[0]]
            chosen = base + view_draws.choice(views, size=len(base)) * np.int32(self._plan.data.size)
            loss, accuracy = self._step(optimiser, chosen)
            require_finite(loss, "learn", "server, pretraining", f"the loss is {loss} at step {step}")
            curve[divmod(step, per_epoch)] = loss, accuracy
            correct.append(self._right_on_rejector_pool())
            if (step + 1) % per_epoch == 0:
                tick((step + 1) // per_epoch, pretrain.epochs)
        return Trajectory(np.stack(correct), *curve.mean(axis=1).T.copy())

    def labels(self) -> NDArray[np.int16]:
        """The model's answers on the sample axis, int16 (n,). Raises RunFailed if one is no number."""
        logits = self._logits(self._plan.samples.sample_id)
        require_finite(logits.numpy(), "decide", "server", "an answer is not a finite number")
        return _labels(logits)

    def _step(self, optimiser: torch.optim.Optimizer, sample_ids: NDArray[np.int32]) -> tuple[float, float]:
        self._model.train()
        labels = to_tensor(self._plan.labels(sample_ids).astype(np.int64))
        return classifier_step(self._model, optimiser, to_tensor(self._plan.images[sample_ids]), labels)

    def _right_on_rejector_pool(self) -> NDArray[np.bool_]:
        pool, views = self._plan.pools.rejector, self._plan.rejector_views
        if not views:
            return np.zeros((0, len(pool)), dtype=np.bool_)
        sample_ids = np.concatenate([self._plan.in_view(pool, view) for view in views])
        right: NDArray[np.bool_] = _labels(self._logits(sample_ids)) == self._plan.labels(sample_ids)
        return right.reshape(len(views), len(pool))

    def _logits(self, sample_ids: NDArray[np.int32]) -> Tensor:
        return read(self._model, self._plan.images[sample_ids]).logits


def _labels(logits: Tensor) -> NDArray[np.int16]:
    labels: NDArray[np.int16] = logits.argmax(dim=1).numpy().astype(np.int16)
    return labels
