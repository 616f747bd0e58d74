"""Prices: what a score is held against, `policy.price` of a group; here what is known of each kind.
What a price does stands in `sim.policy`, which attaches it to the kinds in `FIXED` and `CONTROLLERS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import NonNegative, Positive, PositiveShare, Share, Span

Unit = Literal["score", "cost", "share"]


class PriceRule(Kind):
    """What is known of a kind of price.

    unit: what it is a number of: of the score's own unit, of costs (so the score must be a gain), or the
    share of calibration scores below. needs_calibration: whether it asks for the group's calibration scores.
    needs_bayes_price: whether for the price at which its score decides best. keeps_state: whether a client
    remembers anything for it. uses_feedback: whether what becomes of a client's sends counts, so that it must
    decide as they happen. draws: whether it asks for a uniform number with each request. explores: whether
    exploration may send what it keeps. is_chosen: whether the learners choose it on the labels of the
    calibration pool, for each rejector or model: scores are then told less the threshold. aims_at: the key of
    what it aims at, `rate` (a share of the requests) or `rate_hz` (sends per second); "": at neither.
    is_python: whether it is plain Python, which SimPy's clock alone can call. needs_battery: whether it asks
    how much a battery has left.
    """

    kind: str
    unit: ClassVar[Unit]
    needs_calibration: ClassVar[bool] = False
    needs_bayes_price: ClassVar[bool] = False
    keeps_state: ClassVar[bool] = False
    uses_feedback: ClassVar[bool] = False
    draws: ClassVar[bool] = False
    explores: ClassVar[bool] = True
    is_chosen: ClassVar[bool] = False
    aims_at: ClassVar[str] = ""
    is_python: ClassVar[bool] = False
    needs_battery: ClassVar[bool] = False


PRICES: PartFamily[PriceRule] = PartFamily("price", "price", is_open=True)


@PRICES.part
class Threshold(PriceRule):
    """A fixed price."""

    kind: Literal["threshold"]
    examples: ClassVar[Examples] = {"threshold": {"at": 0.1}}
    unit: ClassVar[Unit] = "score"
    at: float
    """Sends iff the score is larger; in the unit of the score."""


@PRICES.part
class AlwaysLocal(PriceRule):
    """Sends nothing."""

    kind: Literal["always_local"]
    unit: ClassVar[Unit] = "score"
    explores: ClassVar[bool] = False


@PRICES.part
class AlwaysRemote(PriceRule):
    """Sends everything."""

    kind: Literal["always_remote"]
    unit: ClassVar[Unit] = "score"


@PRICES.part
class Safe(PriceRule):
    """The score's own threshold, or the better of sending nothing and everything where the calibration pool
    does not show it to be worth more."""

    kind: Literal["safe"] = "safe"
    unit: ClassVar[Unit] = "score"
    is_chosen: ClassVar[bool] = True
    standard_errors: NonNegative = 0.0
    """By how many standard errors of the paired difference it must be better than the constant decision."""


@PRICES.part
class RiskControlled(PriceRule):
    """Sends as little as it may for what is kept to be wrong with at most `alpha`, as the calibration pool
    shows."""

    kind: Literal["risk_controlled"]
    examples: ClassVar[Examples] = {"risk_controlled": {"alpha": 0.2}}
    unit: ClassVar[Unit] = "score"
    is_chosen: ClassVar[bool] = True
    alpha: PositiveShare
    """Share of wrong answers among what is kept, at most."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Probability, over calibration pools, that it is exceeded."""


@PRICES.part
class BoundedRate(PriceRule):
    """The quantile of the group's calibration scores that sends this share."""

    kind: Literal["bounded_rate"]
    examples: ClassVar[Examples] = {"bounded_rate": {"rate": 0.2}}
    unit: ClassVar[Unit] = "share"
    needs_calibration: ClassVar[bool] = True
    aims_at: ClassVar[str] = "rate"
    rate: Share
    """Share of requests to send."""


@PRICES.part
class BoundedRateThinned(PriceRule):
    """A threshold and the paper's coin that thins, or adds to, what it sends."""

    kind: Literal["bounded_rate_thinned"]
    examples: ClassVar[Examples] = {"bounded_rate_thinned": {"rate": 0.2}}
    unit: ClassVar[Unit] = "score"
    needs_calibration: ClassVar[bool] = True
    aims_at: ClassVar[str] = "rate"
    needs_bayes_price: ClassVar[bool] = True
    rate: Share
    """Share of requests to send."""


@PRICES.part
class RateController(PriceRule):
    """A price that integral control moves until the share sent is the one asked for."""

    kind: Literal["rate_controller"]
    examples: ClassVar[Examples] = {"rate_controller": {"rate": 0.4, "gain": 0.1}}
    unit: ClassVar[Unit] = "share"
    needs_calibration: ClassVar[bool] = True
    aims_at: ClassVar[str] = "rate"
    keeps_state: ClassVar[bool] = True
    rate: Share
    """Share of requests to send."""
    gain: Positive
    """How much an error of the share moves the price."""


@PRICES.part
class AvailabilityAware(PriceRule):
    """c_e·P(charged) over the client's own estimate of being answered in time."""

    kind: Literal["availability_aware"]
    examples: ClassVar[Examples] = {"availability_aware": {"memory_s": 4.0, "probe_every_s": 3.0}}
    unit: ClassVar[Unit] = "cost"
    uses_feedback: ClassVar[bool] = True
    keeps_state: ClassVar[bool] = True
    memory_s: Span
    """How far back the estimate looks."""
    probe_every_s: Span
    """How often it tries again when it would send nothing."""


@PRICES.part
class QueueAware(PriceRule):
    """c_e and a charge for the backlog that the last reply told."""

    kind: Literal["queue_aware"]
    examples: ClassVar[Examples] = {
        "queue_aware": {"weight": 0.2, "memory_s": 8.0},
        "unfading": {"weight": 0.2},
    }
    unit: ClassVar[Unit] = "cost"
    uses_feedback: ClassVar[bool] = True
    keeps_state: ClassVar[bool] = True
    weight: NonNegative
    """Price per waiting request."""
    memory_s: Span | None = None
    """How fast the backlog that was told fades (null: never)."""


@PRICES.part
class DriftPlusPenalty(PriceRule):
    """The client's virtual queue over `v`: sends are held to a rate in the long run."""

    kind: Literal["drift_plus_penalty"]
    examples: ClassVar[Examples] = {"drift_plus_penalty": {"v": 3.0, "rate_hz": 0.3}}
    unit: ClassVar[Unit] = "cost"
    keeps_state: ClassVar[bool] = True
    aims_at: ClassVar[str] = "rate_hz"
    v: Positive
    """How much cost weighs against the virtual queue."""
    rate_hz: Positive
    """Sends per second of each client in the long run."""


@PRICES.part
class EnergyAware(PriceRule):
    """A price that rises in a straight line as the battery empties."""

    kind: Literal["energy_aware"]
    examples: ClassVar[Examples] = {"energy_aware": {"at": 0.1, "weight": 0.5}}
    unit: ClassVar[Unit] = "score"
    keeps_state: ClassVar[bool] = True
    needs_battery: ClassVar[bool] = True
    at: float = 0.0
    """Price with a full battery; in the unit of the score."""
    weight: NonNegative
    """By how much it is higher with an empty one."""


if TYPE_CHECKING:
    Price = PriceRule
else:
    Price = PRICES.union()

import sim.registry.online_prices  # noqa: E402, F401  (more of them)
