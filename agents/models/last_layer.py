"""The last layer of a classifier: what makes its logits of its features.
Asked by the server's model, where clients answer from features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.models.classifiers import Classifier, Headed
from agents.models.families import ImageShape, outline
from agents.models.library_models import LibraryClassifier


def last_layer(model: Classifier) -> tuple[Tensor, Tensor]:
    """Weight (classes, width) and bias (classes,) with which features make logits; of a model that tells its
    logits as features the identity. Raises TypeError of a model without a linear head."""
    if isinstance(model, Headed):
        if model.tells_logits:
            classes = model.head.out_features
            return torch.eye(classes), torch.zeros(classes)
        return _of(model.head)
    if isinstance(model, LibraryClassifier):
        head = model.network.get_submodule(model.head_name)
        if isinstance(head, nn.Linear):
            return _of(head)
    raise TypeError(f"{type(model).__name__} has no linear head")


def width_of(family: str, shape: ImageShape, classes: int, image_size: int | None = None) -> int:
    """How many features a model of a family gives, found out without memory for its weights."""
    model = outline(family, shape, classes, image_size).eval()
    return int(model(torch.empty((1, *shape), device="meta"))[1].shape[1])


def _of(head: nn.Linear) -> tuple[Tensor, Tensor]:
    bias = head.bias if head.bias is not None else torch.zeros(head.out_features)
    return head.weight, bias
