"""What the rejectors of a block are told before and during the run: outcomes of their clients and of models.
Between what the servers' models answered in each step and `agents.rejectors.blocks`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.data.tables import own_c_e
from agents.evaluation.cost_model import cost_model_of
from agents.models.training import to_tensor
from agents.options import Option, options_of
from agents.plan import Block, Plan
from agents.rejectors.option_losses import OptionTargets, bound_of
from agents.rejectors.outcome_costs import own_costs, weights_of
from agents.rejectors.settings import Setting
from agents.rejectors.surrogates import Targets
from sim.streams import stream

Correct = NDArray[np.generic]


def told(
    plan: Plan,
    block: Block,
    settings: Sequence[Setting],
    client_right: Tensor,
    pool: NDArray[np.int32],
    correct: Correct,
) -> Targets | OptionTargets:
    """The targets of a block on its pool, of one option or of several. settings: of each row; client_right:
    (rows, pool); correct: as in `Trajectory`, of several models (models, ...)."""
    prices = stream(plan.scenario.seed, "rejector prices", block.group)
    by_model = correct if correct.ndim == 5 else correct[None]
    options = options_of(plan.scenario, block.group)
    each_seen = [_seen(plan, block, settings, one, by_model) for one in options]
    return _targets(plan, block, settings, client_right, pool, each_seen, prices)


def told_in_round(
    plan: Plan,
    block: Block,
    settings: Sequence[Setting],
    client_right: Tensor,
    pool: NDArray[np.int32],
    each_seen: Sequence[Tensor],
    version: int,
) -> Targets | OptionTargets:
    """The same in a round of the run. each_seen: of each option whether what is asked is right, (steps, rows,
    batch)."""
    prices = stream(plan.scenario.seed, "online prices", block.group, version)
    return _targets(plan, block, settings, client_right, pool, each_seen, prices)


def seen_in_round(plan: Plan, block: Block, correct: Correct) -> list[Tensor]:
    """What each option is told to be right on, by every row alike, (steps, rows, batch). correct: 1[e(x)=y]
    of the batches of a round, (steps, batch), of several models (models, steps, batch)."""
    by_model = correct if correct.ndim == 3 else correct[None]
    options = options_of(plan.scenario, block.group)
    return [to_tensor(one.of(by_model))[:, None].expand(-1, block.rows, -1) for one in options]


def _targets(
    plan: Plan,
    block: Block,
    settings: Sequence[Setting],
    client_right: Tensor,
    pool: NDArray[np.int32],
    each_seen: Sequence[Tensor],
    prices: np.random.Generator,
) -> Targets | OptionTargets:
    c_1 = torch.tensor([[each.c_1] for each in settings])
    labels = to_tensor(plan.labels(pool).astype(np.int64))
    if len(each_seen) == 1:
        seen = each_seen[0]
        client_right = client_right.to(seen.dtype) if seen.is_floating_point() else client_right
        weights = weights_of(plan, block.group, settings)
        own = own_costs(plan, block.group, settings)
        return Targets(client_right, seen, labels, weights, c_1, prices, own)
    if any(one.is_floating_point() for one in each_seen):  # several models answer some: outcomes are grades
        client_right, each_seen = client_right.float(), [one.float() for one in each_seen]
    server = torch.stack(list(each_seen), dim=-1)
    own_prices = _pool_prices(plan, block.group)
    dearest = own_prices.max(axis=1)
    models = [
        [
            cost_model_of(plan.scenario, each.c_e if np.isnan(price) else float(price), each.c_1)
            for price in dearest
        ]
        for each in settings
    ]
    m, e = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    less = models[0][0].charged * np.nan_to_num(dearest[:, None] - own_prices)
    return OptionTargets(
        client_right,
        server,
        labels,
        torch.stack([torch.stack([one.cost_remote(m, e) for one in of_row]) for of_row in models]),
        to_tensor(less.T.astype(np.float32)) if less.any() else None,
        torch.tensor([bound_of(of_row) for of_row in models], dtype=torch.float32)[:, None, None],
        [each.form for each in settings],
        c_1,
        prices,
    )


def _seen(plan: Plan, block: Block, settings: Sequence[Setting], option: Option, by_model: Correct) -> Tensor:
    """Of an option whether each row's copy of its model is right, (steps, rows, batch); how often, where
    several models answer."""
    if option.shares is None:
        correct = by_model[option.model]
    else:
        correct = np.tensordot(np.array(option.shares, dtype=np.float32), by_model.astype(np.float32), 1)
    view = plan.rejector_views.index(plan.traffic_view(block.group))
    interval = [plan.intervals.index(each.interval(plan.steps_per_epoch)) for each in settings]
    return to_tensor(correct[:, :, view]).swapaxes(0, 1)[:, torch.tensor(interval)]


def _pool_prices(plan: Plan, place: int) -> NDArray[np.float64]:
    """What a charged send of each sample of the rejectors' pool costs, float64 (options, pool); NaN where a
    setting says it."""
    own, size = None if plan.given is None else own_c_e(plan.given, plan.scenario), len(plan.rejector_pool)
    prices = []
    for option in options_of(plan.scenario, place):
        known = np.nan if option.c_e is None else option.c_e
        prices.append(np.full(size, known) if own is None else option.of(own)[plan.rejector_pool])
    return np.stack(prices)


def mean_prices(plan: Plan, place: int) -> NDArray[np.float64] | None:
    """What a charged send to each option of a group costs on average over the rejectors' pool, where samples
    have costs of their own, float64 (options,); None where they have none."""
    if plan.given is None or own_c_e(plan.given, plan.scenario) is None:
        return None
    means: NDArray[np.float64] = _pool_prices(plan, place).mean(axis=1)
    return means
