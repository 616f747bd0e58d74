"""Model families: networks that give class logits and the features a rejector may look at.
A new family is one builder and one line of `FAMILIES`; clients and the server choose from the same table."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

ImageShape = tuple[int, int, int]


class Classifier(nn.Module):
    """A body that maps images to features, and a linear head that maps features to logits.

    `hidden` of a plain linear model would be the picture itself, which a rejector can have as `raw`;
    so with `tells_logits` its features are its logits, which keep the scale that a softmax drops.
    """

    def __init__(self, body: nn.Module, head: nn.Linear, tells_logits: bool = False) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.tells_logits = tells_logits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(logits (n, classes), features (n, width)) of images (n, channels, height, width)."""
        hidden = self.body(images)
        logits = self.head(hidden)
        return logits, logits if self.tells_logits else hidden


def linear(shape: ImageShape, classes: int) -> Classifier:
    """Multinomial logistic regression on pixels."""
    channels, height, width = shape
    return Classifier(nn.Flatten(), nn.Linear(channels * height * width, classes), tells_logits=True)


def mlp(shape: ImageShape, classes: int) -> Classifier:
    """One hidden layer of 64."""
    channels, height, width = shape
    body = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 64), nn.ReLU())
    return Classifier(body, nn.Linear(64, classes))


def small_cnn(shape: ImageShape, classes: int) -> Classifier:
    """Three 3x3 convolutions, pooled to 4x4 whatever the picture's size, and a hidden layer of 128."""
    body = nn.Sequential(
        nn.Conv2d(shape[0], 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128),
        nn.ReLU(),
    )
    return Classifier(body, nn.Linear(128, classes))


FAMILIES: dict[str, Callable[[ImageShape, int], Classifier]] = {
    "linear": linear,
    "mlp": mlp,
    "small_cnn": small_cnn,
}


def new_model(family: str, shape: ImageShape, classes: int, seed: int) -> Classifier:
    """A model of a family with weights drawn from `seed` alone; torch's global generator is not touched."""
    with torch.device("meta"):  # no memory and no draws until the keyed ones below
        model = FAMILIES[family](shape, classes)
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            _initialise(layer, generator)
    # Pooling and convolution of few channels run two to three times as fast in this layout on a CPU.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _initialise(layer: nn.Linear | nn.Conv2d, generator: torch.Generator) -> None:
    """torch's own default, U(-1, 1) / sqrt(fan_in) for weights and bias, from an explicit generator."""
    bound = float(layer.weight[0].numel()) ** -0.5
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
