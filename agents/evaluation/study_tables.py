"""The tables of a study: what each setting comes to, its curve, what a bounded rate gives, how its loss fell.
Pure assembly in a fixed order; the run's own settings are always among the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.answers import Answers
from agents.evaluation.bounded_rate import BOUNDS
from agents.evaluation.curves import RATES
from agents.evaluation.policy_evaluation import PolicyEvaluation, measures
from agents.options import costs_for
from agents.plan import Block, Plan
from agents.rejectors.settings import Setting, network_of, settings_of
from agents.server.steps import staleness
from sim.registry.scores import SCORES

Columns = dict[str, list[object]]
Losses = Mapping[Block, NDArray[np.float64]]


def study_of(plan: Plan, answers: Answers, losses: Losses) -> Columns:
    """The columns of `sim.results.columns.STUDY`: per group the trained settings, then the untrained
    scores."""
    rows = []
    for place, name in _groups(plan):
        curves, price = loss_curves(plan, losses, place), plan.scenario.fleet[place].policy.price
        for each, evaluation in answers.evaluations[place].items():
            cost_model = costs_for(plan.scenario, place, each.c_e, each.c_1)
            final = {
                "price_from": price.kind
                if price.is_chosen
                else ("bayes" if SCORES[each.score].has_bayes_price else "calibration"),
                "final_loss": float(curves[each][-1]) if each in curves else float("nan"),
            }
            rows.append(_key(name, each) | measures(evaluation, cost_model) | final)
    return _columns(rows)


def study_curves_of(plan: Plan, answers: Answers) -> Columns:
    """The columns of `sim.results.columns.STUDY_CURVES`."""
    rows = []
    for place, name in _groups(plan):
        for each, evaluation in answers.evaluations[place].items():
            for rate, accuracy, risk in zip(RATES, *evaluation.curve, strict=True):
                rows.append(_key(name, each) | {"deferral_rate": rate, "accuracy": accuracy, "risk": risk})
    return _columns(rows)


def study_bounded_of(plan: Plan, answers: Answers) -> Columns:
    """The columns of `sim.results.columns.STUDY_BOUNDED`; sending at random is a straight line between its
    ends."""
    rows = []
    for place, name in _groups(plan):
        for each, evaluation in answers.evaluations[place].items():
            measured = measures(evaluation, costs_for(plan.scenario, place, each.c_e, each.c_1))
            ends = 1.0 - measured["risk_all_local"], _server_accuracy(evaluation)
            for bound, *coin in zip(BOUNDS, *evaluation.bounded, strict=True):
                rows.append(
                    _key(name, each)
                    | {"bound": bound}
                    | dict(zip(("deferral_rate", "accuracy", "risk"), coin, strict=True))
                    | {
                        "accuracy_random": (1.0 - bound) * ends[0] + bound * ends[1],
                        "risk_random": (1.0 - bound) * measured["risk_all_local"]
                        + bound * measured["risk_all_remote"],
                    }
                )
    return _columns(rows)


def _server_accuracy(evaluation: PolicyEvaluation) -> float:
    samples, _, server_right = evaluation.sides.sum(axis=0)
    return float(server_right / samples)


def study_losses_of(plan: Plan, losses: Losses) -> Columns:
    """The columns of `sim.results.columns.STUDY_LOSSES`, a row per epoch; no rows where nothing was
    trained."""
    rows = []
    for place, name in _groups(plan):
        for each, curve in loss_curves(plan, losses, place).items():
            behind = staleness_per_epoch(plan, each)
            for epoch, loss in enumerate(curve):
                measured = {
                    "step": (epoch + 1) * plan.steps_per_epoch,
                    "loss": loss,
                    "staleness": behind[epoch],
                }
                rows.append(_key(name, each) | measured)
    return _columns(rows) if rows else {name: [] for name in (*_KEY, "step", "loss", "staleness")}


def loss_curves(plan: Plan, losses: Losses, place: int) -> dict[Setting, NDArray[np.float64]]:
    """Of each setting that a group's rejectors were trained in, the mean loss per epoch over its clients,
    (epochs,)."""
    scenario, shares = plan.scenario, plan.shares(place, plan.owners_in(place))
    total: dict[Setting, NDArray[np.float64]] = {}
    for block, of_rows in losses.items():
        if block.group != place:
            continue
        network_of_row, networks = plan.network_of_row(block), plan.networks(block)
        for number in np.unique(network_of_row):
            rows, network = network_of_row == number, networks[number]
            part = of_rows[:, rows] @ shares[plan.owners(block)[rows]]
            total[network] = total[network] + part if network in total else part
    return {each: total[network_of(scenario, each)] for each in settings_of(scenario, scenario.fleet[place])}


def staleness_per_epoch(plan: Plan, each: Setting) -> NDArray[np.float64]:
    """How many steps of the server the copy was behind, mean over each epoch's batches, (epochs,)."""
    behind = staleness(np.arange(plan.steps), each.interval(plan.steps_per_epoch))
    means: NDArray[np.float64] = behind.reshape(-1, plan.steps_per_epoch).mean(axis=1)
    return means


_KEY = ("group", "score", "form", "c_e", "c_1", "sync_every")


def _key(group: str, each: Setting) -> dict[str, object]:
    return {"group": group} | asdict(each) | {"sync_every": str(each.sync_every)}


def _groups(plan: Plan) -> list[tuple[int, str]]:
    return [(place, group.group) for place, group in enumerate(plan.scenario.fleet)]


def _columns(rows: list[dict[str, object]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}
