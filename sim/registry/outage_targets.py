"""What an outage hits, and how badly: targets and effects, each with its kinds.
What they leave of server and links, `sim.world.outages.capacity` and `.links` put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import Count, Name, Share


class OutageTarget(Kind):
    """What a kind of target gives.

    hits_links: whether it is links that it hits, and not a server or part of it.
    """

    kind: str
    hits_links: ClassVar[bool] = False

    @property
    def is_each(self) -> bool:
        """Whether what it hits fails each at times of its own."""
        return False

    def told(self) -> str:
        """How tables name it."""
        return self.kind

    def replicas(self, most: int) -> int:
        """How many replicas it hits of `most`, counted from the highest index."""
        return most


TARGETS: PartFamily[OutageTarget] = PartFamily("outage_target", "target of an outage")


@TARGETS.part
class ServerTarget(OutageTarget):
    """The whole server."""

    kind: Literal["server"] = "server"


@TARGETS.part
class ReplicasTarget(OutageTarget):
    """`count` replicas: of those that other outages leave, the ones with the highest indices."""

    kind: Literal["replicas"]
    examples: ClassVar[Examples] = {"replicas": {"count": 1}}
    count: Count
    """How many replicas."""
    each: bool = False
    """Whether each of them fails at times of its own."""

    @property
    def is_each(self) -> bool:
        return self.each

    def told(self) -> str:
        return f"replicas:{self.count}"

    def replicas(self, _most: int) -> int:
        return self.count


@TARGETS.part
class ServersTarget(OutageTarget):
    """Several servers at once, such as those of one site."""

    kind: Literal["servers"]
    examples: ClassVar[Examples] = {"servers": {"names": ("edge", "cloud")}}
    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of the servers."""

    def told(self) -> str:
        return "servers:" + "+".join(self.names)


@TARGETS.part
class LinksTarget(OutageTarget):
    """The links of a share of the groups' clients: cut together, or (not `correlated`) each on its own."""

    kind: Literal["links"]
    examples: ClassVar[Examples] = {"links": {"groups": ("devices",), "share": 0.5}}
    hits_links: ClassVar[bool] = True
    groups: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of the groups."""
    share: Share = 1.0
    """Share of their clients."""
    correlated: bool = True
    """Whether all of them share one time line."""

    @property
    def is_each(self) -> bool:
        return not self.correlated

    def told(self) -> str:
        return "links:" + "+".join(self.groups)

    def replicas(self, _most: int) -> int:
        return 0


class OutageEffect(Kind):
    """What a kind of effect gives.

    stops: whether what is hit does not work at all while it lasts.
    """

    kind: str
    stops: ClassVar[bool]

    def slows_by(self) -> float:
        """How many times as long what begins in it takes."""
        return 1.0


EFFECTS: PartFamily[OutageEffect] = PartFamily("outage_effect", "effect of an outage")


@EFFECTS.part
class Down(OutageEffect):
    """Does not work at all."""

    kind: Literal["down"] = "down"
    stops: ClassVar[bool] = True


@EFFECTS.part
class Slowdown(OutageEffect):
    """Batches, or transfers over links, that start in it take longer."""

    kind: Literal["slowdown"]
    examples: ClassVar[Examples] = {"slowdown": {"factor": 3.0}}
    stops: ClassVar[bool] = False
    factor: Annotated[float, Field(ge=1, le=1e6)]
    """So many times as long."""

    def slows_by(self) -> float:
        return self.factor


if TYPE_CHECKING:
    Target = OutageTarget
    Effect = OutageEffect
else:
    Target, Effect = TARGETS.union(), EFFECTS.union()
