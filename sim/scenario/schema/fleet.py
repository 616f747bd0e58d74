"""What a scenario says about a group of clients: model, data, traffic, device, link, policy, patience."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field

from sim.registry.budgets import Budget, SharedBy
from sim.registry.choices import ChoiceName
from sim.registry.durations import DurationOrZero, PositiveDuration
from sim.registry.families import RejectorName
from sim.registry.harvests import HarvestInTime
from sim.registry.mixes import MixAll, Traffic
from sim.registry.partitions import Iid, Partition
from sim.registry.prices import Price, Safe
from sim.registry.scores import ScoreName
from sim.scenario.schema.arrivals import Arrivals
from sim.scenario.schema.client_data import ClientModel
from sim.scenario.schema.moves import Moves
from sim.scenario.schema.sessions import Session
from sim.scenario.schema.values import (
    Bandwidth,
    Count,
    Instant,
    Joules,
    Name,
    Part,
    Span,
    SpanOrZero,
    Watts,
    Whole,
)


class Rejector(Part):
    """The small model that says whether to ask the server."""

    family: RejectorName = "mlp"
    """Its layers; `mlp` has 32 hidden units."""
    input: Literal["raw", "features", "raw+features"] = "raw+features"
    """What it looks at: the picture (`raw`), what the client's model made of it (`features`), or both."""
    per: Literal["client", "variant"] = "client"
    """Whether each client trains a rejector of its own, at most 10,000 a group, or the clients of a variant
    share one."""


class Battery(Part):
    """What a device runs on. Empty, the device is silent: requests then come to `no_power`."""

    capacity_j: Joules
    """Energy that it holds at most."""
    start_j: Joules | None = None
    """Energy at t = 0; null: it is full."""
    restart_j: Joules | None = None
    """Energy at which a device that ran empty works again; null: it never does."""
    harvest_w: Watts = 0.0
    """Power that charges it."""
    harvest: HarvestInTime | None = None
    """Power that charges it and changes, in place of `harvest_w`; null: it does not."""


class Presence(Part):
    """Clients that join and leave: who is away asks nothing; what it has under way as it leaves goes on."""

    join_hz: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Clients that join per second, as a Poisson process: each the one that has been away longest; none while
    all are there."""
    stay: PositiveDuration | None = None
    """How long each stays."""
    at: Annotated[tuple[tuple[Instant, Instant], ...], Field(min_length=1)] | None = None
    """In place of both: when all of them are there, pairs of instants."""


class Batch(Part):
    """Collects what is to be sent, and sends it together: the sum of the payloads over the link, in the time
    of one message. Each is a send of its own at the server."""

    size: Annotated[int, Field(ge=1, le=1_000)]
    """After how many a batch is full; 1: each goes by itself."""
    of: Literal["requests", "sends"] = "requests"
    """What is counted: `requests`, so that after every so many decisions those of them that are to be sent
    leave; or `sends`, so that each batch carries so many."""
    wait_s: Span | None = None
    """How long the first that is collected waits at most; null: until the batch is full."""


class Device(Part):
    """The device that runs a client's model and rejector."""

    inference_s: SpanOrZero = 0.0
    """Time per request, first come, first served; 0 takes no time."""
    inference_j: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    """Energy per request, drawn as it comes."""
    idle_w: Watts = 0.0
    """Power that it draws all the time, beside what requests take."""
    battery: Battery | None = None
    """What it runs on; null: mains, which never end."""
    batch: Batch | None = None
    """Whether it sends several requests together; null: each leaves as it is decided."""


class Link(Part):
    """The way from a client to the server and back."""

    latency: DurationOrZero = 0.0
    """Time of a message without its payload, drawn anew each way: a number of seconds, or a distribution."""
    bandwidth_bps: Bandwidth | None = None
    """Bits per second, each way; null: bytes take no time."""
    payload_bytes: Whole = 0
    """Size of a request."""
    reply_bytes: Whole = 0
    """Size of an answer, which takes 8·reply_bytes/bandwidth_bps on its way back over this link, and nothing
    on shared ones; errors have none."""
    over: tuple[Name, ...] = ()
    """Shared links of `network` that a request passes after its own, in this order."""
    tx_w: Watts = 0.0
    """Power of the device's radio while a payload passes this link: 8·payload_bytes/bandwidth_bps."""
    rx_w: Watts = 0.0
    """Power of the radio while it listens, for `tail_s` after a payload."""
    tail_s: SpanOrZero = 0.0
    """How long the radio listens after a payload; one that is sent meanwhile begins it anew."""

    @property
    def transfer_s(self) -> float:
        """Seconds that a payload takes to pass it alone."""
        return 8.0 * self.payload_bytes / self.bandwidth_bps if self.bandwidth_bps else 0.0

    @property
    def reply_s(self) -> float:
        """Seconds that an answer takes beside its latency."""
        return 8.0 * self.reply_bytes / self.bandwidth_bps if self.bandwidth_bps else 0.0


class Policy(Part):
    """Sends iff the score is larger than the price."""

    score: ScoreName = "l2h"
    """A number per client and sample, larger means send."""
    column: str | None = None
    """Of `given`: the NAME of the table's column `score.NAME`; null: the only one that it has."""
    price: Price = Safe()
    """What the score is held against."""


class Retry(Part):
    """Sends again what failed: the n-th retry waits backoff_s·factor^(n-1), at most cap_s."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Sends of a request at most, the first included."""
    backoff_s: SpanOrZero = 0.1
    """Wait before the second attempt."""
    factor: Annotated[float, Field(ge=1)] = 2.0
    """Factor on the wait from one attempt to the next."""
    cap_s: SpanOrZero | None = None
    """Longest wait; null: no limit."""
    jitter: Literal["none", "full"] = "full"
    """`full`: the wait is multiplied by a uniform draw from 0 to 1."""
    next: Literal["same", "other"] = "same"
    """Whom a retry asks: the same option, or another one that would do, if one is free."""
    allowance: Annotated[float, Field(ge=0, le=3)] | None = 0.2
    """Retry tokens that a first send earns; a client starts with one, keeps at most three, and a retry takes
    one; null: no limit."""
    allowance_by: SharedBy = "client"
    """Who has these tokens together: those of a group or of the fleet start with one for each client, and
    keep at most three for each."""


class Breaker(Part):
    """A client's circuit breaker."""

    failures: Count | None = None
    """Failed attempts on end that open it."""
    ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    """In place of `failures`: the share of the last `window` attempts whose failure opens it."""
    window: Annotated[int, Field(ge=1, le=60)] | None = None
    """Attempts that the ratio is of, the last ones; fewer never open it."""
    cooldown_s: Span
    """How long it stays open; the first sends after that are probes."""
    probes: Annotated[int, Field(ge=1, le=100)] = 1
    """Probes that must succeed to close it; one that fails opens it again."""

    @property
    def needed(self) -> int:
        """Failures among the last `window` that open it, the smallest whole number that makes the ratio."""
        return ceil(round((self.ratio or 0.0) * (self.window or 0), 9))


class Hedge(Part):
    """A second send to another option, where the first has not come to anything in time."""

    after_s: SpanOrZero
    """From the first send: when the second leaves, if no word has come by then."""
    cancel: bool = True
    """Whether the other is called back once one is answered: what still waits then is not served."""


class Option(Part):
    """Whom a client may ask: a server and a model, over a link."""

    option: Name
    """Name of the option; in a group each has its own."""
    server: Name
    """The server."""
    model: Name | None = None
    """The model; null: the only one that the server has."""
    link: Link | None = None
    """The way there; null: the group's."""
    over: tuple[Name, ...] | None = None
    """Shared links on the way; null: as its link has it."""
    c_e: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Price of one charged send; null: as `costs` have it."""
    payload_bytes: Whole | None = None
    """Size of a request; null: as its link has it."""
    device_s: SpanOrZero = 0.0
    """Time that the device works on a request before it is sent, once for each request."""
    device_j: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    """Energy that this takes."""
    work: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """How many times as long service takes of what is asked so."""
    latency_in: dict[Name, DurationOrZero] | None = None
    """In place of its link's latency, that of sends from each of these cells, and of their answers."""

    def over_link(self, link: Link, cell: str | None = None) -> Link:
        """The way there from a cell, of a group whose own link this is."""
        mine, changes = self.link or link, dict[str, Any]()
        if self.payload_bytes is not None:
            changes["payload_bytes"] = self.payload_bytes
        if self.latency_in is not None and cell in self.latency_in:
            changes["latency"] = self.latency_in[cell]
        return mine.model_copy(update=changes) if changes else mine


class Group(Part):
    """Clients that are alike: same models, data, arrivals, device, link, policy and patience."""

    group: Name
    """Name of the group; each has its own."""
    clients: Count
    """How many clients."""
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """How much a sample of each client weighs in the loss of the server."""
    model: ClientModel = ClientModel()
    """The classifier on the device, trained once and then frozen."""
    partition: Partition = Iid()
    """What the model was trained on."""
    traffic: Traffic = MixAll()
    """Which samples the clients are asked about."""
    rejector: Rejector = Rejector()
    """What learns when to ask the server."""
    arrivals: Arrivals
    """When requests arrive."""
    session: Session | None = None
    """Whether each request of a closed loop is a block of items, drafted and then verified; null: no."""
    presence: Presence | None = None
    """When its clients are there; null: always."""
    moves: Moves | None = None
    """How its clients move between cells; null: they do not."""
    device: Device = Device()
    """How fast the device is."""
    link: Link = Link()
    """How fast the way to the server is."""
    options: Annotated[tuple[Option, ...], Field(min_length=1, max_length=60)] | None = None
    """Whom the clients may ask; null: every model of every server, over `link`."""
    choose: ChoiceName = "best"
    """Which option is asked of those that would do: `best` (the largest score), `order` (the
    first), `least_backlog`, `two_choices` (the shorter backlog of two drawn), `round_robin` or `home` (by
    `homes`, or the client's number)."""
    homes: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Under `home` the option of each client, by its name; null: by the client's number."""
    policy: Policy = Policy()
    """What is sent."""
    deadline_s: Span | None = None
    """From arrival: later answers are of no use; null: none."""
    timeout_s: Span | None = None
    """From a send: when its client gives the attempt up; null: none."""
    retry: Retry | None = None
    """Sending again what failed; null: never."""
    provisional_after_s: SpanOrZero | None = None
    """From the decision: when the local answer is shown provisionally; null: never."""
    hedge: Hedge | None = None
    """A second send to another option; the first answer wins; null: none."""
    breaker: Breaker | None = None
    """Stops sending after failures; null: none."""
    budget: Budget | None = None
    """Limits sends; null: none."""
    service_factor: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """How many times as long as servers say service takes for its requests."""
    priority: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Who is served first by servers with the discipline `priority`: the smaller goes before the larger."""
    reply: Literal["label", "features"] = "label"
    """What the server sends back: its answer; or the features of its last hidden layer, from which the
    client's own head answers (`federation.learns`), at first the server's."""
    fallback: Literal["client", "prototype", "none"] = "client"
    """Who answers what was meant for a server and not answered by one: the client's own model; the nearest
    prototype that the client has (`federation.learns`), and its own model while it has none; or nobody."""
