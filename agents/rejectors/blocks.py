"""A block: up to 64 rejectors of one group and score, trained on what their copies of the server answer.
The unit of work that shards share out; what a block computes does not depend on where it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.federation.merging import Numbers, Uploads, starts_of
from agents.federation.pace import Pace
from agents.federation.shared import Precision, numbers_of, put, shared_tensors
from agents.models.snapshots import State, remembered, remind, rows_kept
from agents.models.training import SMALLER, optimiser_of, require_finite, to_tensor
from agents.options import costs_for
from agents.plan import Block, Plan
from agents.rejectors.client_predictions import ClientPredictions
from agents.rejectors.feedback import Feedback
from agents.rejectors.feedback_buffer import FeedbackBuffer
from agents.rejectors.inputs import INPUTS, RejectorInput, scale_of
from agents.rejectors.option_losses import OptionTargets
from agents.rejectors.option_surrogates import surrogate_of
from agents.rejectors.scores import bayes_price
from agents.rejectors.stacked import StackedRejectors
from agents.rejectors.surrogates import Client, Targets
from agents.rejectors.told import seen_in_round, told, told_in_round
from agents.server.online import condensing, rejector_round, row_of_client, training_rows
from agents.server.steps import rejector_batches
from sim.errors import RunFailed
from sim.messages import TrainingRound
from sim.registry.families import REJECTOR_FAMILIES
from sim.streams import key, stream

Weigh = Callable[[Tensor, Tensor], Tensor]  # of a step's outputs and samples, what each loss weighs
SCORED_AT_ONCE = 512  # samples, a part of CHUNK; bounds the memory of scoring, 64 rows at a time


class RejectorBlock:
    """The rejectors of one block, and the frozen models that its rows use.

    Inputs are standardised by their mean and spread over the rejectors' pool, as this group's requests show
    it. Weights and draws are keyed by group and owner and not by setting, so that settings are compared
    on common random numbers.
    """

    def __init__(self, plan: Plan, block: Block, predictions: ClientPredictions) -> None:
        self._plan, self._block, self._predictions = plan, block, predictions
        self._group = plan.scenario.fleet[block.group]
        self._owners = plan.owners(block)
        networks = plan.networks(block)
        self.settings = [networks[network] for network in plan.network_of_row(block)]
        variants = plan.variants_of(block)
        self._variants = sorted(set(variants))
        self._model_of_row = torch.tensor([self._variants.index(variant) for variant in variants])
        self._surrogate = surrogate_of(plan, block)
        self._pool = plan.in_view(plan.rejector_pool, plan.traffic_view(block.group))
        starts = starts_of(plan, block).tolist()
        seeds = [key(plan.scenario.seed, "rejector", block.group, start) for start in starts]
        outputs, inputs = self._surrogate.outputs(plan.data.classes), self._inputs(self._pool)
        family = self._group.rejector.family
        self._scale = scale_of(inputs, picture_is_flat=not REJECTOR_FAMILIES[family].convolutions)
        self._rejectors = StackedRejectors(family, inputs, outputs, seeds)
        pretrain = plan.scenario.training.pretrain
        rate, decay = pretrain.rejector_lr, pretrain.rejector_weight_decay
        self._optimiser = optimiser_of(pretrain, self._rejectors.parameters, rate, decay)
        condenses = condensing(plan, block)
        self._feedback_buffer = FeedbackBuffer(row_of_client(plan, block), block.rows, condenses)
        self._shared = shared_tensors(plan, self._rejectors)
        self._precision: Numbers = np.empty((0, 0), dtype=np.float32)
        self._more: Numbers = np.empty((0, 0), dtype=np.float32)  # that uploads have, of unequal devices

    def learn(self, correct: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Trains stage 2 through all steps; returns the mean loss per epoch and row, (epochs, rows).

        correct: as in `Trajectory`. Since stage 1 never looks at rejectors, to go along what was recorded
        *is* the alternating algorithm, not an approximation of it. Raises RunFailed, naming group, owner and
        step, if a loss is no longer a number.
        """
        plan, epochs = self._plan, self._plan.scenario.training.pretrain.epochs
        inputs, client_right = self._scale.apply(self._inputs(self._pool)), self.client_right(self._pool)
        targets = told(plan, self._block, self.settings, client_right, self._pool, correct)
        draws = [
            stream(plan.scenario.seed, "feedback", self._block.group, int(owner)) for owner in self._owners
        ]
        feedback, batches = self._feedback(self._pool, draws), rejector_batches(plan)
        weigh = self._weigh(0.0, feedback)
        losses = self._fit(inputs, targets, to_tensor(batches), weigh, plan.steps_per_epoch)
        means: NDArray[np.float64] = losses.reshape(epochs, -1, self._block.rows).mean(axis=1)
        return means

    def train_round(
        self, training_round: TrainingRound, view: int, correct: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Trains against a new version of the server; which rows did, and their mean losses, both (rows,).

        view: in which requests come now; correct: 1[e(x)=y] of the batches in that view, bool (steps, batch),
        of several models (models, steps, batch).
        The scale of what rejectors take in stays that of pretraining. Rows that do not train keep their
        weights and their optimiser's memory.
        """
        plan, trains = self._plan, training_rows(self._plan, self._block, training_round)
        pool, batches = plan.in_view(plan.rejector_pool, view), rejector_round(plan, training_round.version)
        inputs = self._scale.apply(self._inputs(pool))
        targets = self._told(training_round, pool, seen_in_round(plan, self._block, correct))
        weigh = self._weigh(training_round.in_force_at_s, None)
        with rows_kept(self._optimiser, self._rejectors.parameters, torch.from_numpy(~trains)):
            losses = self._fit(inputs, targets, to_tensor(batches), weigh, len(batches))
        return trains, losses.mean(axis=0)

    def add_feedback(self, training_round: TrainingRound) -> None:
        """Remembers what the clients of these rejectors got since the training round before."""
        self._feedback_buffer.add(training_round.feedback)
        self._feedback_buffer.hand(training_round.handed)

    def rows_with_feedback(self, training_round: TrainingRound) -> NDArray[np.bool_]:
        """Which rows have something to learn from in a training round, bool (rows,)."""
        return training_rows(self._plan, self._block, training_round) & (self._feedback_buffer.answers > 0)

    def train_on_feedback(
        self, training_round: TrainingRound
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Trains on all that its clients got so far; which rows did, and their mean losses, both (rows,).

        Every row draws from its own answers, keyed by owner and version, and each sample's whole loss weighs
        what `FeedbackBuffer` says. Whether the server was right is what it said then, not what it says now.
        """
        plan, trains, version = self._plan, self.rows_with_feedback(training_round), training_round.version
        training, rows = plan.scenario.training, self._block.rows
        pace = Pace(plan, self._block, training_round, self._shared)
        steps, seed, place = pace.most, plan.scenario.seed, self._block.group
        draws = [stream(seed, "online feedback", place, int(owner), version) for owner in self._owners]
        drawn = self._feedback_buffer.batch(steps * training.pretrain.batch, draws)
        batches, right, weights = (
            to_tensor(part.astype(kind)).reshape(rows, steps, -1).swapaxes(0, 1)
            for part, kind in ((drawn.place, "i8"), (drawn.server_correct, "?"), (drawn.weight, "f4"))
        )
        axis = plan.samples.sample_id
        inputs = self._scale.apply(self._inputs(axis))
        targets = self._told(training_round, axis, [right])
        weigh, federation = iter(weights), plan.scenario.federation
        precision = Precision(self._shared) if federation and federation.merge == "laplace" else None
        with rows_kept(self._optimiser, self._rejectors.parameters, torch.from_numpy(~trains)):
            losses = self._fit(
                inputs, targets, batches, lambda _outputs, _samples: next(weigh), steps, precision, pace
            )
        self._more = pace.more()
        if precision is not None:
            self._precision = precision.of(self._feedback_buffer.answers)
        return trains, pace.mean(losses)

    def uploads(self) -> Uploads:
        """What each row shares with others."""
        numbers = numbers_of(self._shared)
        sent = numbers + self._more if len(self._more) else numbers
        return Uploads(sent, self._feedback_buffer.answers, self._precision)

    def take_merged(self, rows: NDArray[np.bool_], numbers: Numbers) -> None:
        """Puts what came of a merge, (those rows, n), into some rows; what is their own stays."""
        put(self._shared, rows, numbers)

    def state(self) -> State:
        """What the rounds to come depend on besides their messages."""
        parameters = self._rejectors.parameters
        return {
            "parameters": [one.detach().numpy().copy() for one in parameters],
            "optimiser": remembered(self._optimiser, parameters),
            "feedback_buffer": self._feedback_buffer.state(),
            "precision": self._precision,
            "more": self._more,
        }

    def restore(self, state: State) -> None:
        """Goes on where `state` was taken, of the same plan."""
        parameters = self._rejectors.parameters
        for one, array in zip(parameters, state["parameters"], strict=True):
            one.data.copy_(to_tensor(array))
        remind(self._optimiser, parameters, state["optimiser"])
        self._feedback_buffer.restore(state["feedback_buffer"])
        self._precision, self._more = state["precision"], state["more"]

    def _fit(
        self,
        inputs: RejectorInput,
        targets: Targets | OptionTargets,
        batches: Tensor,
        weigh: Weigh | None,
        check_every: int,
        precision: Precision | None = None,
        pace: Pace | None = None,
    ) -> NDArray[np.float64]:
        """A step for each batch, (steps, n) for all rows or (steps, rows, n); the losses before it, (steps,
        rows). weigh: given outputs and samples step by step, what each loss weighs, (rows, n)."""
        losses, parameters = np.zeros((len(batches), self._block.rows)), self._rejectors.parameters
        largest = np.zeros_like(losses)  # of the outputs that a loss is of
        for step, samples in enumerate(batches):
            if samples.dim() == 1:
                seen = inputs.of(samples).for_rows(self._model_of_row)
            else:
                seen = inputs.of_each(samples, self._model_of_row)
            outputs = self._rejectors.outputs(seen)
            each = self._surrogate.loss(outputs, targets.batch(step, samples))
            loss = (each if weigh is None else each * weigh(outputs, samples)).mean(dim=1)
            self._optimiser.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            if precision is not None:
                precision.add(samples.shape[-1])
            with pace.only_busy(self._optimiser, parameters, step) if pace else nullcontext():
                self._optimiser.step()
            losses[step] = loss.detach().numpy()
            largest[step] = outputs.detach().abs().flatten(1).amax(dim=1).numpy()
            if (step + 1) % check_every == 0:
                self._require_finite(losses[: step + 1], largest)
        return losses

    def _weigh(self, at_s: float, feedback: Feedback | None) -> Weigh | None:
        """What losses on the pool weigh: by the classes that clients meet at an instant, and by feedback."""
        plan = self._plan
        met = plan.class_weights_at(self._block.group, at_s)
        if met is None:
            return feedback.weights if feedback else None
        labels = plan.labels(plan.rejector_pool)
        of_rows = to_tensor(met[self._owners][:, labels].astype(np.float32))
        if feedback is None:
            return lambda _outputs, samples: of_rows[:, samples]
        return lambda outputs, samples: of_rows[:, samples] * feedback.weights(outputs, samples)

    @torch.no_grad()
    def outputs(self, sample_ids: NDArray[np.int32]) -> Tensor:
        """The rejectors' outputs of samples, float32 (rows, n, outputs).

        Raises RunFailed, naming group and owner, if an output is not a finite number.
        """
        inputs, outputs = self._inputs(sample_ids), []
        for start in range(0, len(sample_ids), SCORED_AT_ONCE):
            samples = torch.arange(start, min(start + SCORED_AT_ONCE, len(sample_ids)))
            part = self._scale.apply(inputs.of(samples))
            outputs.append(self._rejectors.outputs(part.for_rows(self._model_of_row)))
        made = torch.cat(outputs, dim=1)
        for row, of_row in enumerate(made):
            require_finite(of_row.numpy(), "decide", self._name(row), "a score is not a finite number")
        return made

    def client(self, sample_ids: NDArray[np.int32]) -> Client:
        """What each row's frozen model makes of samples."""
        made = self._predictions.of(self._variants, sample_ids)
        return Client(made.answer[self._model_of_row], made.uncertainty[self._model_of_row])

    def client_right(self, sample_ids: NDArray[np.int32]) -> Tensor:
        """Whether each row's frozen model is right, bool (rows, n), or its grades, float32."""
        return self._predictions.of(self._variants, sample_ids).correct[self._model_of_row]

    def _feedback(
        self, sample_ids: NDArray[np.int32], draws: Sequence[np.random.Generator]
    ) -> Feedback | None:
        """Of what the rejectors train on; nothing where every outcome is known. draws: one a row."""
        if (scenario := self._plan.scenario).training.feedback == "full":
            return None
        costs = [costs_for(scenario, self._block.group, each.c_e, each.c_1) for each in self.settings]
        prices = [bayes_price(self._block.score, each.bayes_price) for each in costs]
        return Feedback(
            self._surrogate.score,
            self.client(sample_ids),
            torch.tensor([[each.c_1] for each in self.settings]),
            torch.tensor(prices).nan_to_num(nan=0.0)[:, None],
            scenario.training.exploration,
            draws,
        )

    def _told(
        self, training_round: TrainingRound, sample_ids: NDArray[np.int32], each_seen: Sequence[Tensor]
    ) -> Targets | OptionTargets:
        known = self.client_right(sample_ids), sample_ids, each_seen, training_round.version
        return told_in_round(self._plan, self._block, self.settings, *known)

    def _inputs(self, sample_ids: NDArray[np.int32]) -> RejectorInput:
        """The rejectors' input, a row of features per model, not standardised."""
        sees_pixels, sees_features = INPUTS[self._group.rejector.input]
        features = self._predictions.of(self._variants, sample_ids).features if sees_features else None
        has_pixels = sees_pixels and 0 not in self._plan.data.image_shape
        return RejectorInput(
            to_tensor(self._plan.images[sample_ids]) if has_pixels else None,
            features if features is not None and features.shape[2] else None,
        )

    def _require_finite(self, losses: NDArray[np.float64], largest: NDArray[np.float64]) -> None:
        """Raises RunFailed for the first loss that is not finite: of its batch, or of the one before."""
        for step, row in np.argwhere(~np.isfinite(losses))[:1]:
            most, advice = largest[step, row], SMALLER if step else ""
            broken = f"broken by step {step - 1}" if step else "of outputs that are no numbers"
            why = f"of outputs up to {most:.3g}" if np.isfinite(most) else broken
            what = f"the loss is {losses[step, row]} at step {step}, {why}{advice}"
            raise RunFailed("learn", f"{self._name(row)}: {what}")

    def _name(self, row: int) -> str:
        return f"group {self._group.group}, rejector of {self._group.rejector.per} {self._owners[row]}"
