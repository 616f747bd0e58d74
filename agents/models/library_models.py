"""`torchvision:<name>`, `timm:<name>`: any classifier of these libraries as a model family, untrained.
Called by `agents.models.families`; a library is imported only where one of its networks is asked for."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from agents.models.classifiers import Classifier, drawing_from
from agents.models.vision import torchvision
from sim.errors import BadInput

CHANNELS = 3  # what its classifiers take; a grey picture is shown three times

# Their auxiliary heads would answer in training, where one answer is wanted.
WITHOUT_AUXILIARY: dict[str, Any] = {"aux_logits": False, "init_weights": False}
SETTINGS = {"googlenet": WITHOUT_AUXILIARY, "inception_v3": WITHOUT_AUXILIARY}


class Library(NamedTuple):
    """names: of its classifiers, in alphabetical order; network: one of them without trained weights, by name
    and number of classes."""

    names: Callable[[], tuple[str, ...]]
    network: Callable[[str, int], nn.Module]


class LibraryClassifier(Classifier):
    """A classifier of a library; its features are what its last linear layer, the head, is given.

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
def torchvision_names() -> tuple[str, ...]:
    """The names that may follow `torchvision:`, in alphabetical order."""
    models = torchvision("models")
    return tuple(models.list_models(module=models))


def torchvision_network(name: str, classes: int) -> nn.Module:
    """A classifier of torchvision."""
    settings = SETTINGS.get(name, {})
    network: nn.Module = torchvision("models").get_model(name, weights=None, num_classes=classes, **settings)
    return network


@cache
def timm_names() -> tuple[str, ...]:
    """The names that may follow `timm:`, in alphabetical order."""
    return tuple(_timm().list_models())


def timm_network(name: str, classes: int) -> nn.Module:
    """A classifier of timm."""
    network: nn.Module = _timm().create_model(name, pretrained=False, num_classes=classes)
    return network


def _timm() -> Any:
    torchvision("models")  # in the way that works beside a torch without CUDA; timm imports it, too
    return import_module("timm")


LIBRARIES = {
    "torchvision": Library(torchvision_names, torchvision_network),
    "timm": Library(timm_names, timm_network),
}


def library_of(family: str) -> str | None:
    """The library of a family `LIBRARY:NAME`; None for a family of our own."""
    library, colon, _ = family.partition(":")
    return library if colon and library in LIBRARIES else None


def require_known(family: str, path: str) -> None:
    """Raises BadInput, naming `path`, unless the library has such a classifier and that a linear head."""
    library, _, name = family.partition(":")
    if not find_spec(library):
        raise BadInput(f"{path}: '{family}' needs {library}: pip install {library}")
    names = LIBRARIES[library].names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean '{library}:{near[0]}'?" if near else f", such as {library}:{names[0]}"
        raise BadInput(f"{path}: '{family}' is not a classifier of {library}{hint}")
    if _head_of(_outline(family, classes=2), classes=2) is None:
        raise BadInput(f"{path}: '{family}' has no linear head, whose input a rejector could look at")


def outline(family: str, classes: int) -> LibraryClassifier:
    """A classifier without any memory for weights."""
    return _wrapped(_outline(family, classes), classes).to("meta")


def drawn(family: str, classes: int, seed: int) -> LibraryClassifier:
    """A classifier with weights drawn as the library draws them, but from `seed` alone."""
    with drawing_from(seed):
        model = _wrapped(_network(family, classes), classes)
    model.seed_draws(seed)
    return model


def _outline(family: str, classes: int) -> nn.Module:
    try:
        with torch.device("meta"):
            return _network(family, classes)
    except NotImplementedError:  # RegNets compute their shapes with tensors, which need memory
        with drawing_from(0):
            return _network(family, classes).to("meta")


def _network(family: str, classes: int) -> nn.Module:
    library, _, name = family.partition(":")
    return LIBRARIES[library].network(name, classes)


def _wrapped(network: nn.Module, classes: int) -> LibraryClassifier:
    head = _head_of(network, classes)
    assert head is not None, "require_known() comes first"
    return LibraryClassifier(network, head)


def _head_of(network: nn.Module, classes: int) -> str | None:
    """The name of the last linear layer, if that gives the logits."""
    linear = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    name, layer = linear[-1] if linear else ("", None)
    return name if layer is not None and layer.out_features == classes else None
