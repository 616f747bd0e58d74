"""What a scenario says about what a group's models were trained on, and what its clients are sent.
Part of a group; `agents` makes models, partitions and mixes of traffic from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.schema.values import Count, ImageSize, Instant, Part, Weight, Whole


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


class Iid(Part):
    """Training samples are drawn from the client pool as it is."""

    kind: Literal["iid"] = "iid"


class Dirichlet(Part):
    """Each variant has class shares of its own from a Dirichlet distribution: small alpha, few classes."""

    kind: Literal["dirichlet"]
    alpha: Annotated[float, Field(gt=0, le=1e6)]
    """Concentration: 0.1 leaves a model few classes, 100 nearly the mix of the pool."""


class MissingClasses(Part):
    """The model never saw these classes."""

    kind: Literal["missing_classes"]
    classes: Annotated[tuple[Whole, ...], Field(min_length=1)]
    """The classes left out, by number from 0; at least one class must remain."""


class FewSamples(Part):
    """At most `per_class` training samples of each class."""

    kind: Literal["few_samples"]
    per_class: Count = 2
    """Training samples of each class, at most."""


class DomainShift(Part):
    """The model learned from a corrupted view of the samples, as the group's sensors see them."""

    kind: Literal["domain_shift"]
    noise: Weight = 0.0
    """Standard deviation of Gaussian noise on pixels in [0, 1]."""
    blur: Annotated[float, Field(ge=0, le=1_024)] = 0.0
    """Standard deviation of a Gaussian blur, in pixels."""
    rotate: Annotated[float, Field(ge=-180, le=180)] = 0.0
    """Rotation, in degrees."""


Partition = Annotated[
    Iid | Dirichlet | MissingClasses | FewSamples | DomainShift, Field(discriminator="kind")
]


class Drift(Part):
    """From `at_s` on, classes are drawn with these weights and samples are seen with this noise."""

    at_s: Instant
    """Holds for requests that arrive from then on."""
    classes: tuple[Weight, ...] | None = None
    """Weights of the classes in traffic from then on, one each; null: as before."""
    noise: Weight | None = None
    """Noise on the samples from then on, as in `domain_shift`; null: as before."""


class MixAll(Part):
    """Every client is sent all traffic samples alike."""

    mix: Literal["all"] = "all"
    drift: tuple[Drift, ...] = ()
    """Changes of what is sent, in order of time."""


class MixOwn(Part):
    """Clients are sent what their partition stands for: its classes, or its view of the samples."""

    mix: Literal["own"]
    drift: tuple[Drift, ...] = ()
    """Changes of what is sent, in order of time."""


class MixDirichlet(Part):
    """Every client has class shares of its own from a Dirichlet distribution."""

    mix: Literal["dirichlet"]
    alpha: Annotated[float, Field(gt=0, le=1e6)]
    """Concentration: 0.1 sends a client few classes, 100 nearly all alike."""
    drift: tuple[Drift, ...] = ()
    """Changes of what is sent, in order of time."""


Traffic = Annotated[MixAll | MixOwn | MixDirichlet, Field(discriminator="mix")]
