"""What a scenario says about the server: its model, capacity, queue, failures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.schema.values import (
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
    """The shared classifier."""

    family: str = "small_cnn"
    """As for a client's model."""
    image_size: ImageSize | None = None
    """Pixels a side to which it resizes what it sees; null: as the family does."""


class Affine(Part):
    """A batch of n takes (base_s + per_item_s·n)·G, G a Gamma factor of mean 1 and variation `cv`."""

    kind: Literal["affine"]
    base_s: SpanOrZero
    """Time of a batch whatever its size."""
    per_item_s: SpanOrZero = 0.0
    """Time per request in it."""
    cv: Variation = 0.0
    """Coefficient of variation of the Gamma factor; 0: none."""


class PerBatch(Part):
    """A batch takes this time whatever its size."""

    kind: Literal["per_batch"]
    time: PositiveDuration
    """Time of a batch: a number of seconds, or a distribution."""


Service = Annotated[Affine | PerBatch, Field(discriminator="kind")]


class NoAdmission(Part):
    """Whoever finds a place is let in."""

    kind: Literal["none"] = "none"


class DeadlineFeasible(Part):
    """Refuses who would be finished after the deadline, by an estimate from the queue."""

    kind: Literal["deadline_feasible"]


class TokenBucketAdmission(Part):
    """Lets in by a bucket of tokens that begins full."""

    kind: Literal["token_bucket"]
    rate_hz: Positive
    """Tokens per second."""
    burst: Annotated[float, Field(ge=1, le=MOST_TOKENS)]
    """Tokens that it holds at most."""


Admission = Annotated[NoAdmission | DeadlineFeasible | TokenBucketAdmission, Field(discriminator="kind")]


class Autoscaling(Part):
    """Every `interval_s` as many replicas as keep the busy ones at the target; new ones come later."""

    target_utilisation: Annotated[float, Field(ge=1e-3, le=1)]
    """Share of the usable replicas that should be busy."""
    interval_s: Beat
    """Time between two decisions."""
    provisioning_s: SpanOrZero
    """Time from an order to the new replica."""
    min: Replicas
    """Replicas at least."""
    max: Replicas
    """Replicas at most."""


class Intervals(Part):
    """Half-open intervals [from, to) in seconds of virtual time."""

    kind: Literal["intervals"]
    at: Annotated[tuple[tuple[Instant, Instant], ...], Field(min_length=1)]
    """Pairs of instants in seconds."""


class Renewal(Part):
    """Up and down times in turn, beginning with an up time."""

    kind: Literal["renewal"]
    up: PositiveDuration
    """Up time, MTBF: a number of seconds, or a distribution."""
    down: PositiveDuration
    """Down time, MTTR: a number of seconds, or a distribution."""


class Intermittent(Part):
    """Exponential up and down times, in equilibrium at t = 0."""

    kind: Literal["intermittent"]
    availability: PositiveShare
    """Share of the time up."""
    mean_cycle_s: Span
    """Mean up time plus mean down time."""


class TraceOutage(Part):
    """Periods from a CSV or Parquet file, such as the `outages.parquet` that a run leaves."""

    kind: Literal["trace"]
    file: str
    """CSV or Parquet with `from_s` and `until_s`."""


When = Annotated[Intervals | Renewal | Intermittent | TraceOutage, Field(discriminator="kind")]


class ServerTarget(Part):
    """The whole server."""

    kind: Literal["server"] = "server"


class ReplicasTarget(Part):
    """The `count` replicas with the highest indices."""

    kind: Literal["replicas"]
    count: Count
    """How many replicas."""


class LinksTarget(Part):
    """The links of a share of the groups' clients: cut together, or (not `correlated`) each on its own."""

    kind: Literal["links"]
    groups: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of the groups."""
    share: Share = 1.0
    """Share of their clients."""
    correlated: bool = True
    """Whether all of them share one time line."""


Target = Annotated[ServerTarget | ReplicasTarget | LinksTarget, Field(discriminator="kind")]


class Down(Part):
    """Does not work at all."""

    kind: Literal["down"] = "down"


class Slowdown(Part):
    """Batches, or transfers over links, that start in it take longer."""

    kind: Literal["slowdown"]
    factor: Annotated[float, Field(ge=1, le=1e6)]
    """So many times as long."""


Effect = Annotated[Down | Slowdown, Field(discriminator="kind")]


class Outage(Part):
    """A period in which something does not work: when, what, and how badly."""

    when: When
    """When it happens."""
    target: Target = ServerTarget()
    """What it hits."""
    effect: Effect = Down()
    """What it does."""

    @property
    def target_name(self) -> str:
        """How tables name the target: "server", "replicas:N" or "links:GROUP+GROUP"."""
        if isinstance(self.target, ReplicasTarget):
            return f"replicas:{self.target.count}"
        if isinstance(self.target, LinksTarget):
            return "links:" + "+".join(self.target.groups)
        return self.target.kind


class Server(Part):
    """The shared server."""

    model: ServerModel = ServerModel()
    """The classifier that all clients share."""
    replicas: Replicas = 1
    """How many of it serve at once."""
    max_batch: Annotated[int, Field(ge=1, le=32_767)] = 1
    """Requests in a batch at most."""
    batch_wait_s: SpanOrZero = 0.0
    """How long the oldest waiting request waits for a batch to fill."""
    queue_limit: Whole | None = None
    """Requests that wait at most; null: no limit."""
    discipline: Literal["fifo", "lifo", "edf", "fair"] = "fifo"
    """Who goes into a batch first: `fifo`, `lifo`, `edf` (the next deadline) or `fair` (the client served
    least recently)."""
    service: Service
    """How long a batch takes."""
    admission: Admission = NoAdmission()
    """Who is let in."""
    drop_expired: bool = False
    """Whether requests past their deadline are thrown out when a batch forms."""
    autoscaling: Autoscaling | None = None
    """Replicas follow the load; null: they do not."""
    when_down: Literal["refuse", "silent", "queue"] = "queue"
    """What becomes of who comes while no replica is usable: an error, silence, or a place in the queue."""
    in_flight: Literal["lose", "requeue", "finish"] = "lose"
    """What becomes of a batch whose replica stops: lost, put back, or finished."""
    queue_survives: bool = True
    """Whether who waits stays in a total outage."""
    outages: tuple[Outage, ...] = ()
    """What fails, and when."""
