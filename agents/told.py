"""What the rejectors of a block are told of each batch that they train on: who was right, and what it costs.
Between `agents.blocks`, which gathers it once for all steps, and the losses in `agents.surrogates`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agents.surrogates import Batch
from agents.training import to_tensor


class Told:
    """What the rejectors of a block are told of each step's batch."""

    def __init__(
        self,
        client_correct: Tensor,
        server_correct: Tensor,
        labels: Tensor,
        weights: Tensor,
        c_1: Tensor,
        prices: np.random.Generator,
    ) -> None:
        """client_correct: bool (rows, pool); server_correct: bool (steps, rows, batch); labels: int64
        (pool,); weights: (rows, 4, 3), as `outcome_weights`; c_1: (rows, 1); prices: asked step by step."""
        self._client, self._server, self._labels = client_correct, server_correct, labels
        self._weights, self._c_1, self._prices = weights, c_1, prices
        self._every_row = torch.arange(len(weights))[:, None]

    def batch(self, step: int, samples: Tensor) -> Batch:
        """The batch of a step, samples (n,) or (rows, n); steps are asked for in order."""
        server = self._server[step]
        client = self._client.gather(1, samples.expand(server.shape))
        of_outcome = self._weights[self._every_row, 2 * client.long() + server.long()]
        w_local, w_remote, cost_remote = of_outcome.unbind(dim=-1)
        return Batch(
            client.float(),
            server.float(),
            self._labels[samples],
            w_local,
            w_remote,
            cost_remote,
            self._c_1,
            to_tensor(self._prices.random(samples.shape[-1], dtype=np.float32)),
        )
