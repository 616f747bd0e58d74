"""Many small networks as one: parameters lie along a leading row axis, so one call serves all rows.
`agents.rejectors.blocks` trains them; a family is its layers, an entry of
`sim.registry.families`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from agents.rejectors.inputs import RejectorInput
from sim.registry.families import REJECTOR_FAMILIES

Layer = tuple[Tensor, Tensor]  # weight and bias, each with a leading row axis


class StackedRejectors:
    """Networks of one shape, a row each.

    A row's numbers do not depend on the others, but for the last bits of wide outputs: its weights come from
    its own seed, and `torch.baddbmm` multiplies each row on its own, though it may round by where in memory
    a row begins. So a stack always holds a whole block, which is the same for any number of workers.
    (`torch.vmap` over modules did not give the same bits, nor did grouped convolutions; these are therefore
    called row by row, which costs at most a fifth, since they compute long: `benchmarks.convolutions`.)
    """

    def __init__(self, family: str, inputs: RejectorInput, outputs: int, seeds: Sequence[int]) -> None:
        """inputs: any, for their widths; outputs: per sample; seeds: one a row."""
        shape, features = inputs.widths
        kind, self.rows = REJECTOR_FAMILIES[family], len(seeds)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.convolutions: list[Layer] = []
        if shape is not None:
            for channels, kernel in kind.convolutions:
                fan_in = shape[0] * kernel**2
                weight = _drawn((channels, shape[0], kernel, kernel), fan_in, generators)
                self.convolutions.append((weight, _drawn((channels,), fan_in, generators)))
                shape = (channels, (shape[1] - kernel + 1) // 2, (shape[2] - kernel + 1) // 2)
        pixels = 0 if shape is None else prod(shape)
        widths = (pixels + features, *kind.hidden, outputs)
        (weight, bias), *self._rest = (
            (_drawn((fan_in, fan_out), fan_in, generators), _drawn((1, fan_out), fan_in, generators))
            for fan_in, fan_out in pairwise(widths)
        )
        # In two parts, so that a picture need not be copied to the features of each row.
        parts = (weight.detach()[:, :pixels], weight.detach()[:, pixels:])
        self._first, self._bias = [part.clone().requires_grad_() for part in parts if part.numel()], bias

    @property
    def layers(self) -> list[Layer]:
        """Weights (rows, fan_in, fan_out) and biases (rows, 1, fan_out) behind the convolutions."""
        return [(torch.cat(self._first, dim=1), self._bias), *self._rest]

    @property
    def parameters(self) -> list[Tensor]:
        """Everything that is trained, each with a leading row axis."""
        layers = [tensor for layer in (*self.convolutions, *self._rest) for tensor in layer]
        return [*self._first, self._bias, *layers]

    @property
    def head(self) -> list[Tensor]:
        """Of these the last layer."""
        return list(self._rest[-1]) if self._rest else [*self._first, self._bias]

    def outputs(self, inputs: RejectorInput) -> Tensor:
        """(rows, n, outputs) of an input whose features have an entry per row."""
        parts = [] if inputs.pixels is None else [self._convolved(inputs.pixels)]
        parts += [] if inputs.features is None else [inputs.features]
        hidden = self._bias
        for part, weight in zip(parts, self._first, strict=True):
            hidden = torch.baddbmm(hidden, part, weight)
        for weight, bias in self._rest:
            hidden = torch.baddbmm(bias, torch.relu(hidden), weight)
        return hidden

    def _convolved(self, pixels: Tensor) -> Tensor:
        """(rows, n, width) of pictures (n, channels, height, width), one copy for all rows if they have no
        convolutions; or of pictures (rows, n, ...) of their own."""
        each = pixels if pixels.dim() == 5 else pixels.expand(self.rows, *pixels.shape)
        if not self.convolutions:
            return each.flatten(start_dim=2)
        seen = [one.to(memory_format=torch.channels_last) for one in each]
        for weight, bias in self.convolutions:
            seen = [
                torch.relu(functional.max_pool2d(functional.conv2d(one, weight[row], bias[row]), 2))
                for row, one in enumerate(seen)
            ]
        return torch.stack([one.flatten(start_dim=1) for one in seen])


def _drawn(shape: tuple[int, ...], fan_in: int, generators: Sequence[torch.Generator]) -> Tensor:
    """One tensor per generator, stacked: U(-1, 1) / sqrt(fan_in), as torch initialises its layers."""
    bound = fan_in**-0.5
    rows = [torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators]
    return torch.stack(rows).requires_grad_()
