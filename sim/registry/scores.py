"""Scores: a number per client and sample, larger means "send". Here what is known of each.
Their code stands in `agents.rejectors`: what is made from a frozen model, and the losses of trained ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sim.registry.registry import Family

Origin = Literal["rejector", "client", "draw"]


class Score(NamedTuple):
    """unit: a gain is in units of cost and can be priced, a rank is only ordered.

    made_from: a trained rejector, the answers of the client's frozen model, or a uniform draw per request.
    is_per_option: whether each option of a client has one of its own; else it ranks the client's own answer
    against all of them.
    needs: what of a table of answers it cannot do without, "label", "probability" or "logits", of which
    probabilities alone are none; "" where nothing.
    is_given: whether it is a column of such a table.
    has_bayes_price: whether a price is known at which it decides best: 0 for a rank, c_e·P(charged)/a for a
    gain. depends_on: which of form, c_e and c_1 the loss of a trained one looks at. gain_like: for a rank,
    the score that is most like it and can be priced.
    """

    name: str
    unit: Literal["gain", "rank"]
    made_from: Origin
    has_bayes_price: bool
    depends_on: tuple[str, ...] = ()
    gain_like: str = "plug_in"
    needs: str = ""
    is_given: bool = False
    is_per_option: bool = False

    @property
    def needs_rejector(self) -> bool:
        return self.made_from == "rejector"


SCORES: Family[Score] = Family(
    "score",
    "score",
    Score(
        "l2h",
        "rank",
        "rejector",
        has_bayes_price=True,
        depends_on=("form", "c_e", "c_1"),
        gain_like="l2h_priced",
        is_per_option=True,
    ),
    Score("plug_in", "gain", "rejector", has_bayes_price=True, is_per_option=True),
    Score("l2h_priced", "gain", "rejector", has_bayes_price=True, depends_on=("c_1",), is_per_option=True),
    Score(
        "confidence",
        "rank",
        "client",
        has_bayes_price=False,
        gain_like="compare_confidence",
        needs="probability",
    ),
    Score(
        "entropy",
        "rank",
        "client",
        has_bayes_price=False,
        gain_like="compare_confidence",
        needs="probability",
    ),
    Score(
        "margin",
        "rank",
        "client",
        has_bayes_price=False,
        gain_like="compare_confidence",
        needs="probability",
    ),
    Score(
        "confidence_calibrated",
        "rank",
        "client",
        has_bayes_price=False,
        gain_like="compare_confidence",
        needs="probability",
    ),
    Score(
        "energy",
        "rank",
        "client",
        has_bayes_price=False,
        gain_like="compare_confidence",
        needs="logits",
    ),
    Score(
        "compare_confidence",
        "gain",
        "rejector",
        has_bayes_price=True,
        needs="probability",
        is_per_option=True,
    ),
    Score(
        "mozannar_sontag",
        "rank",
        "rejector",
        has_bayes_price=True,
        depends_on=("c_e", "c_1"),
        needs="label",
        is_per_option=True,
    ),
    Score("one_vs_all", "rank", "rejector", has_bayes_price=False, needs="label"),
    Score("random", "rank", "draw", has_bayes_price=False),
    Score("oracle", "gain", "client", has_bayes_price=True, is_per_option=True),
    Score("given", "rank", "client", has_bayes_price=False, is_given=True),
    is_open=True,
)

if TYPE_CHECKING:
    ScoreName = str
else:
    ScoreName = SCORES.literal()
