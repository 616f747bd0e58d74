"""What rejectors take in: the picture, what the client's own model made of it, or both, standardised.
`agents.rejectors.blocks` gathers it per batch; `agents.rejectors.stacked` has the networks that read it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

INPUTS: dict[str, tuple[bool, bool]] = {  # whether it sees the picture, as in the paper, and the features
    "raw": (True, False),
    "features": (False, True),
    "raw+features": (True, True),
}


@dataclass(frozen=True)
class RejectorInput:
    """The input of a block's rejectors, of n samples; None for what they do not see.

    pixels: (n, channels, height, width), one picture for all rows, or (rows, n, ...) with their own;
    features: (models, n, width).
    """

    pixels: Tensor | None
    features: Tensor | None

    def of(self, samples: Tensor) -> RejectorInput:
        """Only these samples."""
        return RejectorInput(
            None if self.pixels is None else self.pixels[samples],
            None if self.features is None else self.features[:, samples],
        )

    def for_rows(self, models: Tensor) -> RejectorInput:
        """With features per row instead of per model, those of each row's entry of `models`, (rows,)."""
        return RejectorInput(self.pixels, None if self.features is None else self.features[models])

    def of_each(self, samples: Tensor, models: Tensor) -> RejectorInput:
        """For each row samples of its own, (rows, n), as its entry of `models` sees them."""
        return RejectorInput(
            None if self.pixels is None else self.pixels[samples],
            None if self.features is None else self.features[models[:, None], samples],
        )

    @property
    def widths(self) -> tuple[tuple[int, ...] | None, int]:
        """The shape of a picture, None if there is none, and the number of features."""
        pixels = None if self.pixels is None else tuple(self.pixels.shape[1:])
        return pixels, 0 if self.features is None else self.features.shape[2]


@dataclass(frozen=True)
class Scale:
    """Shifts and stretches an input so that each of its numbers has mean 0 and spread 1 over the pool."""

    of_pixels: tuple[Tensor, Tensor] | None
    of_features: tuple[Tensor, Tensor] | None

    def apply(self, inputs: RejectorInput) -> RejectorInput:
        """The same input, standardised."""
        return RejectorInput(
            _scaled(inputs.pixels, self.of_pixels), _scaled(inputs.features, self.of_features)
        )


def scale_of(inputs: RejectorInput, picture_is_flat: bool = False) -> Scale:
    """The scale of a pool.

    Beside features a picture that nobody convolves is made smaller by the root of its size, so that all of it
    together weighs as much as one feature: on its own it teaches a network with few samples mostly noise. On
    Fashion-MNIST with 12,000 samples this gained 0.3 to 0.6 points of accuracy at every deferral rate.
    """
    of_pixels = None if inputs.pixels is None else _mean_and_spread(inputs.pixels, dim=0)
    if of_pixels is not None and picture_is_flat and inputs.features is not None:
        of_pixels = of_pixels[0], of_pixels[1] * of_pixels[1].numel() ** 0.5
    return Scale(
        of_pixels,
        None if inputs.features is None else _mean_and_spread(inputs.features, dim=1),
    )


def _scaled(numbers: Tensor | None, scale: tuple[Tensor, Tensor] | None) -> Tensor | None:
    return None if numbers is None or scale is None else (numbers - scale[0]) / scale[1]


def _mean_and_spread(numbers: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Over the samples; a number that hardly ever changes is only shifted."""
    spread = numbers.std(dim=dim, keepdim=True, correction=0)
    return numbers.mean(dim=dim, keepdim=True), torch.where(spread > 1e-6, spread, torch.ones_like(spread))
