"""Outages: when something does not work; what that is and how badly, says `sim.registry.outage_targets`.
Times are drawn by `sim.world.outages`, whose time lines `capacity` and `links` then put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import Field

from sim.registry.durations import Duration, Exponential, PositiveDuration, Weibull, mean_s
from sim.registry.fits import FITS, FitName
from sim.registry.outage_targets import OutageTarget
from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.files.rows import BadFile
from sim.scenario.schema.values import Instant, Positive, PositiveShare, Span
from sim.world.outages.downtime import Downtime
from sim.world.outages.drawn import Hit, Times, drawn
from sim.world.outages.failure_traces import failures, host_times, node_times, nodes_down, the_node
from sim.world.outages.trace import read_trace

DAY_S = 86_400.0
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS = get_args(Day)


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


WHEN: PartFamily[OutageWhen] = PartFamily("outage", "time of an outage", is_open=True)


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


class _Recurring(OutageWhen):
    """Periods that come again at the same time of the day, before t = 0 as after it."""

    may_differ: ClassVar[bool] = False
    at_s: Annotated[Instant, Field(lt=DAY_S)]
    """When it begins, such as 03:00: since midnight, and t = 0 is a midnight."""
    for_s: Annotated[Span, Field(lt=DAY_S)]
    """How long it lasts, such as 10min."""

    def _on(self) -> tuple[int, ...]:
        """The days of a week on which it comes, from 0; t = 0 begins day 0."""
        raise NotImplementedError

    def times(self, hit: Hit) -> Times:
        begins = (
            (7.0 * week + day) * DAY_S + self.at_s
            for week in range(-1, int(hit.horizon_s // (7 * DAY_S)) + 1)
            for day in self._on()
        )
        periods = ((max(begin, 0.0), begin + self.for_s) for begin in begins if begin < hit.horizon_s)
        return Downtime((begin, end) for begin, end in periods if end > 0), {}


@WHEN.part
class Daily(_Recurring):
    """Every day at the same time; t = 0 is midnight."""

    kind: Literal["daily"]
    examples: ClassVar[Examples] = {"daily": {"at_s": 10_800.0, "for_s": 600.0}}

    def _on(self) -> tuple[int, ...]:
        return tuple(range(7))


@WHEN.part
class Weekly(_Recurring):
    """On some days of the week at the same time; t = 0 is the midnight at which a Monday begins."""

    kind: Literal["weekly"]
    examples: ClassVar[Examples] = {"weekly": {"on": ("saturday",), "at_s": 10_800.0, "for_s": 600.0}}
    on: Annotated[tuple[Day, ...], Field(min_length=1)]
    """The days, such as [saturday, sunday]."""

    def _on(self) -> tuple[int, ...]:
        return tuple(sorted({DAYS.index(day) for day in self.on}))


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
    """Periods from a file, such as the `outages.parquet` that a run leaves, or a failure trace."""

    kind: Literal["trace"]
    examples: ClassVar[Examples] = {
        "trace": {"file": "outages.csv"},
        "trace of a node": {"file": "event_trace.tab", "format": "fta", "node": "3", "time_scale": 0.01},
        "trace of hosts": {"file": "failures.parquet", "format": "opendc"},
    }
    file: str
    """Of `csv`: CSV or Parquet with `from_s` and `until_s`."""
    format: Literal["csv", "fta", "opendc"] = "csv"
    """`fta`: the `event_trace.tab` of the Failure Trace Archive; `opendc`: OpenDC's failure traces."""
    node: str | None = None
    """Of `fta`: the `node_id` that is meant; null: the only one, or a node for each link that fails on its
    own."""
    time_scale: Positive = 1.0
    """Factor on the instants of the file: 0.01 plays it a hundred times as fast."""

    def require(self, target: OutageTarget, target_name: str, effect: str, clients: int, number: int) -> None:
        """Reads the file to its end. clients: those whose links it may name; number: of the outage in the
        scenario's list. Raises BadFile."""
        if self.format == "opendc":
            failures(self.file)
        elif self.format == "fta":
            nodes_down(self.file) if target.is_each else the_node(self.file, self.node)
        else:
            read_trace(self.file, target_name, effect, clients, number)
        for key, value in (("node", self.node), ("time_scale", self.time_scale)):
            if self.format == "csv" and value not in (None, 1.0):
                raise BadFile(f"{key} is for failure traces: give format: fta or opendc")

    def times(self, hit: Hit) -> Times:
        if self.format == "fta":
            return node_times(self.file, self.node, self.time_scale, hit)
        if self.format == "opendc":
            return host_times(self.file, self.time_scale, hit)
        known = hit.clients if hit.outage.target.hits_links else 0
        target, effect = hit.target_name, hit.outage.effect.kind
        shared, own = read_trace(self.file, target, effect, known, hit.number)
        mine = set(hit.members.tolist())
        return shared, {client: own[client] for client in sorted(own) if client in mine}


@WHEN.part
class Fitted(OutageWhen):
    """Weibull up and down times in turn, beginning with an up time, as fitted to a data set of the Failure
    Trace Archive: Javadi, Kondo, Iosup and Epema (2013), J. Parallel Distrib. Comput. 73(8)."""

    kind: Literal["fitted"]
    examples: ClassVar[Examples] = {"fitted": {"to": "websites02", "time_scale": 1e-3}}
    to: FitName
    """The data set: Grid'5000 (`g5k06`), clusters at LANL (`lanl05`), DNS servers (`ldns04`), desktops at
    Microsoft (`microsoft99`), PlanetLab (`pl05`), Skype's peers (`skype06`), web sites (`websites02`)."""
    time_scale: Positive = 1.0
    """Factor on the times, whose means are hours to months."""

    def _laws(self) -> tuple[Weibull, Weibull]:
        up, down = FITS[self.to]
        return up.scaled(self.time_scale), down.scaled(self.time_scale)

    def times(self, hit: Hit) -> Times:
        return drawn(hit, *self._laws(), 1.0)

    def cycle_s(self) -> float:
        return sum(law.mean_s for law in self._laws())


if TYPE_CHECKING:
    When = OutageWhen
else:
    When = WHEN.union()


def _mean_or_nothing(duration: Duration) -> float:
    """Mean seconds; a file that cannot be read counts as no time at all, since a rule names it."""
    try:
        return mean_s(duration)
    except BadFile:
        return 0.0


def _exponential(mean_s: float) -> Duration:
    """A mean below what the vocabulary allows, such as the down time of an availability of 1, is 0."""
    return Exponential.model_construct(kind="exponential", mean_s=mean_s)
