"""Choices: which of its options a client asks, of those that would do and that nothing keeps it from.
The code that chooses stands in `sim.engine.handlers.choosing`, by `code`; the schema asks here for names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.registry.registry import Family


class Choice(NamedTuple):
    """code: how the engine's compiled functions know it. needs_backlog: whether it looks at what replies told
    of their server's queue, as old as that is. needs_scores: whether options must have scores of their own.
    """

    name: str
    code: int
    meaning: str
    needs_backlog: bool = False
    needs_scores: bool = False


CHOICES: Family[Choice] = Family(
    "choice",
    "choice among options",
    Choice("best", 0, "the largest score, of equals the first", needs_scores=True),
    Choice("order", 1, "the first in the scenario's order"),
    Choice("least_backlog", 2, "the server whose last word told the shortest queue", needs_backlog=True),
    Choice("two_choices", 3, "the shorter such queue of two that are drawn", needs_backlog=True),
    Choice("round_robin", 4, "each in turn, per client"),
    Choice("home", 5, "the client's own, by its number, or the next"),
)

if TYPE_CHECKING:
    ChoiceName = str
else:
    ChoiceName = CHOICES.literal()
