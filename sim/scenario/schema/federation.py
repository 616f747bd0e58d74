"""What a scenario says about clients that learn together: rounds, what is learned, how it is merged, what is
shared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.registry.durations import DurationOrZero, PositiveDuration
from sim.scenario.schema.values import (
    Bandwidth,
    Count,
    Part,
    Positive,
    PositiveShare,
    Share,
    Span,
    SpanOrZero,
)


class Broken(Part):
    """Clients whose uploads are wrong, in every round; they decide by their own rejectors as ever."""

    share: PositiveShare
    """Share of each group's clients, to the nearest whole number, drawn by the seed; a larger share holds the
    smaller ones."""
    fault: Literal["noise", "sign_flip"]
    """What they upload. `noise`: normal numbers of mean 0; `sign_flip`: their own with the sign turned."""
    scale: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """How many times as large as their own numbers it is, in the root mean square."""


class Heads(Part):
    """How clients' own last layers learn, which answer from the features that a server sends back."""

    learning_rate: Annotated[Positive, Field(le=1e3)] = 0.05
    """Of plain stochastic gradient descent on the cross-entropy."""
    batch: Count = 16
    """Samples in a step, drawn with replacement from all that the client has been told the labels of, so that
    clients work alike whatever they were told."""
    personalise_at_s: SpanOrZero | None = None
    """From then on rounds are each client's own: nothing is uploaded, merged or sent; null: never, 0: from
    the start."""


class Between(Part):
    """The way from a device to another of its cluster; outages of links to servers do not touch it."""

    latency: DurationOrZero = 0.0
    """Time of a message without its bytes, drawn anew for each: a number of seconds, or a distribution."""
    bandwidth_bps: Bandwidth | None = None
    """Bits per second; null: bytes take no time."""


class HandOver(Part):
    """What each client that takes part in a round hands over to the next of its cluster that does, and the
    last to the first: of what it was told since it last did so. It trains that one from the first round on
    that is due after it has come."""

    share: PositiveShare = 1.0
    """Share of these labelled samples, to the nearest whole number, drawn by the seed."""
    at_most: Count | None = None
    """Representatives that they are condensed to, of each class as many as of others as far as it has so
    many, each for all of its class; null: none is left out."""
    sample_bytes: Count
    """Bytes of a sample with its label."""


class Neighbours(Part):
    """Clients that are near each other: so many with consecutive numbers of those that are merged with each
    other, and of those that move of the same cell as a round is due."""

    size: Count
    """How many are a cluster, at least 2; the last may be smaller."""
    one_uplink: bool = True
    """Whether they average among themselves, and one of them uploads: the first that takes part and whose
    link is up as its training is done, or if none is, the first that takes part."""
    link: Between = Between()
    """How they reach each other."""
    hand_over: HandOver | None = None
    """Labelled samples that go from one to the next; null: none."""


class Unequal(Part):
    """Devices that are not equally fast: in the time of a round, steps * step_s, each does as many steps as
    fit, at most ten times `steps`; one that does none takes no part."""

    step: PositiveDuration
    """What a step takes a client's device: drawn once for each client."""
    normalised: bool = True
    """Whether a client uploads the change that `steps` steps would have made at the rate of its own, so that
    fast ones do not count for more; it decides by what it learned in any case."""


class Federation(Part):
    """What clients learn during the run, each from what it was answered, and how that is merged."""

    learns: Literal["rejectors", "prototypes", "heads"] = "rejectors"
    """`rejectors`: whom to ask; `prototypes`: what each class looks like, as means of features of the frozen
    model, for groups with `fallback: prototype`; `heads`: what to make of the features that the server sends
    back, for groups with `reply: features`."""
    heads: Heads | None = None
    """How heads learn, of `learns: heads`; null: as its defaults say."""

    every_s: Span
    """Time between two rounds."""
    steps: Count
    """Steps of each rejector or head in a round; of prototypes what they take together with `step_s`."""
    step_s: SpanOrZero
    """Time of such a step on the device."""
    wait_s: Span
    """From the beginning of a round: when the server merges what has been uploaded by then."""
    merge: Literal["none", "average", "laplace", "median"] = "average"
    """`none`: each client keeps its own; `average`: weighed by the number of answers, of prototypes class by
    class; `laplace`: each parameter weighed by its precision (diagonal Fisher information), which is
    uploaded, too; `median`: of each parameter. Prototypes take `average` and `median`, heads `none` as
    well."""
    among: Literal["variant", "group"] = "variant"
    """Whose rejectors are merged: those of clients with the same frozen model, or of the whole group."""
    share: Literal["all", "body", "head"] = "all"
    """What of a rejector is merged; `head` is its last layer, `body` what lies before, and the rest stays the
    client's own."""
    absent: Share = 0.0
    """Probability that a client takes no part in a round."""
    dropout: Share = 0.0
    """Probability that a client that took part in a round drops out of it before its upload: what it learned
    stays with it, and what is merged then does not reach it."""
    broken: Broken | None = None
    """Clients whose uploads are wrong; null: none."""
    label_delay_s: SpanOrZero = 0.0
    """From an answer to the label."""
    neighbours: Neighbours | None = None
    """Clients that share an uplink, or labelled samples, with those near them; null: each is for itself."""
    unequal: Unequal | None = None
    """Devices of which some are faster; null: all do `steps`."""
    holds: Count | None = None
    """Labelled samples that a client keeps at most to learn from, of each class as many as of others as far
    as it has so many, each for all of its class; null: all."""

    def merges_at(self, due_s: float) -> bool:
        """Whether anything is merged in a round that is due at an instant."""
        until_s = self.heads.personalise_at_s if self.heads is not None else None
        return self.merge != "none" and (until_s is None or due_s < until_s)

    @property
    def has_one_uplink(self) -> bool:
        """Whether neighbours share one."""
        return self.neighbours is not None and self.neighbours.one_uplink

    @property
    def hands_over(self) -> bool:
        """Whether labelled samples go from one client to another."""
        return self.neighbours is not None and self.neighbours.hand_over is not None

    @property
    def normalises(self) -> bool:
        """Whether what unequal devices upload is as if all had done as many steps."""
        return self.unequal is not None and self.unequal.normalised
