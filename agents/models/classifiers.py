"""What every classifier of the simulator is: a network that gives class logits and features.
Below the families; knows how pictures are resized and where the draws of dropout come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim.streams import key


class Classifier(nn.Module):
    """Logits and features of images, which are first resized to `image_size` where that is set.

    Layers that draw in training, such as dropout, draw from a key that the model itself carries as a buffer
    (`draws=True`) and replaces with every training pass. So the draws depend on the model's seed and on the
    passes it has made, never on torch's global generator, and go on as they would have after its state was
    stored and loaded again.
    """

    draw_key: Tensor | None

    def __init__(self, draws: bool = False) -> None:
        super().__init__()
        self.image_size: int | None = None
        self.register_buffer("draw_key", torch.zeros((), dtype=torch.int64) if draws else None)

    def seed_draws(self, seed: int) -> None:
        """Starts the draws of its training passes anew, from `seed`."""
        if self.draw_key is not None:
            self.draw_key.fill_(_next(seed))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(logits (n, classes), features (n, width)) of images (n, channels, height, width)."""
        images = self.resized(images)
        if not self.training or self.draw_key is None or images.is_meta:
            return self.answers(images)
        with drawing_from(int(self.draw_key)):
            self.draw_key.fill_(_next(int(self.draw_key)))
            return self.answers(images)

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, of images in the size that the network works on."""
        raise NotImplementedError

    def resized(self, images: Tensor) -> Tensor:
        """Images in the size that the network works on."""
        size = self.image_size
        if size is None or images.shape[2:] == (size, size):
            return images
        return functional.interpolate(images, (size, size), mode="bilinear", antialias=True)


class Headed(Classifier):
    """A body that maps images to features, and a linear head that maps features to logits.

    The features of a plain linear model would be the picture itself, which a rejector can have as `raw`;
    so with `tells_logits` its features are its logits, which keep the scale that a softmax drops.
    """

    def __init__(
        self, body: nn.Module, head: nn.Linear, *, tells_logits: bool = False, draws: bool = False
    ) -> None:
        super().__init__(draws)
        self.body = body
        self.head = head
        self.tells_logits = tells_logits

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(images)
        logits = self.head(hidden)
        return logits, logits if self.tells_logits else hidden


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Within it torch draws from `seed`; afterwards its global generator is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _next(seed: int) -> int:
    return key(seed, "training pass") >> 1  # 63 bits, since a buffer's integers are signed
