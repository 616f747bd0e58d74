"""From a round's answers to the message a run reads: new tables, and rows of learning curves.
Pure assembly in a fixed order; nothing is learned or drawn here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.backends.client_shard import BlockPractised
from agents.evaluation.answers import Answers
from agents.evaluation.curves import Progress, learning_table
from agents.plan import Block, Plan
from agents.rejectors.scores import is_trained
from agents.server.model import Practised
from sim.messages import Lesson, Update


def after_round(
    answers: Answers, server_label: NDArray[np.int16], practised: Mapping[Block, BlockPractised]
) -> Answers:
    """All models on the sample axis after a round: the new server, and rejectors where some trained."""
    blocks = {
        block: replace(known, score=practised[block].score) if block in practised else known
        for block, known in answers.of_blocks.items()
    }
    return replace(answers, server_label=server_label, of_blocks=blocks)


def update_of(
    plan: Plan, lesson: Lesson, answers: Answers, server: Practised, practised: Mapping[Block, BlockPractised]
) -> Update:
    """The update of a round, given all models after it."""
    changed = {block.group for block in practised}
    score = []
    for place, group in enumerate(plan.scenario.fleet):
        follows = place in changed if is_trained(group.policy.score) else group.policy.score == "oracle"
        score.append(answers.score_in_force(place) if follows else None)
    return Update(server.label, tuple(score), _learning(plan, lesson, server, practised))


def _learning(
    plan: Plan, lesson: Lesson, server: Practised, practised: Mapping[Block, BlockPractised]
) -> dict[str, list[object]]:
    """A row for the server, and one for each group in which rejectors trained: steps since the first of
    pretraining, were every round theirs; the instant at which the server's version comes into force."""
    online = plan.scenario.training.online
    assert online is not None
    unknown = np.full(1, np.nan)

    def row(stage: str, group: str, steps: int, loss: float, accuracy: float) -> Progress:
        step = np.array([plan.steps + lesson.version * steps])
        return Progress(stage, group, step, np.array([loss]), np.array([accuracy]), unknown)

    curves = [row("server", "", online.steps, server.loss, server.accuracy)]
    for place, group in enumerate(plan.scenario.fleet):
        parts = [made for block, made in practised.items() if block.group == place]
        if parts:
            loss = sum(part.loss for part in parts) / sum(part.rows for part in parts)
            curves.append(row("rejector", group.group, online.rejector_steps, loss, np.nan))
    table = learning_table(curves)
    return table | {"at_s": [lesson.in_force_at_s] * len(curves)}
