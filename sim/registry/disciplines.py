"""Disciplines: who goes into a batch first. Most are a function that ranks who waits; the code of the others
stands in `sim.engine.handlers.queue`, by `code`. The schema and the rules ask here for names and facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sim.registry.registry import Family

BY_RANK = 3  # the code of all that rank


class Waiting(NamedTuple):
    """An attempt that waits at a server, as a discipline ranks it.

    arrived_at_s: of its request; reached_at_s: when it came to the server; deadline_s: an instant, inf
    without one. priority: of its group, the smaller the sooner. work: what its service time is multiplied by.
    attempt: its number, from 1.
    """

    client: int
    attempt: int
    arrived_at_s: float
    reached_at_s: float
    deadline_s: float
    priority: float
    work: float


Rank = Callable[[Waiting], float]


class Discipline(NamedTuple):
    """code: how the engine's handlers know it. rank: the smallest goes first, of equals who came first; it
    follows from what waits alone, never from the time. needs_deadline: whether it orders by deadlines.
    heeds_priority: whether it orders by the priorities of groups. sheds_worse: whether in a full queue the
    last of those that rank worst makes place for one that ranks better. is_by_client: whether it orders
    clients, not attempts.
    """

    name: str
    code: int
    meaning: str
    rank: Rank | None = None
    needs_deadline: bool = False
    heeds_priority: bool = False
    sheds_worse: bool = False
    is_by_client: bool = False

    @property
    def has_line(self) -> bool:
        """Whether the queue keeps an order beside that of arrival."""
        return self.rank is not None or self.is_by_client


def by_deadline(waiting: Waiting) -> float:
    return waiting.deadline_s


def by_priority(waiting: Waiting) -> float:
    return waiting.priority


def by_work(waiting: Waiting) -> float:
    return waiting.work


DISCIPLINES: Family[Discipline] = Family(
    "discipline",
    "discipline",
    Discipline("fifo", 0, "who came first"),
    Discipline("lifo", 1, "who came last"),
    Discipline("edf", BY_RANK, "the next deadline, of equals who came first", by_deadline, True),
    Discipline(
        "fair",
        2,
        "the client served least recently, of its requests the one that came first",
        is_by_client=True,
    ),
    Discipline(
        "priority",
        BY_RANK,
        "the smallest priority, of equals who came first",
        by_priority,
        heeds_priority=True,
        sheds_worse=True,
    ),
    Discipline("sjf", BY_RANK, "the least work (shortest job first), of equals who came first", by_work),
    is_open=True,
)

if TYPE_CHECKING:
    DisciplineName = str
else:
    DisciplineName = DISCIPLINES.literal()
