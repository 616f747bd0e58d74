"""What a scenario says about the models of a group's clients.
Part of a group; `agents` makes models from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.scenario.schema.values import Count, ImageSize, Part, Positive


class Scaling(Part):
    """What a model of the user's wants images to be scaled by: (image - mean) / std."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    """Per channel, or one number for all."""
    std: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """As many."""


class ClientModel(Part):
    """The frozen classifier: `variants` models are trained and dealt to the clients in turn."""

    family: str = "linear"
    """`linear`, `mlp`, `small_cnn`, `lenet5`, `alexnet`, `torchvision:NAME` or `timm:NAME`."""
    image_size: ImageSize | None = None
    """Pixels a side to which it resizes what it sees; null: as the family does."""
    train_samples: Count = 200
    """How many samples of the client pool each model learns from, at most."""
    epochs: Count = 30
    """Passes over them; the model is frozen afterwards."""
    variants: Count = 1
    """How many different models the group has, at most one a client."""
    file: str | None = None
    """A model of your own, which is not trained: weights of `family` (.safetensors, .pt) or an .onnx."""
    scaling: Scaling | None = None
    """What images are scaled by for a model of your own; null: they stay between 0 and 1."""
    answers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The variants of a table that the group has, as many as `variants`; null: all that the table has."""
