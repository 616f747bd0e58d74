"""What a scenario says about a group of clients: model, data, traffic, device, link, policy, patience."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.arrivals import Arrivals
from sim.scenario.training import Score
from sim.scenario.values import (
    Count,
    DurationOrZero,
    ImageSize,
    Instant,
    Name,
    NonNegative,
    Part,
    Positive,
    Share,
    Span,
    SpanOrZero,
    Whole,
)


class ClientModel(Part):
    """The frozen classifier: `variants` models are trained and dealt to the clients in turn.

    image_size: pixels a side to which it resizes what it sees (null: the family's choice).
    """

    family: str = "linear"
    image_size: ImageSize | None = None
    train_samples: Count = 200
    epochs: Count = 30
    variants: Count = 1


class Iid(Part):
    kind: Literal["iid"] = "iid"


class Dirichlet(Part):
    """Each variant has class shares of its own from a Dirichlet distribution: small alpha, few classes."""

    kind: Literal["dirichlet"]
    alpha: Annotated[float, Field(gt=0, le=1e6)]


class MissingClasses(Part):
    kind: Literal["missing_classes"]
    classes: Annotated[tuple[Whole, ...], Field(min_length=1)]


class FewSamples(Part):
    """At most `per_class` training samples of each class."""

    kind: Literal["few_samples"]
    per_class: Count = 2


class DomainShift(Part):
    """Noise: standard deviation on pixels in [0, 1]; blur: sigma in pixels; rotate: degrees."""

    kind: Literal["domain_shift"]
    noise: NonNegative = 0.0
    blur: NonNegative = 0.0
    rotate: Annotated[float, Field(ge=-180, le=180)] = 0.0


Partition = Annotated[
    Iid | Dirichlet | MissingClasses | FewSamples | DomainShift, Field(discriminator="kind")
]


class Drift(Part):
    """From `at_s` on, classes are drawn with these weights and samples are seen with this noise."""

    at_s: Instant
    classes: tuple[NonNegative, ...] | None = None
    noise: NonNegative | None = None


class MixAll(Part):
    mix: Literal["all"] = "all"
    drift: tuple[Drift, ...] = ()


class MixOwn(Part):
    mix: Literal["own"]
    drift: tuple[Drift, ...] = ()


class MixDirichlet(Part):
    mix: Literal["dirichlet"]
    alpha: Annotated[float, Field(gt=0, le=1e6)]
    drift: tuple[Drift, ...] = ()


Traffic = Annotated[MixAll | MixOwn | MixDirichlet, Field(discriminator="mix")]


class Rejector(Part):
    family: str = "mlp"
    input: Literal["raw", "features", "raw+features"] = "raw+features"
    per: Literal["client", "variant"] = "client"


class Device(Part):
    inference_s: SpanOrZero = 0.0


class Link(Part):
    latency: DurationOrZero = 0.0
    bandwidth_bps: Annotated[float, Field(ge=1)] | None = None
    payload_bytes: Whole = 0


class Threshold(Part):
    kind: Literal["threshold"]
    at: float


class AlwaysLocal(Part):
    kind: Literal["always_local"]


class AlwaysRemote(Part):
    kind: Literal["always_remote"]


class BoundedRate(Part):
    kind: Literal["bounded_rate"]
    rate: Share


class BoundedRateThinned(Part):
    kind: Literal["bounded_rate_thinned"]
    rate: Share


class RateController(Part):
    kind: Literal["rate_controller"]
    rate: Share
    gain: Positive


class AvailabilityAware(Part):
    kind: Literal["availability_aware"]
    memory_s: Span
    probe_every_s: Span


class QueueAware(Part):
    """memory_s: how fast the backlog that was told fades (null: never)."""

    kind: Literal["queue_aware"]
    weight: NonNegative
    memory_s: Span | None = None


class DriftPlusPenalty(Part):
    kind: Literal["drift_plus_penalty"]
    v: Positive
    rate_hz: Positive


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
    score: Score = "l2h"
    price: Price = Threshold(kind="threshold", at=0.0)


class Retry(Part):
    """Backoff base·factor^(n-1) up to `cap_s`; a first send gains `allowance` tokens (null: no limit)."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    backoff_s: SpanOrZero = 0.1
    factor: Annotated[float, Field(ge=1)] = 2.0
    cap_s: SpanOrZero | None = None
    jitter: Literal["none", "full"] = "full"
    allowance: Annotated[float, Field(ge=0, le=3)] | None = 0.2


class Breaker(Part):
    failures: Count
    cooldown_s: Span


class TokenBucket(Part):
    kind: Literal["token_bucket"]
    rate_hz: Positive
    burst: Annotated[float, Field(ge=1)]
    shared_by: Literal["client", "group", "fleet"] = "client"


class CountBudget(Part):
    kind: Literal["count"]
    per_s: Span
    limit: Whole
    shared_by: Literal["client", "group", "fleet"] = "client"


class MoneyBudget(Part):
    kind: Literal["money"]
    per_s: Span
    limit: NonNegative
    price: NonNegative
    shared_by: Literal["client", "group", "fleet"] = "client"


Budget = Annotated[TokenBucket | CountBudget | MoneyBudget, Field(discriminator="kind")]


class Group(Part):
    """Clients that are alike: same models, data, arrivals, device, link, policy and patience.

    weight: of each client's samples in the loss of the server that all share.
    """

    group: Name
    clients: Count
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    model: ClientModel = ClientModel()
    partition: Partition = Iid()
    traffic: Traffic = MixAll()
    rejector: Rejector = Rejector()
    arrivals: Arrivals
    device: Device = Device()
    link: Link = Link()
    policy: Policy = Policy()
    deadline_s: Span | None = None
    timeout_s: Span | None = None
    retry: Retry | None = None
    hedge_after_s: SpanOrZero | None = None
    breaker: Breaker | None = None
    budget: Budget | None = None
    fallback: Literal["client", "none"] = "client"
