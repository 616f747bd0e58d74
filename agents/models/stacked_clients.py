"""Classifiers of one shape as one, to be trained together: their weights lie along a leading row axis.
`agents.models.frozen` trains them; rejectors, which look at more than pictures, have stacks of their own."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.classifiers import Classifier, Headed
from agents.models.families import ImageShape, empty_model, initialise, new_model, outline

DENSE = (nn.Flatten, nn.Linear, nn.ReLU)  # the layers that `DenseStack` knows
MOST_ROWS = 64  # more are not faster
MOST_BYTES = 64 * 2**20  # of pictures and weights in a stack
ALIGNED = 16  # numbers that fill 64 bytes; inputs of a layer are rounded up to them
COPIES = 4  # of weights: themselves, gradients and two moments of the optimiser


class Stack(Protocol):
    """Classifiers of one family and shape, a row each. Law: a row's numbers do not depend on the others."""

    parameters: list[Tensor]

    def logits(self, images: Tensor) -> Tensor:
        """(rows, n, classes) of pictures (rows, n, channels, height, width)."""

    def state(self, row: int) -> dict[str, Tensor]:
        """The weights of a row under the names that its family gives them."""


class DenseStack:
    """Classifiers whose layers are all in `DENSE`: `torch.baddbmm` multiplies each row on its own.

    It may round otherwise where a row begins off the 64 bytes that its kernels like, and where a row begins
    would depend on how many come before it. So inputs are filled up with zeros, whose weights stay zero.
    """

    def __init__(self, model: Classifier, seeds: Sequence[int]) -> None:
        """model: of the family, whose weights are drawn over and over; seeds: one a row."""
        self._model, self._layers, rows = model, _layers(model), []
        for seed in seeds:
            initialise(model, seed)
            rows.append({name: _filled_up(tensor).clone() for name, tensor in model.state_dict().items()})
        self._shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        self._weights = {name: torch.stack([row[name] for row in rows]).requires_grad_() for name in rows[0]}
        self.parameters = list(self._weights.values())

    def logits(self, images: Tensor) -> Tensor:
        seen = self._model.resized(images.flatten(end_dim=1)).reshape(*images.shape[:2], -1)
        for name, layer in self._layers:
            if isinstance(layer, nn.Linear):
                weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
                seen = torch.baddbmm(bias[:, None], _filled_up(seen), weight.mT)
            elif isinstance(layer, nn.ReLU):
                seen = torch.relu(seen)
        return seen

    def state(self, row: int) -> dict[str, Tensor]:
        return {name: tensor[row][..., : self._shapes[name][-1]] for name, tensor in self._weights.items()}


class SingleClassifier:
    """One classifier of any family: layers that are not in `DENSE` compute long, so a stack would gain
    nothing."""

    def __init__(self, model: Classifier) -> None:
        self._model = model
        self.parameters: list[Tensor] = list(model.parameters())

    def logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self._model(images[0])[0]
        return logits[None]

    def state(self, row: int) -> dict[str, Tensor]:
        assert row == 0
        return self._model.state_dict()


def stack_of(
    family: str, shape: ImageShape, classes: int, seeds: Sequence[int], image_size: int | None
) -> Stack:
    """New classifiers of a family, each as `new_model` draws it; as many as seeds, at most `rows_at_once`."""
    if _is_dense(outline(family, shape, classes, image_size)):
        return DenseStack(empty_model(family, shape, classes, image_size), seeds)
    (seed,) = seeds
    return SingleClassifier(new_model(family, shape, classes, seed, image_size))


def rows_at_once(family: str, shape: ImageShape, classes: int, samples: int, image_size: int | None) -> int:
    """How many classifiers, each trained on `samples` pictures of its own, make a stack at most."""
    model = outline(family, shape, classes, image_size)
    if not _is_dense(model):
        return 1
    numbers = samples * prod(shape) + COPIES * sum(weight.numel() for weight in model.parameters())
    return max(1, min(MOST_ROWS, MOST_BYTES // (4 * numbers)))


def _filled_up(numbers: Tensor) -> Tensor:
    """With zeros at the end of the last axis, unless that is the only one: a bias is no input."""
    return functional.pad(numbers, (0, -numbers.shape[-1] % ALIGNED)) if numbers.dim() > 1 else numbers


def _is_dense(model: Classifier) -> bool:
    return isinstance(model, Headed) and all(isinstance(layer, DENSE) for _, layer in _layers(model))


def _layers(model: Classifier) -> list[tuple[str, nn.Module]]:
    """Those without parts, in the order in which a `Headed` model applies them."""
    return [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
