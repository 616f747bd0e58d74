"""Arrival processes: when the clients of a group ask, how often that is, and what drawing it needs.
Drawn by the classes of `sim.world.arrivals`; rules and estimates of memory ask each process for its facts."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from sim.registry.durations import PositiveDuration, mean_s
from sim.registry.registry import Examples, Kind, PartFamily
from sim.registry.shapes import Shape
from sim.registry.trace_formats import ClientBy, FormatName, Unit
from sim.registry.traces import TraceColumns, breaches_of, roles_of, trace_of
from sim.scenario.files.requests_of_traces import Trace
from sim.scenario.files.rows import BadFile
from sim.scenario.files.traces import count_before, totals
from sim.scenario.schema.values import CHUNK_S, Beat, NonNegative, Positive, Variation
from sim.world.arrivals.gamma import GammaGroup
from sim.world.arrivals.mmpp import MmppGroup
from sim.world.arrivals.processes import Group, NobodyBeforehand, PoissonGroup
from sim.world.arrivals.trace import TraceGroup

if TYPE_CHECKING:
    from sim.scenario import Scenario
    from sim.world.population import Population

STAY_BYTES = 200  # one stay of a client in a state of its MMPP, in the chunk in work


class ArrivalProcess(Kind):
    """What a kind of process gives; the group at `place` of a scenario is one that has it.

    is_open: whether its requests are known beforehand, whatever the server does.
    """

    kind: str
    is_open: ClassVar[bool] = True

    def source(self, scenario: Scenario, clients: Population, place: int) -> Group:
        """What draws the group's arrivals."""
        raise NotImplementedError

    def steady_rate_hz(self) -> float:
        """A client's requests per second in the long run, before the shape; 0 where nothing says it."""
        return 0.0

    def peak_rate_hz(self) -> float:
        """The largest rate of a client before the shape."""
        return self.steady_rate_hz()

    def mean_rate_hz(self, scenario: Scenario, place: int) -> float:
        """A client's requests per second, on average over the horizon. Raises BadFile."""
        shape, horizon_s = scenario.fleet[place].arrivals.shape, scenario.horizon_s
        steady_hz = self.steady_rate_hz()
        return steady_hz * shape.operational_s(horizon_s) / horizon_s if horizon_s else steady_hz

    def busiest_rate_hz(self, scenario: Scenario, place: int) -> float:
        """The largest rate of a client in any minute; 0 if a file cannot be read, as another rule says."""
        return self.peak_rate_hz() * scenario.fleet[place].arrivals.shape.peak()

    def requests_before(self, scenario: Scenario, place: int, at_s: float) -> float:
        """The requests that the group is expected to make before an instant. Raises BadFile."""
        group = scenario.fleet[place]
        return group.clients * self.steady_rate_hz() * group.arrivals.shape.operational_s(at_s)

    def load_key(self) -> str:
        """The key that makes many requests; "" where it is rather how many clients there are."""
        return ""

    def stays_hz(self) -> float:
        """How many states a client enters in a second of operational time, each with draws of its own."""
        return 0.0

    def unfolded(self, _shape: Shape) -> tuple[str, float]:
        """What a client's requests of a minute are drawn from: the key that says how much, and its bytes."""
        return "", 0.0

    def breaches(self) -> Iterator[tuple[str, Any, str]]:
        """Keys that do not go together, each with its value and the rule."""
        yield from ()

    def told(self) -> tuple[str, ...]:
        """The columns that `requests` has of it besides."""
        return ()

    def one_work(self) -> float | None:
        """The work that takes as long as the server says; None: service does not ask for it."""
        return None


class _OfOneRate(ArrivalProcess):
    """Every client asks at one rate."""

    rate_hz: Positive
    """Requests per second of each client."""

    def steady_rate_hz(self) -> float:
        return self.rate_hz

    def load_key(self) -> str:
        return "rate_hz" if self.rate_hz > 1 else ""


PROCESSES: PartFamily[ArrivalProcess] = PartFamily("arrivals", "arrival process", is_open=True)


@PROCESSES.part
class Poisson(_OfOneRate):
    """Memoryless: exponential gaps."""

    kind: Literal["poisson"]
    examples: ClassVar[Examples] = {"poisson": {"rate_hz": 0.7}}

    def source(self, scenario: Scenario, clients: Population, place: int) -> Group:
        blocks = [block for block in clients.blocks() if block.group == place]
        return PoissonGroup(scenario.seed, self, scenario.fleet[place].arrivals.shape, blocks)


@PROCESSES.part
class GammaRenewal(_OfOneRate):
    """Gaps are Gamma with this coefficient of variation; 0 is a strict beat of random phase per client."""

    kind: Literal["gamma"]
    examples: ClassVar[Examples] = {
        "regular": {"rate_hz": 0.7, "cv": 0.4},
        "bursty": {"rate_hz": 0.7, "cv": 2.5},
        "beat": {"rate_hz": 0.7, "cv": 0.0},
    }
    cv: Variation
    """Coefficient of variation of the gaps: 0 a strict beat, 1 Poisson, above 1 bursts."""

    def source(self, scenario: Scenario, clients: Population, place: int) -> Group:
        group = scenario.fleet[place]
        return GammaGroup(scenario.seed, self, group.arrivals.shape, clients.first[place], group.clients)


@PROCESSES.part
class Mmpp(ArrivalProcess):
    """Poisson at the rate of the client's state; after an exponential stay comes the next state of the list,
    after the last the first.
    """

    kind: Literal["mmpp"]
    examples: ClassVar[Examples] = {"mmpp": {"rates_hz": (0.1, 0.0, 2.0), "mean_stay_s": 8.0}}
    rates_hz: Annotated[tuple[NonNegative, ...], Field(min_length=2)]
    """Requests per second of each client, state by state; a rate may be 0."""
    mean_stay_s: Beat
    """Mean of the exponential stay in a state."""

    def source(self, scenario: Scenario, clients: Population, place: int) -> Group:
        group = scenario.fleet[place]
        return MmppGroup(scenario.seed, self, group.arrivals.shape, clients.first[place], group.clients)

    def steady_rate_hz(self) -> float:
        return fsum(self.rates_hz) / len(self.rates_hz)

    def peak_rate_hz(self) -> float:
        return max(self.rates_hz)

    def load_key(self) -> str:
        return "rates_hz"

    def stays_hz(self) -> float:
        return 1 / self.mean_stay_s

    def unfolded(self, shape: Shape) -> tuple[str, float]:
        return "mean_stay_s", (1 + CHUNK_S * shape.peak() / self.mean_stay_s) * STAY_BYTES

    def breaches(self) -> Iterator[tuple[str, Any, str]]:
        if not any(self.rates_hz):
            yield "rates_hz", self.rates_hz, "at least one rate must be greater than 0"


@PROCESSES.part
class ClosedLoop(ArrivalProcess):
    """A client asks again a think time after the last word on what it asked before; for a constant shape."""

    kind: Literal["closed_loop"]
    examples: ClassVar[Examples] = {
        "closed_loop": {"think": 3.0},
        "together": {"think": 3.0, "at_once": 3},
    }
    is_open: ClassVar[bool] = False
    think: PositiveDuration
    """Think time: a number of seconds, or a distribution."""
    at_once: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Requests that a client makes together, and whose last words it waits for before it thinks again."""

    def source(self, _scenario: Scenario, _clients: Population, _place: int) -> Group:
        return NobodyBeforehand()

    def mean_rate_hz(self, scenario: Scenario, place: int) -> float:
        """Counted as if the server answered at once, so clients ask at most this often; blocks of a session
        as if each came to one item, over the way that they take, or where they are kept to all its drafts."""
        n, group = self.at_once, scenario.fleet[place]
        drafts, way_s = n, 0.0
        if group.session is not None:
            is_sent = group.policy.price.kind != "always_local"
            n, drafts = group.session.most_blocks(is_sent)
            way_s = 2 * mean_s(group.link.latency) if is_sent else 0.0
        return n / (mean_s(self.think) + drafts * group.device.inference_s + n * way_s)

    def busiest_rate_hz(self, scenario: Scenario, place: int) -> float:
        try:
            return self.mean_rate_hz(scenario, place)
        except BadFile:
            return 0.0

    def requests_before(self, scenario: Scenario, place: int, at_s: float) -> float:
        """At most these, for the same reason."""
        return scenario.fleet[place].clients * self.mean_rate_hz(scenario, place) * at_s


@PROCESSES.part
class TraceArrivals(ArrivalProcess):
    """Arrivals of a file, at (`time` − `start`) · time_scale: 0.5 plays it twice as fast."""

    kind: Literal["trace"]
    examples: ClassVar[Examples] = {"trace": {"file": "trace.csv", "time_scale": 1.5}}
    file: str
    """CSV, Parquet or JSON lines in one of the formats."""
    time_scale: Positive = 1.0
    """Factor on the instants of the file."""
    format: FormatName = "csv"
    """What its columns are: `csv` has `time`, and if it has them `client`, numbered from 0 within the group,
    and `group`."""
    columns: TraceColumns = TraceColumns()
    """Columns that are named otherwise."""
    unit: Unit | None = None
    """Unit of times that are numbers; null: as the format has it, `s` for csv."""
    start: float | str | None = None
    """The time in the file that is t = 0: `first`, a number, or a date; what is before it is left out. null:
    of csv with numbers 0, else `first`."""
    client_by: ClientBy | None = None
    """What the column of clients holds: their numbers, or names that become clients by `order` of appearance
    or by `hash`; null: as the format has it, `number` for csv."""
    sort: bool = False
    """Whether rows stand in no order of time: they are held in memory."""
    work_of_one: Positive | None = None
    """The work that takes as long as the server says: twice as much takes twice as long; null: however much
    it is, service takes no longer."""

    def breaches(self) -> Iterator[tuple[str, Any, str]]:
        yield from breaches_of(self)

    def trace(self, scenario: Scenario, place: int) -> Trace:
        """The requests of the file that are the group's."""
        group, names = scenario.fleet[place], tuple(group.group for group in scenario.fleet)
        return trace_of(self, group.group, names, group.clients, scenario.seed)

    def source(self, scenario: Scenario, clients: Population, place: int) -> Group:
        shape, first = scenario.fleet[place].arrivals.shape, clients.first[place]
        return TraceGroup(scenario.seed, self.trace(scenario, place), shape, first, place)

    def told(self) -> tuple[str, ...]:
        return ("trace_row", "work") if roles_of(self).work else ("trace_row",)

    def one_work(self) -> float | None:
        return self.work_of_one

    def requests_in_time(self, scenario: Scenario, place: int) -> int:
        """The requests of the group that arrive before the horizon. Raises BadFile."""
        until_s = scenario.fleet[place].arrivals.shape.operational_s(scenario.horizon_s)
        return count_before(self.trace(scenario, place), until_s)

    def mean_rate_hz(self, scenario: Scenario, place: int) -> float:
        clients = scenario.fleet[place].clients
        if scenario.horizon_s:
            return self.requests_in_time(scenario, place) / clients / scenario.horizon_s
        whole = totals(self.trace(scenario, place))
        return whole.requests / clients / max(whole.last_s, 1.0)

    def requests_before(self, scenario: Scenario, place: int, at_s: float) -> float:
        """As many as are in the file, to the minute."""
        until_s = scenario.fleet[place].arrivals.shape.operational_s(at_s)
        return totals(self.trace(scenario, place)).about_before(until_s)

    def busiest_rate_hz(self, scenario: Scenario, place: int) -> float:
        """Of a trace, the mean over the clients; a shape squeezes at most all of it into a minute."""
        group = scenario.fleet[place]
        try:
            found = totals(self.trace(scenario, place))
        except BadFile:
            return 0.0
        most = min(found.most_in_a_chunk * max(1.0, group.arrivals.shape.peak()), found.requests)
        return most / group.clients / CHUNK_S


if TYPE_CHECKING:
    Process = ArrivalProcess
else:
    Process = PROCESSES.union()
