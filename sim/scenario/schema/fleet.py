"""What a scenario says about a group of clients: model, data, traffic, device, link, policy, patience."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.schema.arrivals import Arrivals
from sim.scenario.schema.client_data import ClientModel, Iid, MixAll, Partition, Traffic
from sim.scenario.schema.training import Score
from sim.scenario.schema.values import (
    MOST_TOKENS,
    Count,
    DurationOrZero,
    Name,
    NonNegative,
    Part,
    Positive,
    Share,
    Span,
    SpanOrZero,
    Whole,
)


class Rejector(Part):
    """The small model that says whether to ask the server."""

    family: Literal["linear", "mlp", "lenet5"] = "mlp"
    """Its layers; `mlp` has 32 hidden units."""
    input: Literal["raw", "features", "raw+features"] = "raw+features"
    """What it looks at: the picture (`raw`), what the client's model made of it (`features`), or both."""
    per: Literal["client", "variant"] = "client"
    """Whether each client trains a rejector of its own, at most 10,000 a group, or the clients of a variant
    share one."""


class Device(Part):
    """The device that runs a client's model and rejector."""

    inference_s: SpanOrZero = 0.0
    """Time per request, first come, first served; 0 takes no time."""


class Link(Part):
    """The way from a client to the server and back."""

    latency: DurationOrZero = 0.0
    """Time of a message without its payload, drawn anew each way: a number of seconds, or a distribution."""
    bandwidth_bps: Annotated[float, Field(ge=1)] | None = None
    """Bits per second of the uplink, and of copies of the server's model; null: a payload takes no time."""
    payload_bytes: Whole = 0
    """Size of a request; answers have none."""


class Threshold(Part):
    """A fixed price."""

    kind: Literal["threshold"]
    at: float
    """Sends iff the score is larger; in the unit of the score."""


class AlwaysLocal(Part):
    """Sends nothing."""

    kind: Literal["always_local"]


class AlwaysRemote(Part):
    """Sends everything."""

    kind: Literal["always_remote"]


class BoundedRate(Part):
    """The quantile of the group's calibration scores that sends this share."""

    kind: Literal["bounded_rate"]
    rate: Share
    """Share of requests to send."""


class BoundedRateThinned(Part):
    """A threshold and the paper's coin that thins, or adds to, what it sends."""

    kind: Literal["bounded_rate_thinned"]
    rate: Share
    """Share of requests to send."""


class RateController(Part):
    """A price that integral control moves until the share sent is the one asked for."""

    kind: Literal["rate_controller"]
    rate: Share
    """Share of requests to send."""
    gain: Positive
    """How much an error of the share moves the price."""


class AvailabilityAware(Part):
    """c_e·P(charged) over the client's own estimate of being answered in time."""

    kind: Literal["availability_aware"]
    memory_s: Span
    """How far back the estimate looks."""
    probe_every_s: Span
    """How often it tries again when it would send nothing."""


class QueueAware(Part):
    """c_e and a charge for the backlog that the last reply told."""

    kind: Literal["queue_aware"]
    weight: NonNegative
    """Price per waiting request."""
    memory_s: Span | None = None
    """How fast the backlog that was told fades (null: never)."""


class DriftPlusPenalty(Part):
    """The client's virtual queue over `v`: sends are held to a rate in the long run."""

    kind: Literal["drift_plus_penalty"]
    v: Positive
    """How much cost weighs against the virtual queue."""
    rate_hz: Positive
    """Sends per second of each client in the long run."""


Price = Annotated[
    Threshold
    | AlwaysLocal
    | AlwaysRemote
    | BoundedRate
    | BoundedRateThinned
    | RateController
    | AvailabilityAware
    | QueueAware
    | DriftPlusPenalty,
    Field(discriminator="kind"),
]


class Policy(Part):
    """Sends iff the score is larger than the price."""

    score: Score = "l2h"
    """A number per client and sample, larger means send."""
    price: Price = Threshold(kind="threshold", at=0.0)
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
    allowance: Annotated[float, Field(ge=0, le=3)] | None = 0.2
    """Retry tokens that a first send earns; a client starts with one, keeps at most three, and a retry takes
    one; null: no limit."""


class Breaker(Part):
    """A client's circuit breaker."""

    failures: Count
    """Failed attempts on end that open it."""
    cooldown_s: Span
    """How long it stays open; the first send after that is the probe."""


class TokenBucket(Part):
    """A bucket of sends that begins full."""

    kind: Literal["token_bucket"]
    rate_hz: Positive
    """Sends per second that it earns."""
    burst: Annotated[float, Field(ge=1, le=MOST_TOKENS)]
    """Sends that it holds at most."""
    shared_by: Literal["client", "group", "fleet"] = "client"
    """Who has one bucket together."""


class CountBudget(Part):
    """So many sends in each period from t = 0."""

    kind: Literal["count"]
    per_s: Span
    """Length of a period."""
    limit: Whole
    """Sends in a period."""
    shared_by: Literal["client", "group", "fleet"] = "client"
    """Who has one budget together."""


class MoneyBudget(Part):
    """So much money for sends in each period from t = 0."""

    kind: Literal["money"]
    per_s: Span
    """Length of a period."""
    limit: NonNegative
    """Money in a period."""
    price: NonNegative
    """Money per charged send."""
    shared_by: Literal["client", "group", "fleet"] = "client"
    """Who has one budget together."""


Budget = Annotated[TokenBucket | CountBudget | MoneyBudget, Field(discriminator="kind")]


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
    device: Device = Device()
    """How fast the device is."""
    link: Link = Link()
    """How fast the way to the server is."""
    policy: Policy = Policy()
    """What is sent."""
    deadline_s: Span | None = None
    """From arrival: later answers are of no use; null: none."""
    timeout_s: Span | None = None
    """From a send: when its client gives the attempt up; null: none."""
    retry: Retry | None = None
    """Sending again what failed; null: never."""
    hedge_after_s: SpanOrZero | None = None
    """From the decision: when the local answer is shown provisionally; null: never."""
    breaker: Breaker | None = None
    """Stops sending after failures; null: none."""
    budget: Budget | None = None
    """Limits sends; null: none."""
    fallback: Literal["client", "none"] = "client"
    """Who answers what the server did not: the client's own model, or nobody."""
