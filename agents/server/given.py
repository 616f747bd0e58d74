"""A server whose answers are given: nothing is trained, and rejectors learn against it as it is.
Takes the place of `agents.server.model.ServerModel` for a table of answers, and a model that is brought."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.brought_names import server_names
from agents.data.tables import servers_of
from agents.models.given import GivenAnswers, given_weights
from agents.models.outputs import Brought, ModelOutput
from agents.models.own_models import SaidOnce
from agents.models.snapshots import State
from agents.plan import Plan
from agents.server.model import ServerUpdate, Trajectory
from agents.server.steps import rejector_batches
from sim.messages import TrainingRound


class GivenServer:
    """A server's model that is the same at every step, the one there is or one of several."""

    def __init__(self, plan: Plan, model: int = 0) -> None:
        """model: its place among the servers' models."""
        self._plan = plan
        self._model: Brought
        if plan.given is not None:
            self._model = GivenAnswers(given_weights(servers_of(plan.given, plan.scenario)[model]))
        else:
            self._model = SaidOnce(dict(plan.said[server_names(plan.scenario)[model]]))

    def pretrain(self, _epochs: int | None = None) -> Trajectory:
        """What the rejectors see of it: every copy answers alike, so that no loss and no accuracy is told."""
        return self._trajectory

    @cached_property
    def _trajectory(self) -> Trajectory:
        plan = self._plan
        batches = rejector_batches(plan) if plan.intervals else np.zeros((plan.steps, 0), dtype=np.int64)
        right = self._output(plan.rejector_pool).right.numpy()[batches]
        shape = (len(plan.intervals), plan.steps, len(plan.rejector_views), batches.shape[1])
        nothing = np.empty(0)
        return Trajectory(np.broadcast_to(right[None, :, None], shape), nothing, nothing)

    def labels(self) -> NDArray[np.int16]:
        """Its answers on the sample axis, int16 (n,), -1 where they are graded."""
        return self._output(self._plan.samples.sample_id).answer.numpy().astype(np.int16)

    def confidence(self) -> NDArray[np.float32]:
        """As `ServerModel.confidence`; NaN everywhere where no probabilities are known."""
        samples = self._plan.samples
        sure = np.full(len(samples.sample_id), np.nan, dtype=np.float32)
        logits = self._output(samples.sample_id[samples.held_out]).logits
        if logits.shape[1]:
            sure[samples.held_out] = logits.softmax(dim=1).amax(dim=1).numpy()
        return sure

    def train_round(self, _training_round: TrainingRound) -> ServerUpdate:
        raise RuntimeError("a server whose answers are given is not trained")

    def as_it_is(self, _training_round: TrainingRound) -> ServerUpdate:
        raise RuntimeError("a server whose answers are given has no rounds")

    def state(self) -> State:
        """Nothing of it changes."""
        return {}

    def restore(self, _state: State) -> None:
        """Nothing of it changes."""

    def _output(self, sample_ids: NDArray[np.int32]) -> ModelOutput:
        return self._model.output(self._plan, sample_ids)
