"""Stage 2 for several options: one rejector r: X -> R^(1+J) decides among LOCAL and all of them.
Its weights, and what each batch is told; losses and scores stand in `agents.rejectors.option_surrogates`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.evaluation.cost_model import CostModel
from agents.models.training import to_tensor
from agents.rejectors.own_losses import OWN_LOSSES

_ROUNDING = 1e-5  # relative, of costs in float32


@dataclass(frozen=True)
class OptionBatch:
    """What rejectors are told of a batch of n samples and J options, for each of `rows`.

    client_correct: float (rows, n); server_correct: of each option's model, float (rows, n, J); labels: int64
    (n,); costs, weights: of LOCAL and each option, (rows, n, 1+J); c_1: (rows, 1); draws: uniform numbers,
    the same for all rows, (n, J).
    """

    client_correct: Tensor
    server_correct: Tensor
    labels: Tensor
    costs: Tensor
    weights: Tensor
    c_1: Tensor
    draws: Tensor


def option_weights(costs: Tensor, form: str, bound: Tensor | float = 1.0) -> Tensor:
    """The weights of stage 2, (..., 1+J), of the costs of LOCAL and J options, of the same shape.

    - `nonnegative`: w_j = K - cost_j, `bound` K = max(1, max_j sup cost_j), so that the loss is convex;
    - `paper`: K = 1; unbounded below where a cost is above 1;
    - `cost_sensitive`: w_j = sum of cost_k over k != j, convex without a K (Mao et al. 2023, arXiv
      2310.14774).

    In all of them w_j is a number less cost_j, so that the minimiser sends where the expected cost is least.
    For J = 1 each equals `rejector_weights`, bit for bit. Raises ValueError for another form, or where
    `nonnegative` is given a cost above K.
    """
    if form == "nonnegative":
        if (costs > bound * (1.0 + _ROUNDING)).any():
            raise ValueError("a cost is above K; is P(charged) above 1?")
        return (bound - costs).clamp(min=0.0)
    if form == "paper":
        return 1.0 - costs
    if form == "cost_sensitive":
        return costs @ (1.0 - torch.eye(costs.shape[-1], dtype=costs.dtype))
    if form in OWN_LOSSES:  # which looks at costs alone
        return torch.zeros_like(costs)
    raise ValueError(f"form '{form}' is not one for several options")


def bound_of(cost_models: Sequence[CostModel]) -> float:
    """K = max(1, max_j sup cost_j) of a setting's options."""
    worst = (one.c_e + (one.c_1 if one.availability is None else max(1.0, one.c_1)) for one in cost_models)
    return max(1.0, *worst)


def option_losses(outputs: Tensor, weights: Tensor) -> Tensor:
    """L_2 = -sum_j w_j*log softmax_j(r), each sample's own, (...,) of outputs and weights (..., 1+J).

    Convex in r where no weight is negative; with w_j = K - cost_j the minimiser's softmax is proportional to
    K - E[cost_j | x], so that its largest output is the Bayes choice (several experts: Verma et al. 2023,
    arXiv 2210.16955; Mao et al. 2023).
    """
    return -(weights * torch.log_softmax(outputs, dim=-1)).sum(dim=-1)


@dataclass(frozen=True)
class OptionTargets:
    """What the rejectors of a block are told of each step's batch.

    client: bool (rows, pool); server: of each option's model, bool (steps, rows, batch, J), or grades in [0,
    1] both; labels: int64 (pool,); remote: what a send costs by 2*1[m=y] + 1[e=y], (rows, J, 4); less: by how
    much samples are charged less than that, float32 (pool, J), None: none is; bounds: K of each row, (rows,
    1, 1); forms: of each row, "" where its loss has none; c_1: (rows, 1); prices: asked step by step.
    """

    client: Tensor
    server: Tensor
    labels: Tensor
    remote: Tensor
    less: Tensor | None
    bounds: Tensor
    forms: Sequence[str]
    c_1: Tensor
    prices: np.random.Generator

    def batch(self, step: int, samples: Tensor) -> OptionBatch:
        """The batch of a step, samples (n,); steps are asked for in order."""
        server = self.server[step]
        client = self.client[:, samples]
        remote = self._of_outcomes(client[..., None], server)
        if self.less is not None:
            remote = remote - self.less[samples]
        local = 1.0 - client.float()
        costs = torch.cat([local[..., None], remote], dim=-1)
        draws = self.prices.random((samples.shape[-1], server.shape[-1]), dtype=np.float32)
        return OptionBatch(
            client.float(),
            server.float(),
            self.labels[samples],
            costs,
            self._weights(costs),
            self.c_1,
            to_tensor(draws),
        )

    def _weights(self, costs: Tensor) -> Tensor:
        weights = torch.full_like(costs, torch.nan)
        for form in {*self.forms} - {""}:
            rows = torch.tensor([one == form for one in self.forms])
            weights[rows] = option_weights(costs[rows], form, self.bounds[rows])
        return weights

    def _of_outcomes(self, client: Tensor, server: Tensor) -> Tensor:
        """What a send costs, (rows, n, J): of grades a mean, since costs are linear in both."""
        rows, options = len(self.remote), self.remote.shape[1]
        if client.dtype == torch.bool:
            row, option = torch.arange(rows)[:, None, None], torch.arange(options)
            return self.remote[row, option, 2 * client.long() + server.long()]
        of = self.remote[:, None].unbind(dim=-1)
        wrong, right = ((1 - server) * of[k] + server * of[k + 1] for k in (0, 2))
        return (1 - client) * wrong + client * right
