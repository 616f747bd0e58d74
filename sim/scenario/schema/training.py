"""What a scenario says about data, costs and learning, and over what a study of learning goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.registry.data_sets import DataSetName
from sim.registry.losses import LossName
from sim.registry.scores import ScoreName
from sim.scenario.schema.values import (
    Count,
    ImageSize,
    Name,
    Part,
    PositiveShare,
    Share,
    Span,
    SpanOrZero,
    Weight,
    Whole,
)

SyncEvery = Literal[1, 100, 1000, "epoch"]
Cost = Annotated[float, Field(ge=0, le=1e6)]  # beyond, a loss loses its small terms to rounding
LearningRate = Annotated[float, Field(gt=0, le=1)]  # beyond, a step leaps over every minimum
POOLS = ("client", "server", "rejector", "calibration", "traffic")


class Mixture(Part):
    """What `gaussian_mixture` is drawn from: `components` Gaussians of unit covariance a class, whose means
    lie `separation` apart in the root mean square."""

    classes: Annotated[int, Field(ge=2, le=1_000)] = 10
    """Classes, equally likely."""
    dimensions: Annotated[int, Field(ge=1, le=4_096)] = 16
    """Numbers in a sample."""
    components: Annotated[int, Field(ge=1, le=100)] = 2
    """Gaussians a class."""
    separation: Weight = 5.0
    """Distance between means, in standard deviations of a Gaussian."""


class Data(Part):
    """The samples, and the five disjoint pools that they are shared out to."""

    set: DataSetName = "digits"
    """Name of the data set."""
    pools: Annotated[tuple[Share, ...], Field(min_length=5, max_length=5)] = (
        0.2,
        0.3,
        0.2,
        0.1,
        0.2,
    )
    """Shares of the pools client, server, rejector, calibration, traffic; they sum to 1. Of a table
    those that nothing is trained on may be 0."""
    samples: Count | None = None
    """How many samples to use, drawn by the seed; null: all (10,000 of a mixture)."""
    root: str | None = None
    """Folder with the files of the set; null: `$L2H_DATA`, `data/`, or where Debian puts them."""
    file: str | None = None
    """The file of `table`, `npz` or `features`, or the folder of `image_folder` or `torchvision`."""
    name: str | None = None
    """Of `torchvision`: the name of its class of the set, such as EuroSAT."""
    image_size: ImageSize | None = None
    """Of pictures in a folder: pixels a side that all are resized to; null: they have one size."""
    cost_scale: Cost = 1.0
    """Of a table with costs: what one unit of `cost.NAME` weighs beside a wrong answer; c_e of a send is this
    times the sample's own cost."""
    download: bool = False
    """Whether torchvision may fetch what is missing."""
    mixture: Mixture = Mixture()
    """Shape of `gaussian_mixture`."""


class Costs(Part):
    """Costs of the generalised 0-1 loss; a wrong answer of the client costs 1."""

    c_e: Cost = 0.1
    """Price of one charged send."""
    c_1: Cost = 1.0
    """Weight of a wrong answer of the server."""
    charge_on: Literal["send", "accept", "answer"] = "send"
    """What is charged: every send, what the server let in, or what was answered in time."""


class Pretrain(Part):
    """Training before the run."""

    epochs: Count = 60
    """Passes over the server's pool."""
    batch: Count = 64
    """Samples in a step."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """Of server and rejectors."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of `sgd` alone."""
    server_lr: LearningRate = 1.0e-3
    """Learning rate of the server."""
    rejector_lr: LearningRate = 1.0e-3
    """Learning rate of the rejectors."""
    rejector_weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Decay of the rejectors' weights, decoupled from the loss (AdamW)."""
    sync_every: SyncEvery = 1
    """Batches between two refreshes of the copy of the server that rejectors learn from."""
    labelled: Share = 1.0
    """Share of the server's pool that has labels, from which alone the server learns, in as many steps as of
    all of it; 0: from none, with `warm_start`."""


class WarmStart(Part):
    """Before the server's models see a label they learn what the clients' frozen models together say of the
    server's pool (ensemble distillation)."""

    average: Literal["probabilities", "logits"] = "probabilities"
    """What is averaged over clients."""
    weigh: Literal["clients", "accuracy"] = "clients"
    """`clients`: each client counts alike; `accuracy`: by how often it is right on the calibration pool."""
    epochs: Count = 60
    """Passes over the pool at most, along which the learning rate falls to 0 by a cosine."""
    lr: LearningRate = 1.0e-3
    """Learning rate of Adam as it begins."""
    patience: Count = 10
    """Passes without progress on the calibration pool after which it ends; the best weights are kept."""


class AdaptiveGaps(Part):
    """How long until the next round is decided as one begins: sqrt(2 * cost / drift), at least `at_least_s`,
    at most `every_s`. The drift is by how much the share of wrong answers rises a second while a version
    lasts, among those whose labels came: the slope of least squares less its standard error."""

    cost: Annotated[float, Field(gt=0, le=1e6)]
    """What a round costs: as much as so many seconds in which every answer is wrong."""
    at_least_s: Span
    """Shortest gap, and when the first round is due."""
    memory: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """How much of what versions told of the drift still counts a round later; 0: only the last one counts."""


class Online(Part):
    """Rounds of training during the run, in virtual time."""

    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Which of several models of the servers are trained; null: all that can be."""
    every_s: Span
    """Time between two rounds; with `adaptive` the longest."""
    adaptive: AdaptiveGaps | None = None
    """Gaps that follow the drift; null: all gaps are `every_s`."""
    steps: Count
    """Steps of the server in a round."""
    step_s: SpanOrZero
    """Time of such a step."""
    rejector_steps: Count
    """Steps of a rejector for each copy."""
    rejector_step_s: SpanOrZero
    """Time of such a step."""
    source: Literal["pool", "deferred", "mix"] = "pool"
    """What a model learns from: the server's pool, what was deferred to servers that have it, or half of
    each."""
    label_delay_s: SpanOrZero = 0.0
    """From the end of service to the label."""
    copy_bytes: Whole = 0
    """Size of a copy of a server's model."""
    capacity_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a server's capacity that a round takes which it takes part in."""

    @property
    def shortest_s(self) -> float:
        """The shortest time between two rounds, seconds."""
        return self.every_s if self.adaptive is None else self.adaptive.at_least_s


class Training(Part):
    """How server and rejectors learn."""

    form: LossName = "cost_sensitive"
    """Weights of the rejectors' loss; `nonnegative` drowns what can be learned where c_1 is large, `released`
    is that of the authors' public code and not Bayes consistent."""
    availability: PositiveShare | Literal["observed"] | None = None
    """P(answered in time | sent) that rejectors are trained for; `observed`: the share of the run in which a
    replica is usable; null: every send is answered."""
    shared_batch: bool = False
    """Whether one batch serves both stages, as in the paper."""
    feedback: Literal["full", "deferred_only"] = "full"
    """Whether a rejector knows if the server is right on every sample, or on what was sent alone."""
    exploration: Share = 0.0
    """Probability of sending what the policy would keep."""
    specialise: bool = False
    """Whether samples weigh, for each model of the servers, by how many clients would send them to it."""
    pretrain: Pretrain = Pretrain()
    """Training before the run."""
    warm_start: WarmStart | None = None
    """What the servers' models begin with; null: with weights drawn by the seed."""
    online: Online | None = None
    """Training during the run; null: none."""


class Study(Part):
    """The settings that rejectors are trained in beside the run's own: every combination of the lists, all
    against the one course of the server's pretraining. A list left out holds the scenario's own value
    (for `score`, each group's own).
    """

    c_e: Annotated[tuple[Cost, ...], Field(min_length=1)] | None = None
    """Prices of a send."""
    c_1: Annotated[tuple[Cost, ...], Field(min_length=1)] | None = None
    """Weights of a wrong answer of the server."""
    sync_every: Annotated[tuple[SyncEvery, ...], Field(min_length=1)] | None = None
    """Batches between two copies of the server."""
    form: Annotated[tuple[LossName, ...], Field(min_length=1)] | None = None
    """Forms of the loss."""
    score: Annotated[tuple[ScoreName, ...], Field(min_length=1)] | None = None
    """Scores to train."""
