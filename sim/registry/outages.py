"""Outages: when something does not work, what that is, and how badly; each has its kinds.
Times are drawn by `sim.world.outages`, whose time lines `capacity` and `links` then put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sim.registry.durations import Duration, Exponential, PositiveDuration, mean_s
from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.files.rows import BadFile
from sim.scenario.schema.values import Count, Instant, Name, PositiveShare, Share, Span
from sim.world.outages.downtime import Downtime
from sim.world.outages.drawn import Hit, Times, drawn
from sim.world.outages.trace import read_trace


class OutageWhen(Kind):
    """What a kind of times gives.

    may_differ: whether links that are not hit together can have times of their own.
    """

    kind: str
    may_differ: ClassVar[bool] = True

    def times(self, hit: Hit) -> Times:
        """When it happens, up to the horizon. The law: a longer horizon only adds to it."""
        raise NotImplementedError

    def cycle_s(self) -> float:
        """The mean time from one outage to the next; 0 where times are not drawn, or nothing says it."""
        return 0.0


WHEN: PartFamily[OutageWhen] = PartFamily("outage", "time of an outage")


@WHEN.part
class Intervals(OutageWhen):
    """Half-open intervals [from, to) in seconds of virtual time."""

    kind: Literal["intervals"]
    examples: ClassVar[Examples] = {"intervals": {"at": ((10.0, 20.0), (40.0, 45.0))}}
    may_differ: ClassVar[bool] = False
    at: Annotated[tuple[tuple[Instant, Instant], ...], Field(min_length=1)]
    """Pairs of instants in seconds."""

    def times(self, _hit: Hit) -> Times:
        return Downtime(self.at), {}


@WHEN.part
class Renewal(OutageWhen):
    """Up and down times in turn, beginning with an up time."""

    kind: Literal["renewal"]
    examples: ClassVar[Examples] = {"renewal": {"up": 30.0, "down": {"kind": "exponential", "mean_s": 5.0}}}
    up: PositiveDuration
    """Up time, MTBF: a number of seconds, or a distribution."""
    down: PositiveDuration
    """Down time, MTTR: a number of seconds, or a distribution."""

    def times(self, hit: Hit) -> Times:
        return drawn(hit, self.up, self.down, 1.0)

    def cycle_s(self) -> float:
        return _mean_or_nothing(self.up) + _mean_or_nothing(self.down)


@WHEN.part
class Intermittent(OutageWhen):
    """Exponential up and down times, in equilibrium at t = 0."""

    kind: Literal["intermittent"]
    examples: ClassVar[Examples] = {"intermittent": {"availability": 0.8, "mean_cycle_s": 20.0}}
    availability: PositiveShare
    """Share of the time up."""
    mean_cycle_s: Span
    """Mean up time plus mean down time."""

    def times(self, hit: Hit) -> Times:
        """A two-state Markov process: it begins down with probability 1 − availability."""
        up_s = self.availability * self.mean_cycle_s
        return drawn(hit, _exponential(up_s), _exponential(self.mean_cycle_s - up_s), self.availability)

    def cycle_s(self) -> float:
        return self.mean_cycle_s


@WHEN.part
class TraceOutage(OutageWhen):
    """Periods from a CSV or Parquet file, such as the `outages.parquet` that a run leaves."""

    kind: Literal["trace"]
    examples: ClassVar[Examples] = {"trace": {"file": "outages.csv"}}
    file: str
    """CSV or Parquet with `from_s` and `until_s`."""

    def times(self, hit: Hit) -> Times:
        known = hit.clients if hit.outage.target.hits_links else 0
        target, effect = hit.outage.target_name, hit.outage.effect.kind
        shared, own = read_trace(self.file, target, effect, known, hit.number)
        mine = set(hit.members.tolist())
        return shared, {client: own[client] for client in sorted(own) if client in mine}


class OutageTarget(Kind):
    """What a kind of target gives.

    hits_links: whether it is links that it hits, and not the server or part of it.
    """

    kind: str
    hits_links: ClassVar[bool] = False

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

    def told(self) -> str:
        return f"replicas:{self.count}"

    def replicas(self, _most: int) -> int:
        return self.count


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
    When = OutageWhen
    Target = OutageTarget
    Effect = OutageEffect
else:
    When, Target, Effect = WHEN.union(), TARGETS.union(), EFFECTS.union()


def _mean_or_nothing(duration: Duration) -> float:
    """Mean seconds; a file that cannot be read counts as no time at all, since a rule names it."""
    try:
        return mean_s(duration)
    except BadFile:
        return 0.0


def _exponential(mean_s: float) -> Duration:
    """A mean below what the vocabulary allows, such as the down time of an availability of 1, is 0."""
    return Exponential.model_construct(kind="exponential", mean_s=mean_s)
