"""Partitions: which samples a client's frozen model was trained on, and how it sees them.
Their code stands in `agents.data.partitions`; rules and estimates of memory ask here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import Count, Weight, Whole


class TrainingPartition(Kind):
    """What is known of a kind of partition.

    has_view: whether the group sees samples in a view of its own. is_per_variant: whether each variant has
    class shares of its own.
    """

    kind: str
    has_view: ClassVar[bool] = False
    is_per_variant: ClassVar[bool] = False


PARTITIONS: PartFamily[TrainingPartition] = PartFamily("partition", "partition")


@PARTITIONS.part
class Iid(TrainingPartition):
    """Training samples are drawn from the client pool as it is."""

    kind: Literal["iid"] = "iid"


@PARTITIONS.part
class Dirichlet(TrainingPartition):
    """Each variant has class shares of its own from a Dirichlet distribution: small alpha, few classes."""

    kind: Literal["dirichlet"]
    examples: ClassVar[Examples] = {"dirichlet": {"alpha": 0.3}}
    is_per_variant: ClassVar[bool] = True
    alpha: Annotated[float, Field(gt=0, le=1e6)]
    """Concentration: 0.1 leaves a model few classes, 100 nearly the mix of the pool."""


@PARTITIONS.part
class MissingClasses(TrainingPartition):
    """The model never saw these classes."""

    kind: Literal["missing_classes"]
    examples: ClassVar[Examples] = {"missing_classes": {"classes": (0, 3)}}
    classes: Annotated[tuple[Whole, ...], Field(min_length=1)]
    """The classes left out, by number from 0; at least one class must remain."""


@PARTITIONS.part
class FewSamples(TrainingPartition):
    """At most `per_class` training samples of each class."""

    kind: Literal["few_samples"]
    per_class: Count = 2
    """Training samples of each class, at most."""


@PARTITIONS.part
class DomainShift(TrainingPartition):
    """The model learned from a corrupted view of the samples, as the group's sensors see them."""

    kind: Literal["domain_shift"]
    examples: ClassVar[Examples] = {"domain_shift": {"noise": 0.2}}
    has_view: ClassVar[bool] = True
    noise: Weight = 0.0
    """Standard deviation of Gaussian noise on pixels in [0, 1]."""
    blur: Annotated[float, Field(ge=0, le=1_024)] = 0.0
    """Standard deviation of a Gaussian blur, in pixels."""
    rotate: Annotated[float, Field(ge=-180, le=180)] = 0.0
    """Rotation, in degrees."""


@PARTITIONS.part
class Ids(TrainingPartition):
    """Each variant has the samples that a file lists for it, those of the client pool among them."""

    kind: Literal["ids"]
    examples: ClassVar[Examples] = {"ids": {"file": "partitions.json"}}
    is_per_variant: ClassVar[bool] = True
    file: str
    """JSON, a list of sample numbers for each variant; or CSV or Parquet: columns `partition`, `sample`."""


if TYPE_CHECKING:
    Partition = TrainingPartition
else:
    Partition = PARTITIONS.union()
