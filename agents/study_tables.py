"""The tables of a study: what each setting comes to, its curve, what a bounded rate gives, how its loss fell.
Pure assembly in a fixed order; the run's own settings are always among the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from agents.answers import Answers
from agents.bounded_rate import BOUNDS
from agents.curves import RATES
from agents.plan import Block, Plan
from agents.scores import OF_CLIENTS, SCORES
from agents.settings import Setting, costs_of, network_of, setting, settings_of
from agents.stakes import stakes_of
from agents.steps import staleness
from agents.verdicts import Verdict, measures

Columns = dict[str, list[object]]
Losses = Mapping[Block, NDArray[np.float64]]


def study_of(plan: Plan, answers: Answers, losses: Losses) -> Columns:
    """The columns of `sim.columns.STUDY`: per group the trained settings, then the untrained scores."""
    rows = []
    for place, name in _groups(plan):
        for each, verdict in _verdicts(plan, answers, place):
            stakes = stakes_of(plan.scenario, each.c_e, each.c_1)
            curve = loss_curve(plan, losses, place, each)
            final = {
                "price_from": "bayes" if SCORES[each.score].has_bayes_price else "calibration",
                "final_loss": float("nan") if curve is None else float(curve[-1]),
            }
            rows.append(_key(name, each) | measures(verdict, stakes) | final)
    return _columns(rows)


def study_curves_of(plan: Plan, answers: Answers) -> Columns:
    """The columns of `sim.columns.STUDY_CURVES`."""
    rows = []
    for place, name in _groups(plan):
        for each, verdict in _verdicts(plan, answers, place):
            for rate, accuracy, risk in zip(RATES, *verdict.curve, strict=True):
                rows.append(_key(name, each) | {"reject_rate": rate, "accuracy": accuracy, "risk": risk})
    return _columns(rows)


def study_bounded_of(plan: Plan, answers: Answers) -> Columns:
    """The columns of `sim.columns.STUDY_BOUNDED`; sending at random is a straight line between its ends."""
    rows = []
    for place, name in _groups(plan):
        for each, verdict in _verdicts(plan, answers, place):
            told = measures(verdict, stakes_of(plan.scenario, each.c_e, each.c_1))
            ends = 1.0 - told["risk_all_local"], _server_accuracy(verdict)
            for bound, *coin in zip(BOUNDS, *verdict.bounded, strict=True):
                rows.append(
                    _key(name, each)
                    | {"bound": bound}
                    | dict(zip(("reject_rate", "accuracy", "risk"), coin, strict=True))
                    | {
                        "accuracy_random": (1.0 - bound) * ends[0] + bound * ends[1],
                        "risk_random": (1.0 - bound) * told["risk_all_local"]
                        + bound * told["risk_all_remote"],
                    }
                )
    return _columns(rows)


def _server_accuracy(verdict: Verdict) -> float:
    samples, _, server_right = verdict.sides.sum(axis=0)
    return float(server_right / samples)


def study_losses_of(plan: Plan, losses: Losses) -> Columns:
    """The columns of `sim.columns.STUDY_LOSSES`, a row per epoch; no rows where nothing was trained."""
    rows = []
    for place, name in _groups(plan):
        for each in settings_of(plan.scenario, plan.scenario.fleet[place]):
            curve = loss_curve(plan, losses, place, each)
            behind = staleness_per_epoch(plan, each)
            for epoch, loss in enumerate([] if curve is None else curve):
                told = {"step": (epoch + 1) * plan.steps_per_epoch, "loss": loss, "staleness": behind[epoch]}
                rows.append(_key(name, each) | told)
    return _columns(rows) if rows else {name: [] for name in (*_KEY, "step", "loss", "staleness")}


def loss_curve(plan: Plan, losses: Losses, place: int, each: Setting) -> NDArray[np.float64] | None:
    """A setting's mean loss per epoch over a group's clients, (epochs,); None if it is not trained."""
    total = None
    for block, of_rows in losses.items():
        if (block.group, block.score) != (place, each.score):
            continue
        network = network_of(plan.scenario, each)
        networks, shares = plan.networks(block), plan.shares(place, plan.owners_in(place))
        serves = np.array([networks[row] == network for row in plan.network_of_row(block)])
        if serves.any():
            part = of_rows[:, serves] @ shares[plan.owners(block)[serves]]
            total = part if total is None else total + part
    return total


def staleness_per_epoch(plan: Plan, each: Setting) -> NDArray[np.float64]:
    """How many steps of the server the copy was behind, mean over each epoch's batches, (epochs,)."""
    interval = each.interval(plan.steps_per_epoch)
    behind = np.array([staleness(step, interval) for step in range(plan.steps)])
    means: NDArray[np.float64] = behind.reshape(-1, plan.steps_per_epoch).mean(axis=1)
    return means


def _verdicts(plan: Plan, answers: Answers, place: int) -> Iterator[tuple[Setting, Verdict]]:
    yield from answers.trained(place).items()
    for name in OF_CLIENTS:
        for c_e, c_1 in costs_of(plan.scenario):
            each = setting(name, "", c_e, c_1, "")
            yield each, answers.untrained(place, each)


_KEY = ("group", "score", "form", "c_e", "c_1", "sync_every")


def _key(group: str, each: Setting) -> dict[str, object]:
    return {"group": group} | asdict(each) | {"sync_every": str(each.sync_every)}


def _groups(plan: Plan) -> list[tuple[int, str]]:
    return [(place, group.group) for place, group in enumerate(plan.scenario.fleet)]


def _columns(rows: list[dict[str, object]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]}
