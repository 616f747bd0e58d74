"""What training goes on from, as plain arrays: parameters, and what the optimiser remembers of each.
Taken and put back by the server's model and by blocks of rejectors, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from agents.models.optimisers import Optimiser
from agents.models.training import to_tensor

State = dict[str, Any]  # nested mappings and lists of arrays: what `sim.results.packing` takes


def remembered(optimiser: Optimiser, parameters: Sequence[Tensor]) -> list[State]:
    """Per parameter what the optimiser remembers of it, by name; nothing before the first step."""
    return [
        {name: tensor.numpy().copy() for name, tensor in optimiser.state[one].items() if tensor is not None}
        for one in parameters
    ]


def remind(optimiser: Optimiser, parameters: Sequence[Tensor], state: Sequence[State]) -> None:
    """Has the optimiser remember what it did then, in the layout in memory that it would have chosen."""
    for one, known in zip(parameters, state, strict=True):
        optimiser.state[one] = {name: _like(one, to_tensor(array)) for name, array in known.items()}


@contextmanager
def rows_kept(optimiser: Optimiser, parameters: Sequence[Tensor], rows: Tensor) -> Iterator[None]:
    """Leaves these rows as they were, bool (rows,), whatever a step does to all of them."""
    tensors = [
        tensor
        for parameter in parameters
        for tensor in (parameter.detach(), *optimiser.state[parameter].values())
        if tensor is not None and tensor.ndim  # else a count of steps, which all rows share
    ]
    before = [tensor[rows].clone() for tensor in tensors]
    yield
    for tensor, kept in zip(tensors, before, strict=True):
        tensor[rows] = kept


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    if tensor.shape != parameter.shape:
        return tensor  # a count of steps
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)
