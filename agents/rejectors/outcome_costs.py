"""What outcomes weigh in the losses of a block's rows, and what sends of single samples cost beside that.
Between the scenario's costs and `agents.rejectors.surrogates`; part of `agents.rejectors.blocks`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.data.tables import own_c_e
from agents.evaluation.cost_model import cost_model_of
from agents.models.training import to_tensor
from agents.options import costs_for, options_of
from agents.plan import Plan
from agents.rejectors.losses import outcome_weights, slope_of_cost
from agents.rejectors.settings import Setting
from agents.rejectors.surrogates import OwnCosts


def weights_of(plan: Plan, place: int, settings: Sequence[Setting]) -> Tensor:
    """What each outcome weighs in each row's setting, (rows, 4, 3), of a group with one option; where
    samples have costs of their own, of one as dear as the dearest of the pool."""
    own = _pool(plan, place)
    dearest = None if own is None else float(own.max())
    of_setting = {
        each: outcome_weights(
            costs_for(plan.scenario, place, each.c_e if dearest is None else dearest, each.c_1), each.form
        )
        for each in dict.fromkeys(settings)
    }
    return torch.stack([of_setting[each] for each in settings])


def own_costs(plan: Plan, place: int, settings: Sequence[Setting]) -> OwnCosts | None:
    """What samples of the pool cost less than the dearest; None where all cost alike."""
    own = _pool(plan, place)
    if own is None:
        return None
    charged = cost_model_of(plan.scenario, 0.0, 1.0).charged
    less = (charged * (own.max() - own)).astype(np.float32)
    return OwnCosts(to_tensor(less), torch.tensor([[slope_of_cost(each.form)] for each in settings]))


def _pool(plan: Plan, place: int) -> NDArray[np.float64] | None:
    own = None if plan.given is None else own_c_e(plan.given, plan.scenario)
    (option,) = options_of(plan.scenario, place)
    return None if own is None else option.of(own)[plan.rejector_pool]
