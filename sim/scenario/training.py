"""What a scenario says about data, costs and learning, and over what a study of learning goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.values import (
    Count,
    NonNegative,
    Part,
    Positive,
    PositiveShare,
    Share,
    Span,
    SpanOrZero,
    Whole,
)

Form = Literal["nonnegative", "paper", "cost_sensitive", "released"]
SyncEvery = Literal[1, 100, 1000, "epoch"]
Score = Literal[
    "l2h",
    "plug_in",
    "l2h_priced",
    "confidence",
    "entropy",
    "margin",
    "compare_confidence",
    "mozannar_sontag",
    "one_vs_all",
    "random",
    "oracle",
]
RANKS: tuple[Score, ...] = (
    "l2h",
    "confidence",
    "entropy",
    "margin",
    "mozannar_sontag",
    "one_vs_all",
    "random",
)  # ordered only; the others are gains, in units of cost
WITHOUT_BAYES_PRICE: tuple[Score, ...] = ("confidence", "entropy", "margin", "one_vs_all", "random")
Cost = Annotated[float, Field(ge=0, le=1e6)]
POOLS = ("client", "server", "rejector", "calibration", "traffic")


class Mixture(Part):
    """What `gaussian_mixture` is drawn from: `components` Gaussians of unit covariance a class, whose means
    lie `separation` apart in the root mean square."""

    classes: Annotated[int, Field(ge=2, le=1_000)] = 10
    dimensions: Annotated[int, Field(ge=1, le=4_096)] = 16
    components: Annotated[int, Field(ge=1, le=100)] = 2
    separation: NonNegative = 5.0


class Data(Part):
    """The data set, how many of its samples are used (null: all; a keyed draw without replacement), the
    shares of its five disjoint pools in the order of `POOLS`, and where its files lie."""

    set: Literal[
        "digits",
        "fashion_mnist",
        "mnist",
        "cifar10",
        "cifar100",
        "svhn",
        "gaussian_mixture",
    ] = "digits"
    pools: Annotated[tuple[PositiveShare, ...], Field(min_length=5, max_length=5)] = (
        0.2,
        0.3,
        0.2,
        0.1,
        0.2,
    )
    samples: Count | None = None
    root: str | None = None
    download: bool = False
    mixture: Mixture = Mixture()


class Costs(Part):
    """c_e: price of one charged send; c_1: weight of a wrong server answer (DESIGN: generalised 0-1 loss)."""

    c_e: Cost = 0.1
    c_1: Cost = 1.0
    charge_on: Literal["send", "accept", "answer"] = "send"


class Pretrain(Part):
    """Training before the run; `sync_every` batches between refreshes of the clients' copy of the server.
    `momentum` is for `sgd` alone; the decay of the rejectors' weights is decoupled from the loss (AdamW).
    """

    epochs: Count = 60
    batch: Count = 64
    optimiser: Literal["adam", "sgd"] = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    server_lr: Positive = 1.0e-3
    rejector_lr: Positive = 1.0e-3
    rejector_weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    sync_every: SyncEvery = 1


class Online(Part):
    every_s: Span
    steps: Count
    step_s: SpanOrZero
    rejector_steps: Count
    rejector_step_s: SpanOrZero
    source: Literal["pool", "deferred", "mix"] = "pool"
    label_delay_s: SpanOrZero = 0.0
    copy_bytes: Whole = 0
    capacity_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Training(Part):
    form: Form = "nonnegative"
    availability: PositiveShare | Literal["observed"] | None = None
    shared_batch: bool = False
    feedback: Literal["full", "deferred_only"] = "full"
    exploration: Share = 0.0
    pretrain: Pretrain = Pretrain()
    online: Online | None = None


class Study(Part):
    """The settings that rejectors are trained in beside the run's own: every combination of the lists, all
    against the one course of the server's pretraining. A list left out holds the scenario's own value
    (for `score`, each group's own).
    """

    c_e: Annotated[tuple[Cost, ...], Field(min_length=1)] | None = None
    c_1: Annotated[tuple[Cost, ...], Field(min_length=1)] | None = None
    sync_every: Annotated[tuple[SyncEvery, ...], Field(min_length=1)] | None = None
    form: Annotated[tuple[Form, ...], Field(min_length=1)] | None = None
    score: Annotated[tuple[Score, ...], Field(min_length=1)] | None = None
