"""A shard: hosts the frozen models and rejector blocks that one process works on, of several groups at once.
Trains its share of the models, its blocks, and scores the sample axis; a plain class, with or without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agents.data.tables import score_of
from agents.evaluation.curves import Right
from agents.federation.merging import Numbers, Uploads
from agents.models.frozen import (
    FrozenClient,
    Weights,
    hash_of,
    live_model,
    owner,
    recipe_for,
    stacks,
    train,
)
from agents.models.given import GivenAnswers
from agents.models.outputs import FrozenModel, frozen_weights, output_of
from agents.models.own_models import SaidOnce
from agents.models.snapshots import State
from agents.models.training import Tick, quietly, require_finite
from agents.options import options_of
from agents.plan import Block, Plan, Variant
from agents.rejectors.block_answers import BlockAnswers, answers_of, own_scores
from agents.rejectors.blocks import RejectorBlock
from agents.rejectors.client_predictions import ClientPredictions, temperature_of
from agents.rejectors.scores import OF_CLIENTS, Evidence
from agents.server.online import traffic_view_at, training_rows
from sim.errors import RunFailed
from sim.messages import TrainingRound
from sim.registry.scores import SCORES
from sim.scenario.files.answers import are_probabilities


@dataclass(frozen=True)
class ModelAnswers:
    """A frozen model on the sample axis: labels int16 (n,), -1 where answers are graded; by name the scores
    made from it, (n,); right: bool (n,), or the grades, float32."""

    labels: NDArray[np.int16]
    scores: dict[str, NDArray[np.float32]]
    right: Right


@dataclass(frozen=True)
class BlockUpdate:
    """A block after a round: the scores of the run's own rows, float32 (own rows, n); the sum of the mean
    losses of those that trained, and their number."""

    score: NDArray[np.float32]
    loss: float
    rows: int


class ClientShard:
    """Frozen models and rejectors of a part of the fleet."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._models: dict[Variant, FrozenModel] = {}
        self._blocks: dict[Block, RejectorBlock] = {}
        self._predictions = ClientPredictions(plan, self._models)

    def train_clients(self, variants: Sequence[Variant], tick: Tick = quietly) -> list[FrozenClient]:
        """The frozen clients of `variants`, in that order, trained from scratch."""
        frozen: dict[Variant, FrozenClient] = {}
        for alike in stacks(self._plan, variants):
            made = train([recipe_for(self._plan, variant) for variant in alike])
            frozen.update(zip(alike, made, strict=True))
            tick(len(frozen), len(variants))
        return [frozen[variant] for variant in variants]

    def adopt(self, variants: Sequence[Variant], weights: Mapping[Variant, Weights]) -> None:
        """Makes live, frozen models of `variants` out of the whole fleet's weights."""
        for variant in variants:
            if self._plan.given is not None:
                self._models[variant] = GivenAnswers(weights[variant])
            elif self._plan.is_brought(variant.group):
                self._models[variant] = SaidOnce(weights[variant])
            else:
                self._models[variant] = live_model(self._plan, variant, weights[variant])

    def wrong(self, variants: Sequence[Variant]) -> list[NDArray[np.bool_]]:
        """On which samples of the server's pool, as their group's requests show it, each of `variants` is
        wrong, (pool,)."""
        plan = self._plan
        asked = {v: plan.in_view(plan.server_pool, plan.traffic_view(v.group)) for v in variants}
        return [~output_of(self._models[v], plan, asked[v]).right.numpy() for v in variants]

    def says(self, variants: Sequence[Variant], base_ids: NDArray[np.int32]) -> list[NDArray[np.float32]]:
        """The logits of each of `variants` on samples as their group's requests show them, (n, classes).
        Raises RunFailed if one is no number."""
        found = []
        for variant in variants:
            asked = self._plan.in_view(base_ids, self._plan.traffic_view(variant.group))
            logits = output_of(self._models[variant], self._plan, asked).logits.numpy()
            require_finite(logits, "learn", owner(self._plan, variant), "an answer is not a finite number")
            found.append(logits)
        return found

    def learn(
        self, blocks: Sequence[Block], correct: NDArray[np.bool_], tick: Tick = quietly
    ) -> list[NDArray[np.float64]]:
        """Trains the rejectors of `blocks` on what their copies of the server answer, as in `Trajectory`; per
        block the losses (epochs, rows)."""
        losses = []
        for done, block in enumerate(blocks, start=1):
            self._blocks[block] = RejectorBlock(self._plan, block, self._predictions)
            losses.append(self._blocks[block].learn(correct))
            tick(done, len(blocks))
        self._predictions.forget()
        return losses

    def answer(
        self, variants: Sequence[Variant], server_right: Right, tick: Tick = quietly
    ) -> list[ModelAnswers]:
        """What each of `variants` makes of the sample axis. server_right: (n,), of several models (models,
        n)."""
        answers = []
        for done, variant in enumerate(variants, start=1):
            answers.append(self._answer(variant, server_right))
            tick(done, len(variants))
        return answers

    def score(self, blocks: Sequence[Block], server_right: Right) -> list[BlockAnswers]:
        """What the rejectors of each block decide. server_right: on the sample axis, as in `answer`."""
        answers = [answers_of(self._plan, block, self._blocks[block], server_right) for block in blocks]
        self._predictions.forget()
        return answers

    def train_round(
        self,
        blocks: Sequence[Block],
        training_round: TrainingRound,
        correct: Mapping[int, NDArray[np.bool_]],
        server_right: Right,
    ) -> list[BlockUpdate | None]:
        """Trains rejectors against a new version of the server, and scores; None for a block where none does.

        correct: as `ServerUpdate`; server_right: whether that version is right on the sample axis, (n,), of
        several models (models, n).
        """
        made: list[BlockUpdate | None] = []
        on_feedback = self._plan.scenario.learns_from_answers
        for block in blocks:
            rejectors = self._blocks[block]
            if on_feedback:
                rejectors.add_feedback(training_round)
            trains = (
                rejectors.rows_with_feedback(training_round)
                if on_feedback
                else training_rows(self._plan, block, training_round)
            )
            if not trains.any():
                made.append(None)
                continue
            if on_feedback:
                trained, losses = rejectors.train_on_feedback(training_round)
            else:
                view = traffic_view_at(self._plan, block.group, training_round.in_force_at_s)
                trained, losses = rejectors.train_round(training_round, view, correct[view])
            score = own_scores(self._plan, block, rejectors, server_right)
            made.append(BlockUpdate(score, float(losses[trained].sum()), int(trained.sum())))
        self._predictions.forget()
        return made

    def uploads(self, blocks: Sequence[Block]) -> list[Uploads]:
        """What the rejectors of each block share with others."""
        return [self._blocks[block].uploads() for block in blocks]

    def take_merged(
        self,
        blocks: Sequence[Block],
        merged: Sequence[tuple[NDArray[np.bool_], Numbers]],
        server_right: Right,
    ) -> list[BlockUpdate | None]:
        """Puts what came of a merge into some rows of each block, and scores; None where no row gets any."""
        made: list[BlockUpdate | None] = []
        for block, (rows, numbers) in zip(blocks, merged, strict=True):
            if not rows.any():
                made.append(None)
                continue
            rejectors = self._blocks[block]
            rejectors.take_merged(rows, numbers)
            score = own_scores(self._plan, block, rejectors, server_right)
            made.append(BlockUpdate(score, 0.0, 0))
        self._predictions.forget()
        return made

    def state(self, blocks: Sequence[Block]) -> list[State]:
        """What the rounds to come of these blocks depend on besides their messages."""
        return [self._blocks[block].state() for block in blocks]

    def restore(self, blocks: Sequence[Block], states: Sequence[State]) -> None:
        """Goes on where `state` was taken, of the same plan; comes after `adopt`."""
        for block, state in zip(blocks, states, strict=True):
            if block not in self._blocks:
                self._blocks[block] = RejectorBlock(self._plan, block, self._predictions)
            self._blocks[block].restore(state)
        self._predictions.forget()

    def own_scores(self, blocks: Sequence[Block], server_right: Right) -> list[NDArray[np.float32]]:
        """The scores of the run's own rows of each block, as they are now, float32 (own rows, n).
        server_right: as the server is now."""
        scores = [own_scores(self._plan, block, self._blocks[block], server_right) for block in blocks]
        self._predictions.forget()
        return scores

    def hashes(self) -> dict[Variant, str]:
        """The weight hashes of the live models, as they are now."""
        return {variant: hash_of(frozen_weights(model)) for variant, model in self._models.items()}

    def _answer(self, variant: Variant, server_right: Right) -> ModelAnswers:
        plan, group = self._plan, self._plan.scenario.fleet[variant.group]
        made = output_of(self._models[variant], plan, plan.samples.sample_id)
        require_finite(
            made.logits.numpy(), "decide", owner(plan, variant), "an answer is not a finite number"
        )
        is_given = SCORES[group.policy.score].is_given and plan.given is not None
        own = score_of(plan.given, group, variant.number) if is_given and plan.given else None
        logits = made.logits.double()
        partition = torch.logsumexp(logits, dim=1).numpy()
        evidence = Evidence(
            log_probabilities=torch.log_softmax(logits, dim=1).numpy(),
            log_partition=partition,
            temperature=temperature_of(plan, variant, lambda at: made.logits[at]),
            client_correct=made.right.numpy(),
            server_correct=options_of(plan.scenario, variant.group)[0].of(server_right),
            c_1=plan.scenario.costs.c_1,
            given=None if own is None else own[plan.samples.base_id],
        )
        lacking = set()
        if not made.logits.shape[1]:
            lacking = {"probability", "logits"}
        elif are_probabilities(partition):
            lacking = {"logits"}
        if SCORES[group.policy.score].needs in lacking:
            needed = f"{group.policy.score} needs {SCORES[group.policy.score].needs}, which it does not give"
            raise RunFailed("decide", f"{owner(plan, variant)}: {needed}")
        names = [name for name in OF_CLIENTS if SCORES[name].needs not in lacking]
        scores = {name: OF_CLIENTS[name](evidence) for name in names if is_given or not SCORES[name].is_given}
        return ModelAnswers(made.answer.numpy().astype(np.int16), scores, made.right.numpy())
