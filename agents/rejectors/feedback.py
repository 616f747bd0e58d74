"""Feedback: whether the server is right is known only of what was sent, and each loss is weighted by that.
Used by `agents.rejectors.blocks` where a scenario says `feedback: deferred_only`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from agents.models.training import to_tensor
from agents.rejectors.surrogates import Client


class Feedback:
    """Inverse-propensity weights of a block's rows, step by step.

    A sample is sent for certain if the rejector as it stands now says REMOTE at its price (at 0, where no
    Bayes price is known), else with probability `exploration`. The *whole* loss of a sample is weighted by
    1[sent]/propensity, so its mean over draws is the loss with full feedback (Horvitz and Thompson 1952);
    without exploration it is not, since what is never sent is never seen.
    """

    def __init__(
        self,
        score: Callable[[Tensor, Client, Tensor | float], Tensor],
        client: Client,
        c_1: Tensor,
        price: Tensor,
        exploration: float,
        draws: Sequence[np.random.Generator],
    ) -> None:
        """score: as in `Surrogate`; client: over the rejectors' pool; c_1, price: (rows, 1); draws: one
        generator a row, asked step by step."""
        self._score, self._client, self._c_1, self._price = score, client, c_1, price
        self._exploration, self._draws = exploration, draws

    @torch.no_grad()
    def weights(self, outputs: Tensor, samples: Tensor) -> Tensor:
        """1[sent]/propensity, (rows, n), for outputs (rows, n, outputs) of samples of the pool, (n,)."""
        client = Client(self._client.answer[:, samples], self._client.uncertainty[:, samples])
        says_remote = self._score(outputs, client, self._c_1) > self._price
        drawn = np.stack([draws.random(len(samples)) for draws in self._draws])
        explored = to_tensor(drawn) < self._exploration
        weight = 1.0 / self._exploration if self._exploration else 0.0
        return torch.where(says_remote, 1.0, torch.where(explored, weight, 0.0))
