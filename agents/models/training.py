"""What training loops share: batches in a keyed order, a step of a classifier, reading its answers.
Used by the frozen clients and the server; the rejectors share the order of batches only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.models.families import Classifier
from agents.models.optimisers import Adam, Optimiser, Sgd
from agents.rejectors.losses import server_loss
from sim.errors import RunFailed, Stage
from sim.scenario.schema.training import Pretrain

Tick = Callable[[int, int], None]  # told (done, total) as work proceeds
SMALLER = "; a smaller learning rate may help"
CHUNK = 1024  # samples per forward pass; fixed, since another size may change the last bit


def quietly(_done: int, _total: int) -> None:
    """A `Tick` that tells nobody."""


class Seen(NamedTuple):
    """What a network makes of n pictures: logits float32 (n, classes), features float32 (n, width)."""

    logits: Tensor
    features: Tensor


def to_tensor(array: NDArray[np.generic]) -> Tensor:
    """A copy of an array in memory that torch aligns: object-store arrays are read-only and lie anywhere."""
    return torch.tensor(array)


def batch_order(
    generators: Sequence[np.random.Generator], size: int, batch: int
) -> Iterator[NDArray[np.int64]]:
    """Endless batches of indices below `size`, int64 (rows, min(batch, size)), a row per generator.

    Each row walks through a permutation before it starts the next, so over any stretch the counts of two
    samples differ by at most one at the end of a pass.
    """
    batch = min(batch, size)
    waiting = np.empty((len(generators), 0), dtype=np.int64)
    while True:
        if waiting.shape[1] < batch:
            fresh = np.stack([generator.permutation(size) for generator in generators])
            waiting = np.concatenate([waiting, fresh], axis=1)
        yield waiting[:, :batch]
        waiting = waiting[:, batch:]


def optimiser_of(
    pretrain: Pretrain,
    parameters: Iterable[Tensor],
    rate: float,
    weight_decay: float = 0.0,
    fused: bool = False,
) -> Optimiser:
    """The optimiser of pretraining. Weight decay is decoupled from the loss (Loshchilov and Hutter 2019),
    which for SGD is the same as a penalty.

    fused: each weight is touched once a step, which halves the time of AlexNet's steps. Not for stacked
    rejectors: it may round a tensor's last few numbers otherwise, so a row's bits could tell how many it
    was stacked with.
    """
    if pretrain.optimiser == "sgd":
        return Sgd(parameters, rate, pretrain.momentum, weight_decay, fused)
    return Adam(parameters, rate, weight_decay, fused)


def classifier_step(
    model: Classifier,
    optimiser: Optimiser,
    images: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
) -> tuple[float, float]:
    """One step of stage 1; returns the batch's loss and accuracy, both before the step."""
    logits, _ = model(images)
    loss = server_loss(logits, labels, weights)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.item(), (logits.argmax(dim=1) == labels).double().mean().item()


@torch.no_grad()
def read(model: Classifier, images: NDArray[np.float32]) -> Seen:
    """A model's logits and features for images (n, channels, height, width), in evaluation mode."""
    model.eval()
    parts = [model(to_tensor(images[start : start + CHUNK])) for start in range(0, len(images), CHUNK)]
    return Seen(torch.cat([logits for logits, _ in parts]), torch.cat([hidden for _, hidden in parts]))


def require_finite(numbers: float | NDArray[np.generic], stage: Stage, who: str, what: str) -> None:
    """Raises RunFailed in `stage`, saying of whom and what, if one of `numbers` is not finite."""
    if not np.isfinite(numbers).all():
        raise RunFailed(stage, f"{who}: {what}{SMALLER}")
