"""Losses of the score `l2h`: the forms that `training.form` may name. Here what is known of each.
Their code stands in `agents.rejectors`: weights of the tool's own, and functions that researchers bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.registry.registry import Family


class Loss(NamedTuple):
    """knows_availability: whether it weighs that a send may not be answered. for_one_option: whether clients
    that have several cannot learn by it."""

    name: str
    knows_availability: bool = True
    for_one_option: bool = False


LOSSES: Family[Loss] = Family(
    "loss",
    "loss of rejectors",
    Loss("nonnegative"),
    Loss("paper"),
    Loss("cost_sensitive"),
    Loss("released", knows_availability=False, for_one_option=True),
    is_open=True,
)

if TYPE_CHECKING:
    LossName = str
else:
    LossName = LOSSES.literal()
