"""Choices: which of its options a client asks, of those that would do and that nothing keeps it from.
Each is a function that ranks options; `sim.engine.handlers.choosing` asks it, the schema asks for names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sim.registry.registry import Family

BEHIND_ALL = float(1 << 31)  # behind every backlog


class Candidate(NamedTuple):
    """An option that a client may ask now, as a choice ranks it.

    home: the option that is the client's own, or its number, of which the rest by `options` is. option: its
    number in the group; options: how many the group has. score: the option's own, net of what it
    costs more than others, or the one of all; c_e: price of a charged send. backlog: how many waited at its
    server when that last told this client; 0 without a word. turn: the option whose turn it is, where the
    choice `takes_turns`. is_drawn: whether it is one of two that this attempt has drawn, where it `draws`.
    latency_s: of its link, from the cell where the client is, on average.
    """

    client: int
    home: int
    attempt: int
    option: int
    options: int
    score: float
    c_e: float
    backlog: int
    turn: int
    is_drawn: bool
    latency_s: float


Rank = Callable[[Candidate], float]


class Choice(NamedTuple):
    """rank: the smallest is asked, of equals the first option. needs_backlog: whether it looks at what
    replies told of their server's queue, as old as that is. needs_scores: whether options must have scores of
    their own. takes_turns: whether the turn goes on with each send. draws: whether each attempt draws two
    options. goes_on: whether a retry that asks another goes on in the scenario's order from the one that
    failed, whatever the rank.
    """

    name: str
    rank: Rank
    meaning: str
    needs_backlog: bool = False
    needs_scores: bool = False
    takes_turns: bool = False
    draws: bool = False
    goes_on: bool = False


def largest_score(one: Candidate) -> float:
    return -one.score


def as_written(one: Candidate) -> float:
    return 1.0 * one.option


def shortest_queue(one: Candidate) -> float:
    return 1.0 * one.backlog


def shorter_of_two(one: Candidate) -> float:
    return 1.0 * one.backlog if one.is_drawn else one.backlog + BEHIND_ALL


def whose_turn(one: Candidate) -> float:
    return 1.0 * ((one.option - one.turn) % one.options)


def from_home(one: Candidate) -> float:
    return 1.0 * ((one.option - one.home) % one.options)


def least_latency(one: Candidate) -> float:
    return one.latency_s


CHOICES: Family[Choice] = Family(
    "choice",
    "choice among options",
    Choice("best", largest_score, "the largest score, of equals the first", needs_scores=True, goes_on=True),
    Choice("order", as_written, "the first in the scenario's order", goes_on=True),
    Choice(
        "least_backlog",
        shortest_queue,
        "the server whose last word told the shortest queue",
        needs_backlog=True,
    ),
    Choice(
        "two_choices",
        shorter_of_two,
        "the shorter such queue of two that are drawn",
        needs_backlog=True,
        draws=True,
    ),
    Choice("round_robin", whose_turn, "each in turn, per client", takes_turns=True),
    Choice("nearest", least_latency, "the least mean latency of its link, from the cell where the client is"),
    Choice("home", from_home, "the client's own, by plan or by its number, or the next"),
    is_open=True,
)

if TYPE_CHECKING:
    ChoiceName = str
else:
    ChoiceName = CHOICES.literal()
