"""Prices that learn when to send from the answers to what they sent; here what is known of each kind.
Their code stands in `sim.policy.online`; equations, sources and laws of regret in
`docs/online_policies.md`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sim.registry.prices import PRICES, PriceRule, Unit
from sim.registry.registry import Examples
from sim.scenario.schema.values import NonNegative, Positive, PositiveShare, Share, Span, Whole

LevelCount = Annotated[int, Field(ge=2, le=64)]
QueueLength = Annotated[int, Field(ge=1, le=64)]
LearningRate = Annotated[float, Field(gt=0, le=10)]
NARROW = {"levels": 4, "low": -1.5, "high": 1.5}  # of examples


class OnlineRule(PriceRule):
    """What all of them are told. They draw, or bound, what they explore themselves."""

    unit: ClassVar[Unit] = "score"
    uses_feedback: ClassVar[bool] = True
    keeps_state: ClassVar[bool] = True
    explores: ClassVar[bool] = False
    levels: LevelCount = 16
    """Levels of equal width between `low` and `high` that the score is told apart by; what lies beyond
    belongs to the first or last."""
    low: float = 0.0
    """Lower end of the first level, in the unit of the score."""
    high: float = 1.0
    """Upper end of the last level."""
    on_failure: Literal["ignore", "count", "forget"] = "ignore"
    """What an attempt without an answer teaches: nothing (`ignore`); that it gained nothing (`count`); that
    the answer after it finds another world, so that only the share `kept` of what was learned counts
    (`forget`)."""
    kept: Share = 0.1
    """Share of the evidence that `forget` keeps."""


class Confident(OnlineRule):
    """Those that bound what they do not know."""

    kind: str
    alpha: Positive = 0.52
    """How wide the bounds are: √(alpha·ln t/n)."""


@PRICES.part
class HiLcb(Confident):
    """Sends as long as the client may be wrong often enough, its errors bounded by those where it is less
    sure (HI-LCB)."""

    kind: Literal["hi_lcb"]
    examples: ClassVar[Examples] = {"hi_lcb": {**NARROW, "alpha": 0.02, "on_failure": "forget"}}


@PRICES.part
class HiLcbLite(Confident):
    """The same with each level of the score for itself (HI-LCB-lite)."""

    kind: Literal["hi_lcb_lite"]
    examples: ClassVar[Examples] = {"hi_lcb_lite": {**NARROW, "alpha": 0.02}}


@PRICES.part
class Ucb(Confident):
    """The threshold that gains most by the upper bounds of what is wrong at each level (UCB)."""

    kind: Literal["ucb"]
    examples: ClassVar[Examples] = {"ucb": {**NARROW, "alpha": 0.02, "on_failure": "count"}}


@PRICES.part
class Thompson(OnlineRule):
    """The threshold that gains most by a draw from what is believed of each level (Thompson sampling)."""

    kind: Literal["thompson"]
    examples: ClassVar[Examples] = {"thompson": {**NARROW, "on_failure": "forget"}}
    draws: ClassVar[bool] = True
    scale: Positive = 1.0
    """How far draws lie from the mean, in deviations of the posterior."""


@PRICES.part
class WeightedMedian(OnlineRule):
    """The weighted median of thresholds, each of which loses weight when an answer shows it wrong."""

    kind: Literal["weighted_median"]
    examples: ClassVar[Examples] = {"weighted_median": {**NARROW, "eta": 1.0, "on_failure": "forget"}}
    explores: ClassVar[bool] = True
    eta: LearningRate = 0.06
    """Learning rate."""
    beta: Positive = 0.5
    """What a wrong decision costs a threshold; its weight is multiplied by exp(-eta·beta)."""


class Drawing(OnlineRule):
    """Those that draw a threshold by its weight."""

    kind: str
    draws: ClassVar[bool] = True
    eta: LearningRate = 0.01
    """Learning rate: larger learns faster and settles less."""
    epsilon: PositiveShare = 0.05
    """Share of the requests that is sent whatever was learned."""
    queue: QueueLength = 8
    """Answers that are awaited at once at most."""
    wait_s: Span = 1.0
    """How long an answer is awaited."""


@PRICES.part
class TwoThresholds(Drawing):
    """A threshold of its own for each side of a binary answer, weighed by what was explored (H2T2)."""

    kind: Literal["h2t2"]
    examples: ClassVar[Examples] = {"h2t2": {**NARROW, "eta": 0.5, "epsilon": 0.5}}
    positive: Whole = 1
    """The class that is the positive answer; all others are the negative one."""
    false_positive: NonNegative = 1.0
    """What a wrong positive answer of the client costs."""
    false_negative: NonNegative = 1.0
    """What a wrong negative one costs."""


@PRICES.part
class HedgeQueue(Drawing):
    """Thresholds weighed by what sending gained, nothing sent while too many answers are awaited (Hedge)."""

    kind: Literal["hedge_queue"]
    examples: ClassVar[Examples] = {
        "hedge_queue": {**NARROW, "eta": 0.5, "epsilon": 0.2, "on_failure": "count"}
    }


@PRICES.part
class LyapunovExp4(Drawing):
    """Thresholds weighed by what sending gained over a price that holds sends to a share (Lyapunov-EXP4)."""

    kind: Literal["lyapunov_exp4"]
    examples: ClassVar[Examples] = {
        "lyapunov_exp4": {**NARROW, "eta": 0.5, "epsilon": 0.2, "v": 5.0, "rate": 0.4}
    }
    aims_at: ClassVar[str] = "rate"
    v: Positive = 50.0
    """How much cost weighs against the virtual queue."""
    rate: PositiveShare
    """Share of requests to send in the long run."""
