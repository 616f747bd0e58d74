"""What of a block's rejectors is shared: their numbers as one row each, and how precisely they are known.
Used by `agents.rejectors.blocks`, where rejectors live."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.federation.merging import Numbers
from agents.models.training import to_tensor
from agents.plan import Plan
from agents.rejectors.stacked import StackedRejectors


def shared_tensors(plan: Plan, rejectors: StackedRejectors) -> list[Tensor]:
    """The parameters that a federation merges, each with a leading row axis; none without one."""
    federation = plan.scenario.federation
    if federation is None:
        return []
    head = {id(one) for one in rejectors.head}
    wanted = {"all": (True, False), "head": (True,), "body": (False,)}[federation.share]
    return [one for one in rejectors.parameters if (id(one) in head) in wanted]


def numbers_of(tensors: Sequence[Tensor]) -> Numbers:
    """All of them side by side, float32 (rows, n)."""
    rows: Numbers = torch.cat([one.detach().flatten(start_dim=1) for one in tensors], dim=1).numpy()
    return rows


@torch.no_grad()
def put(tensors: Sequence[Tensor], rows: NDArray[np.bool_], numbers: Numbers) -> None:
    """Writes numbers, (those rows, n), into some rows."""
    begin, which = 0, torch.from_numpy(rows)
    for one in tensors:
        each = one[0].numel()
        part = to_tensor(np.ascontiguousarray(numbers[:, begin : begin + each]))
        one[which] = part.reshape(-1, *one.shape[1:])
        begin += each


class Precision:
    """Diagonal Fisher information of a training round: |b|·g² of each step's batch b, g the gradient of its
    mean loss, averaged over steps; times the answers it is of all of them (as arXiv 2102.01936 gathers
    it)."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors, self._steps = tensors, 0
        self._sum = np.zeros(numbers_of(tensors).shape, dtype=np.float64)

    def add(self, batch: int) -> None:
        """Takes note of the gradients that a step left."""
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in self._tensors]
        self._sum += batch * numbers_of(gradients).astype(np.float64) ** 2
        self._steps += 1

    def of(self, answers: NDArray[np.int64]) -> Numbers:
        """Of so many answers of each row, float32 (rows, n)."""
        return (self._sum * answers[:, None] / max(1, self._steps)).astype(np.float32)
