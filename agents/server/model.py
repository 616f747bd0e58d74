"""The server's model: its whole pretraining, what the client side sees of it, and its answers.
Stage 1 of the algorithm; hosted in-process or by an actor, either way this plain class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from agents.federation.ensemble import Teacher
from agents.federation.heads import LastLayer
from agents.models.families import new_model
from agents.models.frozen import Weights, weights_of
from agents.models.last_layer import last_layer
from agents.models.snapshots import State, remembered, remind
from agents.models.training import classifier_step, optimiser_of, read, require_finite, to_tensor
from agents.plan import Plan
from agents.server.imitating import Imitation, imitate
from agents.server.online import ReplayBuffer, rejector_round, server_round, trained_views
from agents.server.runnable import Runnable
from agents.server.seen import inputs_of
from agents.server.steps import labelled, rejector_batches, server_batches, steps_seen_by
from sim.messages import TrainingRound
from sim.streams import key, stream


@dataclass(frozen=True)
class Trajectory:
    """What pretraining left behind.

    correct: for each of `Plan.intervals`, step and `Plan.rejector_views` 1[e(x)=y] over the samples of that
    step's `rejector_batches`, e being the copy that the client side then holds; bool (intervals, steps,
    views, batch), or grades, float32. loss, accuracy: float64 (epochs,), means over an epoch's batches; of no
    epoch where the server is given, or no sample has a label.
    """

    correct: NDArray[np.generic]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True)
class ServerUpdate:
    """What a round made: label, the new version's answers on the sample axis, int16 (n,); correct, by view
    1[e(x)=y] of the rejectors' batches, bool (steps, batch); loss and accuracy, means over the round's
    batches before each step, NaN if it had none. Of several models each has them as its first axis.
    """

    label: NDArray[np.int16]
    correct: dict[int, NDArray[np.bool_]]
    loss: float | NDArray[np.float64]
    accuracy: float | NDArray[np.float64]


class ServerModel:
    """A classifier e that all clients share: the one there is, or one of several, each with its own draws.

    sent: what a sample of `Plan.server_pool` weighs in its loss beside what its view does, float32 (pool,);
    None: all alike (`agents.server.specialising`).
    """

    def __init__(self, plan: Plan, model: int = 0) -> None:
        """model: its place among the servers' models."""
        self._plan, self._place = plan, model
        name, asked = list(plan.scenario.server_models.items())[model]
        self._name = (name,) if len(plan.scenario.server_models) > 1 else ()
        self._told = " ".join(["server", *self._name])
        self.sent: NDArray[np.float32] | None = None
        seed = key(plan.scenario.seed, "server model", *self._name)
        self._seen, shape = inputs_of(plan, model)
        self._model = new_model(asked.family, shape, plan.data.classes, seed, asked.image_size)
        pretrain = plan.scenario.training.pretrain
        self._optimiser = optimiser_of(pretrain, self._model.parameters(), pretrain.server_lr, fused=True)
        self._replay = ReplayBuffer.nothing()
        self._epochs: Iterator[Trajectory | None] = self._pretraining()

    def imitate(self, teacher: Teacher) -> dict[str, Imitation]:
        """Begins with what clients together say, before `pretrain`; by its name what came of it."""
        name = self._name[0] if self._name else "model"
        return {name: imitate(self._model, self._seen, self._plan, teacher, self._told, *self._name)}

    def pretrain(self, epochs: int | None = None) -> Trajectory | None:
        """Goes on for some epochs, all by default; what pretraining left behind after the last, None before.

        An epoch a call lets whoever asks tell of progress, also where the server lives in another process.
        Raises RunFailed if the loss diverges.
        """
        *_, trajectory = [None, *islice(self._epochs, epochs)]
        if trajectory is not None:
            self._epochs = iter(())  # what is over need not be kept
        return trajectory

    def _pretraining(self) -> Iterator[Trajectory | None]:
        """Trains on the server's pool, and looks at the rejectors' batches as their copies of it would.

        A batch takes pool samples in a keyed order, each seen in one of `Plan.sent_views` drawn uniformly:
        the server practises on what clients will send, and every view counts alike however many send it.
        Steps do not grow with the number of views. A sample weighs as much as those who send its view.
        A copy is asked only about the steps in which it is in force. Where no sample has a label it stays as
        it began.
        """
        pretrain, per_epoch = self._plan.scenario.training.pretrain, self._plan.steps_per_epoch
        views = np.array(self._plan.sent_views, dtype=np.int32)
        view_draws = stream(self._plan.scenario.seed, "server views", *self._name)
        batches = server_batches(self._plan, *self._name)
        curve = np.zeros((pretrain.epochs, per_epoch, 2))
        seen = SeenByClients(self._plan)
        self._record_copies(seen, version=0)
        learns = len(labelled(self._plan)) > 0
        for step in range(self._plan.steps):
            if learns:
                curve[divmod(step, per_epoch)] = self._pretraining_step(
                    step, next(batches), views, view_draws
                )
            self._record_copies(seen, version=step + 1)
            if step + 1 == self._plan.steps:
                curves = curve.mean(axis=1).T.copy() if learns else np.empty((2, 0))
                yield Trajectory(seen.correct, *curves)
            elif (step + 1) % per_epoch == 0:
                yield None

    def _pretraining_step(
        self,
        step: int,
        places: NDArray[np.int64],
        views: NDArray[np.int32],
        view_draws: np.random.Generator,
    ) -> tuple[float, float]:
        """Loss and accuracy of a batch of these places in the pool, before the step."""
        base = self._plan.server_pool[places]
        drawn = view_draws.choice(views, size=len(base))
        chosen = (base + drawn * np.int32(self._plan.data.size)).astype(np.int32)
        weights = self._plan.weight_of_view[drawn]
        loss, accuracy = self._step(chosen, weights if self.sent is None else weights * self.sent[places])
        require_finite(loss, "learn", f"{self._told}, pretraining", f"the loss is {loss} at step {step}")
        return loss, accuracy

    def train_round(self, training_round: TrainingRound) -> ServerUpdate:
        """A round of training during the run; then what the new version says.

        It goes on where pretraining ended, its optimiser's memory included. Raises RunFailed if it diverges.
        """
        plan, version = self._plan, training_round.version
        self._replay = self._replay.with_round(plan, training_round, self._place)
        curve = []
        for step, batch in enumerate(server_round(plan, version, self._replay, *self._name)):
            curve.append(self._step(*batch))
            problem = f"the loss is {curve[-1][0]} at step {step}"
            require_finite(curve[-1][0], "learn", f"{self._told}, version {version}", problem)
        loss, accuracy = np.mean(curve, axis=0).tolist() if curve else (np.nan, np.nan)
        return ServerUpdate(self.labels(), self._rightness(training_round), loss, accuracy)

    def as_it_is(self, training_round: TrainingRound) -> ServerUpdate:
        """What it says in a round that does not train it."""
        return ServerUpdate(self.labels(), self._rightness(training_round), np.nan, np.nan)

    def labels(self) -> NDArray[np.int16]:
        """The model's answers on the sample axis, int16 (n,). Raises RunFailed if one is no number."""
        logits = self._logits(self._plan.samples.sample_id)
        require_finite(logits.numpy(), "decide", self._told, "an answer is not a finite number")
        return _labels(logits)

    def confidence(self) -> NDArray[np.float32]:
        """The largest probability of the model's softmax on the sample axis, float32 (n,), NaN where not held
        out: nobody asks there."""
        samples = self._plan.samples
        logits = self._logits(samples.sample_id[samples.held_out])
        sure = np.full(len(samples.sample_id), np.nan, dtype=np.float32)
        sure[samples.held_out] = logits.softmax(dim=1).amax(dim=1).numpy()
        return sure

    def last_layer(self) -> LastLayer:
        """What it makes of the sample axis before its last layer, and that layer."""
        features = read(self._model, self._seen[self._plan.samples.sample_id]).features
        weight, bias = (one.detach().numpy().copy() for one in last_layer(self._model))
        return LastLayer(features.numpy(), weight, bias)

    def chances(self, sample_ids: NDArray[np.int32]) -> NDArray[np.float64]:
        """The probability of each sample's own class by the softmax as it is now, float64 (n,)."""
        shares = self._logits(sample_ids).double().softmax(dim=1)
        own: NDArray[np.float64] = shares.numpy()[np.arange(len(sample_ids)), self._plan.labels(sample_ids)]
        return own

    def state(self) -> State:
        """What the rounds to come depend on besides their messages."""
        return {
            "weights": weights_of(self._model),
            "optimiser": remembered(self._optimiser, list(self._model.parameters())),
            "replay": {"sample_id": self._replay.sample_id, "weight": self._replay.weight},
        }

    def to_run(self) -> Runnable:
        """The model as it is now, with what it sees of the sample axis."""
        asked = list(self._plan.scenario.server_models.values())[self._place]
        inputs = np.ascontiguousarray(self._seen[self._plan.samples.sample_id])
        classes, weights = self._plan.data.classes, weights_of(self._model)
        return Runnable(asked.family, inputs.shape[1:], classes, asked.image_size, weights, inputs)

    def restore(self, state: State) -> None:
        """Goes on where `state` was taken, of the same plan."""
        weights: Weights = state["weights"]
        self._model.load_state_dict({name: to_tensor(array) for name, array in weights.items()})
        remind(self._optimiser, list(self._model.parameters()), state["optimiser"])
        self._replay = ReplayBuffer(state["replay"]["sample_id"], state["replay"]["weight"])

    def _step(self, sample_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> tuple[float, float]:
        self._model.train()
        labels = to_tensor(self._plan.labels(sample_ids).astype(np.int64))
        images = to_tensor(self._seen[sample_ids])
        weights_given = to_tensor(weights) if (weights != weights[0]).any() else None
        return classifier_step(self._model, self._optimiser, images, labels, weights_given)

    def _rightness(self, training_round: TrainingRound) -> dict[int, NDArray[np.bool_]]:
        """1[e(x)=y] of the samples that rejectors will train on, by view, bool (steps, batch)."""
        asked, batches = np.unique(rejector_round(self._plan, training_round.version), return_inverse=True)
        right_by_view = {}
        for view in trained_views(self._plan, training_round):
            sample_ids = self._plan.in_view(self._plan.rejector_pool[asked], view)
            right = _labels(self._logits(sample_ids)) == self._plan.labels(sample_ids)
            right_by_view[view] = right[batches]
        return right_by_view

    def _record_copies(self, seen: SeenByClients, version: int) -> None:
        """Answers for every copy that is taken of this version."""
        for place, steps, sample_ids in seen.asks(version):
            seen.record(place, steps, _labels(self._logits(sample_ids)) == self._plan.labels(sample_ids))

    def _logits(self, sample_ids: NDArray[np.int32]) -> Tensor:
        return read(self._model, self._seen[sample_ids]).logits


class SeenByClients:
    """Which samples each copy of the server is asked about, and whether it was right on them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._batches = (
            rejector_batches(plan) if plan.intervals else np.zeros((plan.steps, 0), dtype=np.int64)
        )
        shape = (len(plan.intervals), plan.steps, len(plan.rejector_views), self._batches.shape[1])
        self.correct = np.zeros(shape, dtype=np.bool_)

    def asks(self, version: int) -> Iterator[tuple[int, range, NDArray[np.int32]]]:
        """For each interval whose copy is taken of this version: its place, the steps in which the copy is in
        force, and the sample_ids of their batches, each once and in every view."""
        for place, interval in enumerate(self._plan.intervals):
            steps = steps_seen_by(version, interval, self._plan.steps)
            if steps:
                base = self._plan.rejector_pool[np.unique(self._batches[steps.start : steps.stop])]
                views = self._plan.rejector_views
                yield place, steps, np.concatenate([self._plan.in_view(base, view) for view in views])

    def record(self, place: int, steps: range, right: NDArray[np.bool_]) -> None:
        """The answers to an ask."""
        batches = self._batches[steps.start : steps.stop]
        known = np.unique(batches)
        of_views = right.reshape(len(self._plan.rejector_views), len(known))
        at = np.searchsorted(known, batches)
        self.correct[place, steps.start : steps.stop] = of_views[:, at].swapaxes(0, 1)


def _labels(logits: Tensor) -> NDArray[np.int16]:
    labels: NDArray[np.int16] = logits.argmax(dim=1).numpy().astype(np.int16)
    return labels
