"""Models whose answers are given: nothing is computed, and what they answer is looked up by sample.
Stands beside the trained ones of `agents.models.frozen`, as a frozen client or as the server."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from agents.models.frozen import FrozenClient, Weights, hash_of
from agents.models.outputs import ModelOutput
from agents.models.training import to_tensor
from agents.plan import Plan
from sim.scenario.files.answers import GivenModel

NOTHING = np.empty(0)
PARTS = ("label", "quality", "logits")


class GivenAnswers:
    """A frozen model that answers what a table says, whatever view a sample comes in.

    Its weights are its answers, so that it is hashed as every frozen model is.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def output(self, plan: Plan, sample_ids: NDArray[np.int32]) -> ModelOutput:
        """What it says of samples."""
        data = plan.data
        at = sample_ids % data.size
        logits = self.weights.get("logits")
        known = torch.empty((len(at), 0)) if logits is None else to_tensor(logits[at])
        nothing = torch.empty((len(at), 0))
        if "quality" in self.weights:
            answer = torch.full((len(at),), -1, dtype=torch.int64)
            return ModelOutput(known, nothing, answer, to_tensor(self.weights["quality"][at]))
        label = self.weights["label"][at]
        return ModelOutput(
            known, nothing, to_tensor(label.astype(np.int64)), to_tensor(label == data.labels[at])
        )


def given_weights(model: GivenModel) -> Weights:
    """The answers of a model of a table, by name."""
    parts = {name: getattr(model, name) for name in PARTS}
    return {name: part for name, part in parts.items() if part is not None}


def frozen_of(model: GivenModel) -> FrozenClient:
    """A variant as a frozen client; it took no steps."""
    weights = given_weights(model)
    return FrozenClient(weights, hash_of(weights), NOTHING.astype(np.int64), NOTHING, NOTHING)
