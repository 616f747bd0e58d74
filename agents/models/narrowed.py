"""A part of a network as a network: the first share of the units of every hidden layer, weights and all.
For `agents.server.nested`, where both learn at once."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from agents.models.classifiers import Classifier, Headed


class Narrowed(Classifier):
    """What the first units of another network say; it has no weights but that one's.

    Of each hidden layer, dense or convolution, the first `share` of units is its own, rounded up, and what
    these take in of the layer before; the head reads what is left. Law: with a share of 1 it says what the
    whole says, to the last bit.
    """

    def __init__(self, whole: Headed, share: float) -> None:
        super().__init__()
        self.whole, self.share = whole, share
        self.image_size = whole.image_size

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = images
        for layer in self.whole.body.children():
            hidden = self._through(layer, hidden)
        head = self.whole.head
        return functional.linear(hidden, head.weight[:, : hidden.shape[1]], head.bias), hidden

    def _through(self, layer: nn.Module, hidden: Tensor) -> Tensor:
        if isinstance(layer, nn.Linear):
            own = self._kept(layer.out_features)
            return functional.linear(hidden, layer.weight[:own, : hidden.shape[1]], layer.bias[:own])
        if isinstance(layer, nn.Conv2d):
            own = self._kept(layer.out_channels)
            weight = layer.weight[:own, : hidden.shape[1]]
            bias = None if layer.bias is None else layer.bias[:own]
            return functional.conv2d(hidden, weight, bias, layer.stride, layer.padding)
        through: Tensor = layer(hidden)
        return through

    def _kept(self, units: int) -> int:
        return math.ceil(self.share * units - 1e-9)
