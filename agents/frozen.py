"""Frozen clients: a recipe says all that determines one, training it gives weights that never change again.
`agents.client_cache` keeps them on disk; `agents.client_shard` puts them to use."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from agents.families import Classifier, empty_model, new_model
from agents.plan import Plan, Variant
from agents.torchvision_models import PREFIX
from agents.training import batch_order, classifier_step, require_finite, to_tensor
from sim.streams import key, stream

BATCH = 32
LEARNING_RATE = 0.01
LEARNING_RATES = {"lenet5": 1e-3, "alexnet": 1e-4, "torchvision": 1e-3}  # deeper networks need smaller steps
RECIPE_VERSION = 1  # raise it when training below, or a family's network, changes: old cache files then miss

Weights = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Recipe:
    """All that determines a frozen client; the pictures stand for data set, samples, order and view."""

    owner: str  # for error messages only
    family: str
    image_size: int | None
    classes: int
    epochs: int
    seed: int
    place: int
    number: int
    images: NDArray[np.float32]
    labels: NDArray[np.int16]

    @cached_property
    def digest(self) -> str:
        """A content hash, hexadecimal: two recipes with the same digest give the same weights."""
        facts = {
            "version": RECIPE_VERSION,
            "torch": torch.__version__,
            "machine": [platform.machine(), torch.backends.cpu.get_cpu_capability()],  # both move last bits
            "family": [self.family, self.image_size, _foreign_version(self.family)],
            "classes": self.classes,
            "epochs": self.epochs,
            "batch": BATCH,
            "learning_rate": learning_rate(self.family),
            "seed": [self.seed, self.place, self.number],
            "shape": self.images.shape,
        }
        content = sha256(json.dumps(facts, sort_keys=True).encode())
        content.update(np.ascontiguousarray(self.images).tobytes())
        content.update(np.ascontiguousarray(self.labels).tobytes())
        return content.hexdigest()


def learning_rate(family: str) -> float:
    """Adam's rate for the clients of a family."""
    return LEARNING_RATES.get(family.partition(":")[0], LEARNING_RATE)


def _foreign_version(family: str) -> str | None:
    """The version of torchvision where the network is one of its own."""
    return version("torchvision") if family.startswith(PREFIX) else None


@dataclass(frozen=True)
class FrozenClient:
    """A trained client: its weights, their hash, and per epoch the steps taken by its end, int64, and the
    mean loss and accuracy of its batches, float64, all (epochs,).
    """

    weights: Weights
    weight_hash: str
    steps: NDArray[np.int64]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def owner(plan: Plan, variant: Variant) -> str:
    """What messages call a frozen client."""
    return f"group {plan.scenario.fleet[variant.group].group}, client model {variant.number}"


def recipe_for(plan: Plan, variant: Variant) -> Recipe:
    """The recipe of one variant of a planned fleet."""
    group = plan.scenario.fleet[variant.group]
    sample_ids = plan.trains_on[variant.group][variant.number]
    return Recipe(
        owner=owner(plan, variant),
        family=group.model.family,
        image_size=group.model.image_size,
        classes=plan.data.classes,
        epochs=group.model.epochs,
        seed=plan.scenario.seed,
        place=variant.group,
        number=variant.number,
        images=plan.images[sample_ids],
        labels=plan.labels(sample_ids),
    )


def train(recipe: Recipe) -> FrozenClient:
    """A client trained from scratch with Adam on cross-entropy. Raises RunFailed if it diverges."""
    entity = (recipe.seed, "client model", recipe.place, recipe.number)
    shape = recipe.images.shape[1:]
    model = new_model(recipe.family, shape, recipe.classes, key(*entity), recipe.image_size)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate(recipe.family))
    images, labels = to_tensor(recipe.images), to_tensor(recipe.labels.astype(np.int64))
    order = batch_order([stream(recipe.seed, "client order", *entity[2:])], len(labels), BATCH)
    steps = -(-len(labels) // BATCH)
    curve = np.zeros((recipe.epochs, steps, 2))
    for epoch in range(recipe.epochs):
        for step in range(steps):
            chosen = torch.from_numpy(next(order)[0])
            curve[epoch, step] = classifier_step(model, optimiser, images[chosen], labels[chosen])
            loss = curve[epoch, step, 0]
            told = f"the loss is {loss} at step {epoch * steps + step}"
            require_finite(loss, "build", recipe.owner, told)
    weights = weights_of(model)
    for name, array in weights.items():  # the last step comes after the last loss
        require_finite(array, "build", recipe.owner, f"{name} has a weight that is not a finite number")
    losses, accuracies = curve.mean(axis=1).T.copy()
    taken = np.arange(1, recipe.epochs + 1) * steps
    return FrozenClient(weights, hash_of(weights), taken, losses, accuracies)


def live_model(plan: Plan, variant: Variant, weights: Weights) -> Classifier:
    """A live model with frozen weights: evaluation mode, and no gradient can reach it."""
    asked = plan.scenario.fleet[variant.group].model
    model = empty_model(asked.family, plan.data.image_shape, plan.data.classes, asked.image_size)
    model.load_state_dict({name: to_tensor(array) for name, array in weights.items()})
    return model.eval().requires_grad_(False)


def weights_of(model: Classifier) -> Weights:
    """A copy of a model's parameters and buffers as arrays in C order, whatever their layout in memory."""
    return {name: tensor.detach().numpy().copy(order="C") for name, tensor in model.state_dict().items()}


def hash_of(weights: Weights) -> str:
    """sha256 over names, types, shapes and bytes in order of name, hexadecimal."""
    content = sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        content.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        content.update(array.tobytes())
    return content.hexdigest()
