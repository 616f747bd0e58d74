"""Specialising: what each model of the servers would be sent of the pool that it learns from.
Asked between two epochs of pretraining; the shares become weights of samples in the models' losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.cost_model import cost_model_of
from agents.options import options_of
from agents.plan import Plan
from agents.server.model import ServerModel

Wrong = Sequence[NDArray[np.float64]]  # per group, the share of its clients that are wrong, (pool,)
FLOOR = 0.1  # what a sample weighs that nobody sends to a model, beside 1 of one that everybody does


def sent_to(plan: Plan, models: Sequence[ServerModel], wrong: Wrong) -> list[NDArray[np.float32]]:
    """What each sample of `Plan.server_pool` weighs for each model, float32 (pool,): FLOOR, and the share of
    the fleet's clients that would ask this model about it, groups by their weight.

    A client that is wrong takes the choice of least cost, the chance of a right answer being what a model's
    own softmax gives the sample's class (an oracle's choice, softened); one that is right asks nobody. The
    pool trained no client, so that clients are as wrong on it as on what they will meet.
    """
    costs, fleet = plan.scenario.costs, plan.scenario.fleet
    cost_model = cost_model_of(plan.scenario, costs.c_e, costs.c_1)
    shares = np.array([group.weight * group.clients for group in fleet])
    sent = np.zeros((len(models), len(plan.server_pool)))
    for place, share in enumerate(shares / shares.sum()):
        asked = plan.in_view(plan.server_pool, plan.traffic_view(place))
        chance = [model.chances(asked) for model in models]
        options = options_of(plan.scenario, place)
        choices = [np.ones(len(asked))]  # LOCAL, first among equals
        choices += [cost_model.cost_remote(0.0, chance[one.model], one.c_e) for one in options]
        chosen = np.argmin(choices, axis=0)
        for number, option in enumerate(options, start=1):
            sent[option.model] += share * wrong[place] * (chosen == number)
    return [(FLOOR + of_model).astype(np.float32) for of_model in sent]
