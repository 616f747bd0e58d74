"""From the learners' answers to the messages a run reads: tables in force, learning and deferral curves.
Pure assembly in a fixed order; nothing is learned or drawn here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.client_shard import ModelAnswers
from agents.curves import (
    Curve,
    Judged,
    Progress,
    deferral_curve,
    deferral_table,
    learning_table,
    random_curve,
)
from agents.frozen import FrozenClient
from agents.plan import Block, Plan, Variant
from agents.scores import SCORES, SHOWN
from agents.server_model import Trajectory
from sim.messages import GroupTables, Tables
from sim.scenario.rates import mean_rate_hz


@dataclass(frozen=True)
class Answers:
    """All models on the sample axis: server_label int16 (n,); per frozen model its answers and scores; per
    block its rejectors' scores, float32 (rows, n).
    """

    server_label: NDArray[np.int16]
    of_models: Mapping[Variant, ModelAnswers]
    of_blocks: Mapping[Block, NDArray[np.float32]]

    def client_label(self, place: int) -> NDArray[np.int16]:
        """The answers of a group's frozen models, int16 (variants, n)."""
        return np.stack([model.labels for variant, model in self.of_models.items() if variant.group == place])

    def score(self, place: int, name: str) -> NDArray[np.float32] | None:
        """A group's score, float32 (rows, n); None if it is drawn per request or was not trained."""
        if SCORES[name].of_client is not None:
            models = [model for variant, model in self.of_models.items() if variant.group == place]
            return np.stack([model.scores[name] for model in models])
        blocks = [rows for block, rows in self.of_blocks.items() if block.group == place]
        if SCORES[name].of_rejectors is None or not blocks:
            return None
        return np.concatenate(blocks)


def tables_in_force(plan: Plan, answers: Answers) -> Tables:
    """What requests look up at t = 0."""
    groups = (
        GroupTables(answers.client_label(place), answers.score(place, group.policy.score))
        for place, group in enumerate(plan.scenario.fleet)
    )
    return Tables(tuple(groups), answers.server_label)


def deferral_of(plan: Plan, answers: Answers) -> dict[str, list[object]]:
    """The deferral table: per score and group, on the held-out samples of the group's own traffic."""
    curves: dict[str, dict[str, Curve]] = {name: {} for name in SHOWN}
    for place, group in enumerate(plan.scenario.fleet):
        for name in SHOWN:
            curve = _curve(plan, answers, place, name)
            if curve is not None:
                curves[name][group.group] = curve
    traffic = {
        group.group: group.clients * mean_rate_hz(plan.scenario, place)
        for place, group in enumerate(plan.scenario.fleet)
    }
    return deferral_table({name: of_groups for name, of_groups in curves.items() if of_groups}, traffic)


def _curve(plan: Plan, answers: Answers, place: int, name: str) -> Curve | None:
    costs, samples = plan.scenario.costs, plan.samples
    held_out = plan.traffic[place][samples.held_out[plan.traffic[place]]]
    label = samples.label[held_out]
    client_correct = answers.client_label(place)[:, held_out] == label
    score = answers.score(place, name)
    variant_of_row, share = _rows(plan, place, len(client_correct) if score is None else len(score))
    judged = Judged(client_correct, answers.server_label[held_out] == label, variant_of_row, share)
    if name == "random":
        return random_curve(judged, costs.c_e, costs.c_1)
    return None if score is None else deferral_curve(score[:, held_out], judged, costs.c_e, costs.c_1)


def _rows(plan: Plan, place: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row of a score its variant, and its share of the group's clients, dealt to rows in turn."""
    clients = plan.scenario.fleet[place].clients
    variant_of_row = np.arange(rows) % len(plan.trains_on[place])
    return variant_of_row, np.bincount(np.arange(clients) % rows, minlength=rows) / clients


def learning_of(
    plan: Plan,
    frozen: Mapping[Variant, FrozenClient],
    trajectory: Trajectory,
    rejector_losses: Mapping[Block, NDArray[np.float64]],
) -> dict[str, list[object]]:
    """The learning table: clients, server, rejectors, a row per epoch, groups averaged over their members."""
    groups = [(place, group.group) for place, group in enumerate(plan.scenario.fleet)]
    epochs = np.arange(1, len(trajectory.loss) + 1) * plan.steps_per_epoch
    curves = []
    for place, name in groups:
        members = [client for variant, client in frozen.items() if variant.group == place]
        loss = np.stack([client.loss for client in members]).mean(axis=0)
        accuracy = np.stack([client.accuracy for client in members]).mean(axis=0)
        curves.append(Progress("client", name, members[0].steps, loss, accuracy))
    curves.append(Progress("server", "", epochs, trajectory.loss, trajectory.accuracy))
    for place, name in groups:
        blocks = [losses for block, losses in rejector_losses.items() if block.group == place]
        if blocks:
            loss = np.concatenate(blocks, axis=1).mean(axis=1)
            curves.append(Progress("rejector", name, epochs, loss, np.full(len(loss), np.nan)))
    return learning_table(curves)
