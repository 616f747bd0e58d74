"""Rejectors, many as one: what they look at, and small networks with stacked parameters.
`agents.blocks` trains them; a family is its hidden widths, an input is one function, each one table line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from agents.training import Reading

FAMILIES: dict[str, tuple[int, ...]] = {"linear": (), "mlp": (32,)}
TOP = 5  # how many of the client's largest probabilities a rejector is told, in descending order


def raw(pixels: Tensor, _reading: Reading) -> Tensor:
    """The picture itself, as in the paper."""
    return pixels.flatten(start_dim=1)


def features(_pixels: Tensor, reading: Reading) -> Tensor:
    """What the client's own model made of it: hidden layer, log-probabilities, largest probabilities."""
    log_probabilities = functional.log_softmax(reading.logits, dim=1)
    top = log_probabilities.exp().topk(min(TOP, log_probabilities.shape[1]), dim=1).values
    return torch.cat([reading.features, log_probabilities, top], dim=1)


def raw_and_features(pixels: Tensor, reading: Reading) -> Tensor:
    """Both of the above."""
    return torch.cat([raw(pixels, reading), features(pixels, reading)], dim=1)


INPUTS: dict[str, Callable[[Tensor, Reading], Tensor]] = {
    "raw": raw,
    "features": features,
    "raw+features": raw_and_features,
}


class StackedRejectors:
    """Networks of one shape whose parameters lie along a leading row axis, so one call serves all of them.

    A row's numbers do not depend on the others: its weights come from its own seed, and `torch.baddbmm`
    multiplies each row on its own. (`torch.vmap` over modules did not give the same bits.)
    """

    def __init__(self, family: str, width: int, seeds: Sequence[int]) -> None:
        widths = (width, *FAMILIES[family], 2)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.layers = [
            (_drawn((fan_in, fan_out), fan_in, generators), _drawn((1, fan_out), fan_in, generators))
            for fan_in, fan_out in pairwise(widths)
        ]

    @property
    def parameters(self) -> list[Tensor]:
        """Weights (rows, fan_in, fan_out) and biases (rows, 1, fan_out), layer by layer."""
        return [tensor for layer in self.layers for tensor in layer]

    def logits(self, inputs: Tensor) -> Tensor:
        """(rows, n, 2), ordered (local, remote), of inputs (rows, n, width)."""
        *hidden, (weight, bias) = self.layers
        for hidden_weight, hidden_bias in hidden:
            inputs = torch.relu(torch.baddbmm(hidden_bias, inputs, hidden_weight))
        return torch.baddbmm(bias, inputs, weight)


def _drawn(shape: tuple[int, int], fan_in: int, generators: Sequence[torch.Generator]) -> Tensor:
    """One tensor per generator, stacked: U(-1, 1) / sqrt(fan_in), as torch initialises a linear layer."""
    bound = fan_in**-0.5
    rows = [torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators]
    return torch.stack(rows).requires_grad_()
