"""What a scenario says about the models of a group's clients.
Part of a group; `agents` makes models from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.scenario.schema.values import Count, ImageSize, Part


class ClientModel(Part):
    """The frozen classifier: `variants` models are trained and dealt to the clients in turn."""

    family: str = "linear"
    """`linear`, `mlp`, `small_cnn`, `lenet5`, `alexnet` or `torchvision:NAME`."""
    image_size: ImageSize | None = None
    """Pixels a side to which it resizes what it sees; null: as the family does."""
    train_samples: Count = 200
    """How many samples of the client pool each model learns from, at most."""
    epochs: Count = 30
    """Passes over them; the model is frozen afterwards."""
    variants: Count = 1
    """How many different models the group has, at most one a client."""
    answers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The variants of a table that the group has, as many as `variants`; null: all that the table has."""
