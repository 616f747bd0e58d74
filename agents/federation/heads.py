"""Heads: the last layer of the server's model as each client has it, which learns from its own labels.
Plain NumPy on stacks of heads; `agents.head_rounds` keeps them during a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.federation.merging import Numbers

STACK = 64  # heads that are asked as one; the answer of each depends on its own numbers alone


@dataclass(frozen=True)
class LastLayer:
    """What a server sends back and begins heads with. features: of the sample axis, float32 (n, width);
    weight: float32 (classes, width) and bias: (classes,), of the layer that makes its answers of them."""

    features: Numbers
    weight: Numbers
    bias: Numbers

    def numbers(self) -> Numbers:
        """Weights and bias of the layer side by side, float32 (classes, width + 1)."""
        return np.concatenate([self.weight, self.bias[:, None]], axis=1)


def with_one(features: Numbers) -> Numbers:
    """Features (..., width) with a column of ones, which the bias is weighed by, (..., width + 1)."""
    return np.concatenate([features, np.ones_like(features[..., :1])], axis=-1)


def stepped(
    heads: NDArray[np.float64], inputs: Numbers, labels: NDArray[np.int64], rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A step of gradient descent on the cross-entropy of each head's own batch, and its loss before.

    heads: (k, classes, width + 1); inputs: (k, batch, width + 1); labels: (k, batch); losses (k,). Law: a
    head depends on its own batch alone, to the last bit.
    """
    logits = np.matmul(inputs.astype(np.float64), heads.swapaxes(1, 2))
    logits -= logits.max(axis=2, keepdims=True)
    shares = np.exp(logits)
    shares /= shares.sum(axis=2, keepdims=True)
    rows, places = np.ogrid[: labels.shape[0], : labels.shape[1]]
    loss = -np.log(np.maximum(shares[rows, places, labels], np.finfo(np.float64).tiny)).mean(axis=1)
    shares[rows, places, labels] -= 1.0
    slope = np.matmul(shares.swapaxes(1, 2), inputs.astype(np.float64)) / labels.shape[1]
    return heads - rate * slope, loss


def said(heads: Numbers, inputs: Numbers) -> NDArray[np.int16]:
    """What each head (k, classes, width + 1) says of samples (n, width + 1), int16 (k, n)."""
    parts = [
        np.matmul(inputs, heads[first : first + STACK].swapaxes(1, 2)).argmax(axis=2)
        for first in range(0, len(heads), STACK)
    ]
    found = np.concatenate(parts) if parts else np.empty((0, len(inputs)))
    return found.astype(np.int16)
