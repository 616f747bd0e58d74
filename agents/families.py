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
    model = empty_model(family, shape, classes)
    initialise(model, seed)
    return model


def empty_model(family: str, shape: ImageShape, classes: int) -> Classifier:
    """A model of a family whose weights are whatever memory held: for those who fill them in themselves."""
    model = outline(family, shape, classes).to_empty(device="cpu")
    # Pooling and convolution of few channels run two to three times as fast in this layout on a CPU.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def outline(family: str, shape: ImageShape, classes: int) -> Classifier:
    """A model of a family without any memory for weights: names, shapes and types only, and no draws."""
    with torch.device("meta"):
        return FAMILIES[family](shape, classes)


def initialise(model: nn.Module, seed: int) -> None:
    """Draws all weights as torch does by default, U(-1, 1) / sqrt(fan_in), from a generator of `seed`.

    Raises TypeError for a layer whose parameters or buffers it knows no draw for.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        own = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = float(layer.weight[0].numel()) ** -0.5
            for tensor in own:  # drawn beside it, since the order of draws must not follow its layout
                tensor.data.copy_(torch.empty(tensor.shape).uniform_(-bound, bound, generator=generator))
        elif own:
            raise TypeError(
                f"{type(layer).__name__}: a layer with weights or buffers but no keyed draw for them"
            )
