"""Frozen clients: a recipe says all that determines one, training it gives weights that never change again.
`agents.models.client_cache` keeps them on disk; `agents.backends.client_shard` puts them to use."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from agents.models.families import Classifier, model_of
from agents.models.library_models import library_of
from agents.models.optimisers import Adam, Optimiser
from agents.models.stacked_clients import Stack, rows_at_once, stack_of
from agents.models.training import batch_order, require_finite, to_tensor
from agents.plan import CLIENT_BATCH, Plan, Variant
from sim.registry.families import model_family
from sim.streams import key, stream

RECIPE_VERSION = 3  # raise it when training below, or a family's network, changes: old cache files then miss

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
            "batch": CLIENT_BATCH,
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
    known = model_family(family)
    assert known is not None  # checked when the scenario was
    return known.learning_rate


def _foreign_version(family: str) -> str | None:
    """The version of the library whose network it is."""
    library = library_of(family)
    return version(library) if library else None


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


def stacks(plan: Plan, variants: Sequence[Variant]) -> list[list[Variant]]:
    """`variants` in groups whose recipes `train` can take at once, no larger than memory likes."""
    shape, classes = plan.data.image_shape, plan.data.classes
    alike: dict[tuple[str, int | None, int, int], list[Variant]] = {}
    for variant in variants:
        model = plan.scenario.fleet[variant.group].model
        samples = len(plan.trains_on[variant.group][variant.number])
        alike.setdefault((model.family, model.image_size, model.epochs, samples), []).append(variant)
    results = []
    for (family, image_size, _, samples), of_shape in alike.items():
        rows = rows_at_once(family, shape, classes, samples, image_size)
        results += [of_shape[start : start + rows] for start in range(0, len(of_shape), rows)]
    return results


def train(recipes: Sequence[Recipe]) -> list[FrozenClient]:
    """Clients trained from scratch with Adam on cross-entropy, of recipes with the same network, epochs and
    number of pictures, as in `stacks`.

    Law: a client has the same bits whichever others are trained beside it. Raises RunFailed, naming owner
    and step, if one diverges.
    """
    first, samples = recipes[0], len(recipes[0].labels)
    seeds = [key(each.seed, "client model", each.place, each.number) for each in recipes]
    stack = stack_of(first.family, first.images.shape[1:], first.classes, seeds, first.image_size)
    optimiser = Adam(stack.parameters, learning_rate(first.family))
    images = torch.cat([to_tensor(each.images) for each in recipes])
    labels = torch.cat([to_tensor(each.labels.astype(np.int64)) for each in recipes])
    begins = samples * np.arange(len(recipes))[:, None]
    draws = [stream(each.seed, "client order", each.place, each.number) for each in recipes]
    order = batch_order(draws, samples, CLIENT_BATCH)
    steps = -(-samples // CLIENT_BATCH)
    curve = np.zeros((first.epochs, steps, 2, len(recipes)))
    for epoch in range(first.epochs):
        for step in range(steps):
            chosen = torch.from_numpy(next(order) + begins)
            seen = images.index_select(0, chosen.flatten()).view(*chosen.shape, *images.shape[1:])
            curve[epoch, step] = _step(stack, optimiser, seen, labels[chosen])
        _require_finite(curve[: epoch + 1, :, 0], recipes)
    return [_frozen(stack.state(row), curve[..., row], recipe) for row, recipe in enumerate(recipes)]


def _step(stack: Stack, optimiser: Optimiser, images: Tensor, labels: Tensor) -> Tensor:
    """One step of every row; their losses and accuracies before it, float64 (2, rows)."""
    logits = stack.logits(images)
    each = functional.cross_entropy(logits.flatten(end_dim=1), labels.flatten(), reduction="none")
    loss = each.view(labels.shape).mean(dim=1)
    optimiser.zero_grad()
    loss.sum().backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return torch.stack([loss.detach().double(), (logits.argmax(dim=2) == labels).double().mean(dim=1)])


def _require_finite(losses: NDArray[np.float64], recipes: Sequence[Recipe]) -> None:
    """Raises RunFailed for the first loss, in order of steps, that is not finite; (epochs, steps, rows)."""
    by_step = losses.reshape(-1, len(recipes))
    for step, row in np.argwhere(~np.isfinite(by_step))[:1]:
        problem = f"the loss is {by_step[step, row]} at step {step}"
        require_finite(by_step[step, row], "build", recipes[row].owner, problem)


def _frozen(state: Mapping[str, Tensor], curve: NDArray[np.float64], recipe: Recipe) -> FrozenClient:
    """What became of a recipe. curve: loss and accuracy of each step, (epochs, steps, 2)."""
    weights = arrays(state)
    for name, array in weights.items():  # the last step comes after the last loss
        require_finite(array, "build", recipe.owner, f"{name} has a weight that is not a finite number")
    losses, accuracies = curve.mean(axis=1).T.copy()
    taken = np.arange(1, recipe.epochs + 1) * curve.shape[1]
    return FrozenClient(weights, hash_of(weights), taken, losses, accuracies)


def live_model(plan: Plan, variant: Variant, weights: Weights) -> Classifier:
    """A live model with frozen weights: evaluation mode, and no gradient can reach it."""
    asked = plan.scenario.fleet[variant.group].model
    state = {name: to_tensor(array) for name, array in weights.items()}
    model = model_of(asked.family, plan.data.image_shape, plan.data.classes, state, asked.image_size)
    return model.eval().requires_grad_(False)


def weights_of(model: Classifier) -> Weights:
    """A copy of a model's parameters and buffers."""
    return arrays(model.state_dict())


def arrays(state: Mapping[str, Tensor]) -> Weights:
    """Copies of tensors as arrays in C order, whatever their layout in memory."""
    return {name: tensor.detach().numpy().copy(order="C") for name, tensor in state.items()}


def hash_of(weights: Weights) -> str:
    """sha256 over names, types, shapes and bytes in order of name, hexadecimal."""
    content = sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        content.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        content.update(array.tobytes())
    return content.hexdigest()
