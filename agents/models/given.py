"""Models whose answers are given: nothing is computed, and what they answer is looked up by sample.
Stands beside the trained ones of `agents.models.frozen`, as a frozen client or as the server."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from agents.brought_names import name_of
from agents.data.tables import client_of
from agents.models.frozen import FrozenClient, Weights, hash_of
from agents.models.outputs import ModelOutput
from agents.models.training import to_tensor
from agents.plan import Plan, Variant
from sim.scenario.files.answers import GivenModel

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


def untrained_clients(plan: Plan) -> dict[Variant, FrozenClient]:
    """The frozen clients of a plan that are given or brought: they took no steps."""
    weights: dict[Variant, Weights] = {}
    for variant in plan.variants:
        group = plan.scenario.fleet[variant.group]
        if plan.given is not None:
            weights[variant] = given_weights(client_of(plan.given, group, variant.number))
        elif plan.is_brought(variant.group):
            weights[variant] = dict(plan.said[name_of(group)])
    steps = np.empty(0, dtype=np.int64)
    return {
        variant: FrozenClient(one, hash_of(one), steps, np.empty(0), np.empty(0))
        for variant, one in weights.items()
    }
