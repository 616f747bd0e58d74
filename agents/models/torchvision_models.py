"""`torchvision:<name>`: any of torchvision's classifiers as a model family, untrained.
Called by `agents.models.families`; torchvision itself is imported only where such a family is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from agents.models.classifiers import Classifier, drawing_from
from agents.models.vision import torchvision
from sim.errors import BadInput

PREFIX = "torchvision:"
CHANNELS = 3  # what its classifiers take; a grey picture is shown three times

# Their auxiliary heads would answer in training, where one answer is wanted.
WITHOUT_AUXILIARY: dict[str, Any] = {"aux_logits": False, "init_weights": False}
SETTINGS = {"googlenet": WITHOUT_AUXILIARY, "inception_v3": WITHOUT_AUXILIARY}


class TorchvisionClassifier(Classifier):
    """A classifier of torchvision; its features are what its last linear layer, the head, is given.

    All of them may draw in training: dropout, stochastic depth, attention.
    """

    def __init__(self, network: nn.Module, head: str) -> None:
        super().__init__(draws=True)
        self.network = network
        self.head_name = head

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        given: list[Tensor] = []
        head = self.network.get_submodule(self.head_name)
        hook = head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            logits = self.network(images.expand(-1, CHANNELS, -1, -1))
        finally:
            hook.remove()
        return logits, given[0].flatten(start_dim=1)


@cache
def classifiers() -> tuple[str, ...]:
    """The names that may follow `torchvision:`, in alphabetical order."""
    models = torchvision("models")
    return tuple(models.list_models(module=models))


def require_known(family: str, path: str) -> None:
    """Raises BadInput, naming `path`, unless torchvision has such a classifier and that a linear head."""
    name = family.removeprefix(PREFIX)
    if name not in classifiers():
        near = get_close_matches(name, classifiers(), n=1)
        hint = f"; did you mean '{PREFIX}{near[0]}'?" if near else f", such as {PREFIX}{classifiers()[0]}"
        raise BadInput(f"{path}: '{family}' is not a classifier of torchvision{hint}")
    if _head_of(_outline(name, classes=2), classes=2) is None:
        raise BadInput(f"{path}: '{family}' has no linear head, whose input a rejector could look at")


def outline(family: str, classes: int) -> TorchvisionClassifier:
    """A classifier without any memory for weights."""
    return _wrapped(_outline(family.removeprefix(PREFIX), classes), classes).to("meta")


def drawn(family: str, classes: int, seed: int) -> TorchvisionClassifier:
    """A classifier with weights drawn as torchvision draws them, but from `seed` alone."""
    with drawing_from(seed):
        model = _wrapped(_network(family.removeprefix(PREFIX), classes), classes)
    model.seed_draws(seed)
    return model


def _outline(name: str, classes: int) -> nn.Module:
    try:
        with torch.device("meta"):
            return _network(name, classes)
    except NotImplementedError:  # RegNets compute their shapes with tensors, which need memory
        with drawing_from(0):
            return _network(name, classes).to("meta")


def _network(name: str, classes: int) -> nn.Module:
    settings = SETTINGS.get(name, {})
    network: nn.Module = torchvision("models").get_model(name, weights=None, num_classes=classes, **settings)
    return network


def _wrapped(network: nn.Module, classes: int) -> TorchvisionClassifier:
    head = _head_of(network, classes)
    assert head is not None, "require_known() comes first"
    return TorchvisionClassifier(network, head)


def _head_of(network: nn.Module, classes: int) -> str | None:
    """The name of the last linear layer, if that gives the logits."""
    linear = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    name, layer = linear[-1] if linear else ("", None)
    return name if layer is not None and layer.out_features == classes else None
