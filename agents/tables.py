"""From the learners' answers to the messages a run reads: tables in force, learning and deferral curves.
Pure assembly in a fixed order; nothing is learned or drawn here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agents.answers import Answers
from agents.curves import (
    Curve,
    Progress,
    deferral_table,
    learning_table,
    random_curve,
)
from agents.frozen import FrozenClient
from agents.plan import Block, Plan, Variant
from agents.scores import SCORES, is_trained
from agents.server_model import Trajectory
from agents.settings import own_setting
from agents.stakes import stakes_of
from agents.study_tables import loss_curve, staleness_per_epoch
from sim.messages import GroupTables, Tables
from sim.scenario import Scenario
from sim.scenario.arrivals import GammaRenewal, Mmpp, Poisson


def tables_in_force(plan: Plan, answers: Answers) -> Tables:
    """What requests look up at t = 0."""
    groups = (
        GroupTables(answers.client_label(place), answers.score_in_force(place))
        for place in range(len(plan.scenario.fleet))
    )
    return Tables(tuple(groups), answers.server_label)


def deferral_of(plan: Plan, answers: Answers) -> dict[str, list[object]]:
    """The deferral table, at the scenario's own costs: per score and group, on the held-out samples of the
    group's own traffic. Trained scores first, those that some group has; then all that need no training."""
    curves: dict[str, dict[str, Curve]] = {name: {} for name in SCORES}
    for place, group in enumerate(plan.scenario.fleet):
        trained = answers.trained(place)
        for name in SCORES:
            own = own_setting(plan.scenario, name)
            if not is_trained(name):
                curves[name][group.group] = _curve(plan, answers, place, name)
            elif own in trained:
                curves[name][group.group] = trained[own].curve
    known = {name: of_groups for name, of_groups in curves.items() if of_groups}
    return deferral_table(known, rates_of(plan.scenario))


def rates_of(scenario: Scenario) -> dict[str, float]:
    """Each group's requests per second, on average over a long time; where some group's arrivals have no rate
    before they happen (a trace, a closed loop), each group's clients instead."""
    rates: dict[str, float] = {}
    for group in scenario.fleet:
        process = group.arrivals.process
        if isinstance(process, Mmpp):  # every state is stayed in equally long
            rates[group.group] = group.clients * sum(process.rates_hz) / len(process.rates_hz)
        elif isinstance(process, Poisson | GammaRenewal):
            rates[group.group] = group.clients * process.rate_hz
    if len(rates) < len(scenario.fleet):
        return {group.group: float(group.clients) for group in scenario.fleet}
    return rates


def _curve(plan: Plan, answers: Answers, place: int, name: str) -> Curve:
    costs = plan.scenario.costs
    if name == "random":
        judged = answers.judged(place, plan.held_out(place))
        return random_curve(judged, stakes_of(plan.scenario, costs.c_e, costs.c_1))
    return answers.untrained(place, own_setting(plan.scenario, name)).curve


def learning_of(
    plan: Plan,
    frozen: Mapping[Variant, FrozenClient],
    trajectory: Trajectory,
    rejector_losses: Mapping[Block, NDArray[np.float64]],
) -> dict[str, list[object]]:
    """The learning table: clients, server, rejectors in the run's own setting, a row per epoch, groups
    averaged over their members."""
    groups = [(place, group.group) for place, group in enumerate(plan.scenario.fleet)]
    epochs = np.arange(1, len(trajectory.loss) + 1) * plan.steps_per_epoch
    unknown = np.full(len(epochs), np.nan)
    curves = []
    for place, name in groups:
        members = [client for variant, client in frozen.items() if variant.group == place]
        loss = np.stack([client.loss for client in members]).mean(axis=0)
        accuracy = np.stack([client.accuracy for client in members]).mean(axis=0)
        curves.append(Progress("client", name, members[0].steps, loss, accuracy, np.full(len(loss), np.nan)))
    curves.append(Progress("server", "", epochs, trajectory.loss, trajectory.accuracy, unknown))
    for place, name in groups:
        own = own_setting(plan.scenario, plan.scenario.fleet[place].policy.score)
        if is_trained(own.score):
            losses = loss_curve(plan, rejector_losses, place, own)
            if losses is not None:
                behind = staleness_per_epoch(plan, own)
                curves.append(Progress("rejector", name, epochs, losses, unknown, behind))
    return learning_table(curves)
