"""torchvision, imported in the one way that also works beside a torch without CUDA.
Whoever needs its models or its downloads asks here."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import NamedTuple

from torch.library import Library

OPERATORS = ("nms", "qnms")


class Import(NamedTuple):
    """torchvision, and the schemas that had to be declared for it (they last as long as this object)."""

    module: ModuleType
    declared: Library | None


def torchvision(part: str) -> ModuleType:
    """A module of torchvision, e.g. `torchvision("models")`."""
    _import()
    return importlib.import_module(f"torchvision.{part}")


@cache
def _import() -> Import:
    """The registry's build of torchvision expects a torch with CUDA: beside one without, its compiled
    operators cannot be loaded, and describing them to the meta device breaks the import. None of them is
    used here, so it is enough to declare what they look like, and only where they are missing.
    """
    try:
        return Import(importlib.import_module("torchvision"), None)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    declared = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in OPERATORS:
        schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        declared.define(schema)  # type: ignore[no-untyped-call]
    return Import(importlib.import_module("torchvision"), declared)
