"""What a scenario says about a server, or several: their models, capacity, queue, failures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.registry.admission import Admission, NoAdmission
from sim.registry.disciplines import DisciplineName
from sim.registry.outage_targets import Down, Effect, ServerTarget, Target
from sim.registry.outages import When
from sim.registry.service import Service
from sim.registry.switches import Switch
from sim.scenario.schema.client_data import Scaling
from sim.scenario.schema.values import (
    Beat,
    ImageSize,
    Name,
    NonNegative,
    Part,
    Positive,
    PositiveShare,
    SpanOrZero,
    Usd,
    Whole,
)

Replicas = Annotated[int, Field(ge=1, le=10_000)]


class ServerModel(Part):
    """The shared classifier."""

    family: str = "small_cnn"
    """As for a client's model."""
    image_size: ImageSize | None = None
    """Pixels a side to which it resizes what it sees; null: as the family does."""
    file: str | None = None
    """A model of your own, which is not trained: weights of `family` (.safetensors, .pt) or an .onnx."""
    scaling: Scaling | None = None
    """What images are scaled by for a model of your own; null: they stay between 0 and 1."""
    answers: str | None = None
    """The server of a table; null: the only one that it has."""
    of_group: Name | None = None
    """The frozen model of this group's clients, in place of one that is trained; null: its own."""
    variant: Whole = 0
    """Of `of_group`: which of its models."""
    features_of: Name | None = None
    """It sees the features that this group's frozen model makes of a sample, in place of it; only that
    group may ask it. Null: the sample."""
    nested_in: Name | None = None
    """It is a part of this model, the first `share` of the units of each hidden layer, and both learn at
    once; null: it has weights of its own."""
    share: PositiveShare = 1.0
    """Of `nested_in`: the share of each hidden layer, rounded up to whole units."""
    imitates: NonNegative = 1.0
    """Of `nested_in`: what it weighs in learning that it says what the whole says, beside being right."""
    work: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """How many times as long as its server says a batch takes that it answers."""
    memory_bytes: NonNegative = 0.0
    """Memory that it takes of each server that has it."""


class Autoscaling(Part):
    """Every `interval_s` as many replicas as keep them at the target; new ones come later."""

    target_utilisation: Annotated[float, Field(ge=1e-3, le=1)] | None = None
    """Share of the usable replicas that should be busy."""
    target_queue: Annotated[float, Field(ge=1e-3, le=1e6)] | None = None
    """In place of it: requests at the server, those in service too, that should be there for each replica."""
    interval_s: Beat
    """Time between two decisions."""
    provisioning_s: SpanOrZero
    """Time from an order to the new replica."""
    min: Annotated[int, Field(ge=0, le=10_000)]
    """Replicas at least; 0: none while nobody is there, and who comes then has one ordered at once."""
    max: Replicas
    """Replicas at most."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Nothing changes while as many are needed as there are, but for this share of them."""
    stabilise_s: SpanOrZero = 0.0
    """Replicas go only down to the most that was wanted in so many seconds."""
    cool_down_s: SpanOrZero = 0.0
    """After a change nothing is decided for so long."""


class Serverless(Part):
    """Instances that are invoked by requests, one each: a server's `replicas` are as many as run at once."""

    keep_alive_s: SpanOrZero
    """How long after a call its instance is still warm."""
    cold_start_s: SpanOrZero
    """What a call takes longer that finds no warm instance."""
    provisioned: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Instances, those with the lowest indices, that are always warm."""
    usd_per_call: Usd = 0.0
    """Price of a call."""
    usd_per_s: Usd = 0.0
    """Price of a second that an instance runs, cold starts included."""


class Outage(Part):
    """A period in which something does not work: when, what, and how badly."""

    when: When
    """When it happens."""
    target: Target = ServerTarget()
    """What it hits."""
    effect: Effect = Down()
    """What it does."""


class Station(Part):
    """What any server has: replicas, a queue before them, and what fails."""

    replicas: Replicas = 1
    """How many of it serve at once."""
    memory_bytes: Positive | None = None
    """Memory of a replica, all stages of it together, which its models must fit, with `load_s` each of them;
    null: enough."""
    load_s: SpanOrZero | None = None
    """How long it takes to bring a model into that memory, where they do not all fit: the least recently used
    go out for it; null: all are there, and must fit."""
    stages: Annotated[int, Field(ge=1, le=64)] = 1
    """Parts into which a replica cuts its models, a device each: a pipeline that takes a batch as soon as the
    one before has left its first stage."""
    stage_overhead: Annotated[float, Field(ge=1, le=100)] = 1.0
    """How many times as long a batch takes in all for being cut: each stage takes this share of the service
    time, over `stages`."""
    max_batch: Annotated[int, Field(ge=1, le=32_767)] = 1
    """Requests in a batch at most."""
    batch_wait_s: SpanOrZero = 0.0
    """How long the oldest waiting request waits for a batch to fill."""
    queue_limit: Whole | None = None
    """Requests that wait at most; null: no limit."""
    discipline: DisciplineName = "fifo"
    """Who goes into a batch first: `fifo`, `lifo`, `edf` (the next deadline), `sjf` (the least work),
    `fair` (the client served least recently) or `priority` (the group with the smallest; a full queue then
    pushes out whoever came last of the largest)."""
    service: Service
    """How long a batch takes."""
    admission: Admission = NoAdmission()
    """Who is let in."""
    drop_expired: bool = False
    """Whether requests past their deadline are thrown out when a batch forms."""
    autoscaling: Autoscaling | None = None
    """Replicas follow the load; null: they do not."""
    serverless: Serverless | None = None
    """Replicas are instances that requests invoke, cold after a while; null: they are always there."""
    usd_per_replica_s: Usd = 0.0
    """Price of a second of each replica that is there, of serverless ones of those provisioned."""
    when_down: Literal["refuse", "silent", "queue"] = "queue"
    """What becomes of who comes while no replica is usable: an error, silence, or a place in the queue."""
    in_flight: Literal["lose", "requeue", "finish", "resume", "restart"] = "lose"
    """What becomes of a batch whose replica stops: lost, put back, finished; or it stays there until the
    replica is up again, and goes on where it was (`resume`) or starts over (`restart`)."""
    queue_survives: bool = True
    """Whether who waits stays in a total outage."""
    outages: tuple[Outage, ...] = ()
    """What fails, and when."""


class _WithModel(Part):
    model: ServerModel = ServerModel()
    """The classifier that all clients share."""


class Server(Station, _WithModel):
    """The shared server."""


class _WithName(Part):
    server: Name
    """Name of the server; each has its own."""
    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Names of the models that it has; null: all."""
    peers_of: Name | None = None
    """Its replicas are devices of this group that have its model: they serve while they are there and their
    links are up; null: they are a server's own."""
    switch: Switch | None = None
    """How it chooses among its models, in order of their `work`, as a batch starts; null: who asks says
    which."""


class NamedServer(Station, _WithName):
    """One of several servers."""
