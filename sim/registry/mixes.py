"""Mixes of traffic: which samples a group's clients are asked about, and how that drifts during the run.
Their code stands in `agents.data.partitions`, which makes the phases that `sim.world.traffic` draws from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import Instant, Part, Weight


class Drift(Part):
    """From `at_s` on, classes are drawn with these weights and samples are seen with this noise."""

    at_s: Instant
    """Holds for requests that arrive from then on."""
    classes: tuple[Weight, ...] | None = None
    """Weights of the classes in traffic from then on, one each; null: as before."""
    noise: Weight | None = None
    """Noise on the samples from then on, as in `domain_shift`; null: as before."""


class TrafficMix(Kind):
    """What a kind of mix has; each says in `drift` how it changes."""

    mix: str
    if TYPE_CHECKING:
        drift: tuple[Drift, ...]


MIXES: PartFamily[TrafficMix] = PartFamily("mix", "traffic mix", tag="mix")


@MIXES.part
class MixAll(TrafficMix):
    """Every client is sent all traffic samples alike."""

    mix: Literal["all"] = "all"
    drift: tuple[Drift, ...] = ()
    """Changes of what is sent, in order of time."""


@MIXES.part
class MixOwn(TrafficMix):
    """Clients are sent what their partition stands for: its classes, or its view of the samples."""

    mix: Literal["own"]
    drift: tuple[Drift, ...] = ()
    """Changes of what is sent, in order of time."""


@MIXES.part
class MixDirichlet(TrafficMix):
    """Every client has class shares of its own from a Dirichlet distribution."""

    mix: Literal["dirichlet"]
    examples: ClassVar[Examples] = {"dirichlet": {"alpha": 0.3}}
    alpha: Annotated[float, Field(gt=0, le=1e6)]
    """Concentration: 0.1 sends a client few classes, 100 nearly all alike."""
    drift: tuple[Drift, ...] = ()
    """Changes of what is sent, in order of time."""


if TYPE_CHECKING:
    Traffic = TrafficMix
else:
    Traffic = MIXES.union()
