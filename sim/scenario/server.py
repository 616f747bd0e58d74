"""What a scenario says about the server: its model, capacity, queue, failures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.values import (
    MOST_TOKENS,
    Beat,
    Count,
    ImageSize,
    Instant,
    Name,
    Part,
    Positive,
    PositiveDuration,
    PositiveShare,
    Share,
    Span,
    SpanOrZero,
    Variation,
    Whole,
)

Replicas = Annotated[int, Field(ge=1, le=10_000)]


class ServerModel(Part):
    """The shared classifier; `image_size` as for a client's model."""

    family: str = "small_cnn"
    image_size: ImageSize | None = None


class Affine(Part):
    """A batch of n takes (base_s + per_item_s·n)·G, G a Gamma factor of mean 1 and variation `cv`."""

    kind: Literal["affine"]
    base_s: SpanOrZero
    per_item_s: SpanOrZero = 0.0
    cv: Variation = 0.0


class PerBatch(Part):
    kind: Literal["per_batch"]
    time: PositiveDuration


Service = Annotated[Affine | PerBatch, Field(discriminator="kind")]


class NoAdmission(Part):
    kind: Literal["none"] = "none"


class DeadlineFeasible(Part):
    kind: Literal["deadline_feasible"]


class TokenBucketAdmission(Part):
    kind: Literal["token_bucket"]
    rate_hz: Positive
    burst: Annotated[float, Field(ge=1, le=MOST_TOKENS)]


Admission = Annotated[NoAdmission | DeadlineFeasible | TokenBucketAdmission, Field(discriminator="kind")]


class Autoscaling(Part):
    """Every `interval_s` as many replicas as keep the busy ones at the target; new ones come later."""

    target_utilisation: Annotated[float, Field(ge=1e-3, le=1)]
    interval_s: Beat
    provisioning_s: SpanOrZero
    min: Replicas
    max: Replicas


class Intervals(Part):
    """Half-open intervals [from, to) in seconds of virtual time."""

    kind: Literal["intervals"]
    at: Annotated[tuple[tuple[Instant, Instant], ...], Field(min_length=1)]


class Renewal(Part):
    kind: Literal["renewal"]
    up: PositiveDuration
    down: PositiveDuration


class Intermittent(Part):
    kind: Literal["intermittent"]
    availability: PositiveShare
    mean_cycle_s: Span


class TraceOutage(Part):
    """Periods from a CSV or Parquet file, such as the `outages.parquet` that a run leaves."""

    kind: Literal["trace"]
    file: str


When = Annotated[Intervals | Renewal | Intermittent | TraceOutage, Field(discriminator="kind")]


class ServerTarget(Part):
    kind: Literal["server"] = "server"


class ReplicasTarget(Part):
    """The `count` replicas with the highest indices."""

    kind: Literal["replicas"]
    count: Count


class LinksTarget(Part):
    """The links of a share of the groups' clients: cut together, or (not `correlated`) each on its own."""

    kind: Literal["links"]
    groups: Annotated[tuple[Name, ...], Field(min_length=1)]
    share: Share = 1.0
    correlated: bool = True


Target = Annotated[ServerTarget | ReplicasTarget | LinksTarget, Field(discriminator="kind")]


class Down(Part):
    kind: Literal["down"] = "down"


class Slowdown(Part):
    kind: Literal["slowdown"]
    factor: Annotated[float, Field(ge=1, le=1e6)]


Effect = Annotated[Down | Slowdown, Field(discriminator="kind")]


class Outage(Part):
    when: When
    target: Target = ServerTarget()
    effect: Effect = Down()

    @property
    def target_name(self) -> str:
        """How tables name the target: "server", "replicas:N" or "links:GROUP+GROUP"."""
        if isinstance(self.target, ReplicasTarget):
            return f"replicas:{self.target.count}"
        if isinstance(self.target, LinksTarget):
            return "links:" + "+".join(self.target.groups)
        return self.target.kind


class Server(Part):
    """The shared server; `queue_limit` counts waiting requests (null: no limit)."""

    model: ServerModel = ServerModel()
    replicas: Replicas = 1
    max_batch: Annotated[int, Field(ge=1, le=32_767)] = 1
    batch_wait_s: SpanOrZero = 0.0
    queue_limit: Whole | None = None
    discipline: Literal["fifo", "lifo", "edf", "fair"] = "fifo"
    service: Service
    admission: Admission = NoAdmission()
    drop_expired: bool = False
    autoscaling: Autoscaling | None = None
    when_down: Literal["refuse", "silent", "queue"] = "queue"
    in_flight: Literal["lose", "requeue", "finish"] = "lose"
    queue_survives: bool = True
    outages: tuple[Outage, ...] = ()
