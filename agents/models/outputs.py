"""What a model makes of samples, whoever it is: a network that is shown pictures, or one that a user brought.
The one place where a model meets a plan; asked by shards, rejectors and the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from agents.models.families import Classifier
from agents.models.frozen import Weights, weights_of
from agents.models.training import read, to_tensor
from agents.plan import Plan


@dataclass(frozen=True)
class ModelOutput:
    """Of n samples: logits float32 (n, classes), of width 0 where only answers are known; features float32
    (n, width); answer int64 (n,), -1 where answers are graded; right: bool (n,), or the grades, float32.
    """

    logits: Tensor
    features: Tensor
    answer: Tensor
    right: Tensor


class Brought(Protocol):
    """A frozen model that is no network of a family. weights: all that decides what it answers."""

    weights: Weights

    def output(self, plan: Plan, sample_ids: NDArray[np.int32]) -> ModelOutput:
        """What it makes of samples. Law: a sample's numbers do not depend on the others."""


FrozenModel = Classifier | Brought


def output_of(model: FrozenModel, plan: Plan, sample_ids: NDArray[np.int32]) -> ModelOutput:
    """What a model makes of samples of a plan, in evaluation mode."""
    if not isinstance(model, Classifier):
        return model.output(plan, sample_ids)
    logits, features = read(model, plan.images[sample_ids])
    answer = logits.argmax(dim=1)
    return ModelOutput(logits, features, answer, answer == to_tensor(plan.labels(sample_ids)))


def frozen_weights(model: FrozenModel) -> Weights:
    """What a model is frozen by, as it is now."""
    return weights_of(model) if isinstance(model, Classifier) else model.weights
