"""From the learners' answers to the messages a run reads: tables in force, learning and deferral curves.
Pure assembly in a fixed order; nothing is learned or drawn here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.answers import Answers, server_right
from agents.evaluation.curves import (
    Curve,
    LearningCurve,
    deferral_table,
    learning_table,
    random_curve,
)
from agents.evaluation.study_tables import loss_curves, staleness_per_epoch
from agents.models.frozen import FrozenClient
from agents.options import costs_for
from agents.plan import Block, Plan, Variant
from agents.rejectors.scores import in_order
from agents.rejectors.settings import own_setting
from agents.server.model import Trajectory
from sim.messages import GroupTables, Tables
from sim.scenario.rules.rates import mean_rate_hz


def tables_in_force(plan: Plan, answers: Answers) -> Tables:
    """What requests look up at t = 0."""
    groups = (
        GroupTables(answers.client_label(place), answers.score_in_force(place), answers.quality(place))
        for place in range(len(plan.scenario.fleet))
    )
    graded = plan.given is not None and plan.given.is_graded
    right = server_right(plan, answers.server_label).astype(np.float32) if graded else None
    return Tables(tuple(groups), answers.server_label, right)


def deferral_of(plan: Plan, answers: Answers) -> dict[str, list[object]]:
    """The deferral table, at the scenario's own costs: per score and group, on the held-out samples of the
    group's own traffic. Trained scores first, those that some group has; then all that need no training."""
    names = [score.name for score in in_order()]
    curves: dict[str, dict[str, Curve]] = {name: {} for name in names}
    for place, group in enumerate(plan.scenario.fleet):
        evaluations = answers.evaluations[place]
        for name in names:
            own = own_setting(plan.scenario, name)
            if name == "random":
                cost_model = costs_for(plan.scenario, place, own.c_e, own.c_1)
                held_out = answers.held_out_set(place, cost_model)
                curves[name][group.group] = random_curve(held_out, cost_model)
            elif own in evaluations:
                curves[name][group.group] = evaluations[own].curve
    traffic = {
        group.group: group.clients * mean_rate_hz(plan.scenario, place)
        for place, group in enumerate(plan.scenario.fleet)
    }
    return deferral_table({name: of_groups for name, of_groups in curves.items() if of_groups}, traffic)


def learning_of(
    plan: Plan,
    frozen: Mapping[Variant, FrozenClient],
    trajectory: Trajectory,
    rejector_losses: Mapping[Block, NDArray[np.float64]],
) -> dict[str, list[object]]:
    """The learning table: clients, server, rejectors in the run's own setting, a row per epoch, groups
    averaged over their members. Of several models of the servers `group` is the name."""
    groups = [(place, group.group) for place, group in enumerate(plan.scenario.fleet)]
    epochs = np.arange(1, trajectory.loss.shape[-1] + 1) * plan.steps_per_epoch
    unknown = np.full(len(epochs), np.nan)
    curves = []
    for place, name in groups:
        members = [client for variant, client in frozen.items() if variant.group == place]
        loss = np.stack([client.loss for client in members]).mean(axis=0)
        accuracy = np.stack([client.accuracy for client in members]).mean(axis=0)
        curves.append(
            LearningCurve("client", name, members[0].steps, loss, accuracy, np.full(len(loss), np.nan))
        )
    for name, loss, accuracy in _servers(plan, trajectory):
        curves.append(LearningCurve("server", name, epochs, loss, accuracy, unknown))
    for place, name in groups:
        own = own_setting(plan.scenario, plan.scenario.fleet[place].policy.score)
        losses = loss_curves(plan, rejector_losses, place).get(own)
        if losses is not None:
            behind = staleness_per_epoch(plan, own)
            steps = np.arange(1, len(losses) + 1) * plan.steps_per_epoch
            curves.append(
                LearningCurve("rejector", name, steps, losses, np.full(len(losses), np.nan), behind)
            )
    return learning_table(curves)


def _servers(
    plan: Plan, trajectory: Trajectory
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Name, loss and accuracy of each model of the servers that is trained; "" where there is one."""
    if trajectory.loss.ndim == 1:
        yield "", trajectory.loss, trajectory.accuracy
        return
    for model, name in enumerate(plan.scenario.server_models):
        if not plan.is_given(model):
            yield name, trajectory.loss[model], trajectory.accuracy[model]
