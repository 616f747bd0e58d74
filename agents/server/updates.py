"""From a round's answers to the message a run reads: new tables, and rows of learning curves.
Pure assembly in a fixed order; nothing is learned or drawn here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.backends.client_shard import BlockUpdate
from agents.evaluation.answers import Answers
from agents.evaluation.curves import LearningCurve, learning_table
from agents.plan import Block, Plan
from agents.rejectors.scores import is_trained
from agents.server.model import ServerUpdate
from agents.server.online import steps_in_round
from sim.messages import TrainingRound, Update


def after_round(
    answers: Answers, server_label: NDArray[np.int16], block_updates: Mapping[Block, BlockUpdate]
) -> Answers:
    """All models on the sample axis after a round: the server, and rejectors where some changed."""
    blocks = {
        block: replace(known, score=block_updates[block].score) if block in block_updates else known
        for block, known in answers.of_blocks.items()
    }
    return replace(answers, server_label=server_label, of_blocks=blocks)


def update_of(
    plan: Plan,
    training_round: TrainingRound | None,
    answers: Answers,
    server: ServerUpdate | None,
    block_updates: Mapping[Block, BlockUpdate],
) -> Update:
    """The update of a round, given all models after it. server: None where it learned nothing;
    training_round: None where nothing was trained, but merged."""
    changed = {block.group for block in block_updates}
    score = []
    for place, group in enumerate(plan.scenario.fleet):
        if is_trained(group.policy.score):
            follows = place in changed
        else:  # what it sends depends on the server, or its threshold does
            follows = server is not None and (group.policy.score == "oracle" or group.policy.price.is_chosen)
        score.append(answers.score_in_force(place) if follows else None)
    label = None if server is None else server.label
    rows = _learning(plan, training_round, server, block_updates) if training_round else learning_table([])
    return Update(label, tuple(score), rows)


def _learning(
    plan: Plan,
    training_round: TrainingRound,
    server: ServerUpdate | None,
    block_updates: Mapping[Block, BlockUpdate],
) -> dict[str, list[object]]:
    """A row for each model of the servers that learned, and one for each group in which rejectors trained:
    steps since the first of pretraining, were every round theirs (of several models those are their own); the
    instant at which the version comes into force."""
    online = plan.scenario.training.online
    unknown = np.full(1, np.nan)

    def row(
        stage: str,
        group: str,
        steps: int,
        loss: float,
        accuracy: float,
        version: int = training_round.version,
    ) -> LearningCurve:
        step = np.array([plan.steps + version * steps])
        return LearningCurve(stage, group, step, np.array([loss]), np.array([accuracy]), unknown)

    curves = []
    if server is not None and online is not None:
        names = list(plan.scenario.server_models) if training_round.makes else [""]
        losses, accuracies = np.atleast_1d(server.loss), np.atleast_1d(server.accuracy)
        for model, version in training_round.makes or ((0, training_round.version),):
            made = float(losses[model]), float(accuracies[model])
            curves.append(row("server", names[model], online.steps, *made, version))
    for place, group in enumerate(plan.scenario.fleet):
        parts = [made for block, made in block_updates.items() if block.group == place]
        if parts:
            loss = sum(part.loss for part in parts) / sum(part.rows for part in parts)
            curves.append(row("rejector", group.group, steps_in_round(plan), loss, np.nan))
    table = learning_table(curves)
    return table | {"at_s": [training_round.in_force_at_s] * len(curves)}
