"""Disciplines: who goes into a batch first. The code that orders a queue stands in `sim.engine`, by `code`.
The schema and the rules ask here for names and for what a discipline needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.registry.registry import Family


class Discipline(NamedTuple):
    """code: how the engine's compiled functions know it. needs_deadline: whether it orders by deadlines.
    heeds_priority: whether it orders by the priorities of groups. has_line: whether the queue keeps an order
    beside that of arrival; is_by_client: of clients, not attempts.
    """

    name: str
    code: int
    meaning: str
    needs_deadline: bool = False
    heeds_priority: bool = False
    has_line: bool = False
    is_by_client: bool = False


DISCIPLINES: Family[Discipline] = Family(
    "discipline",
    "discipline",
    Discipline("fifo", 0, "who came first"),
    Discipline("lifo", 1, "who came last"),
    Discipline("edf", 2, "the next deadline, of equals who came first", needs_deadline=True, has_line=True),
    Discipline(
        "fair",
        3,
        "the client served least recently, of its requests the one that came first",
        has_line=True,
        is_by_client=True,
    ),
    Discipline(
        "priority",
        4,
        "the smallest priority, of equals who came first",
        heeds_priority=True,
        has_line=True,
    ),
)

if TYPE_CHECKING:
    DisciplineName = str
else:
    DisciplineName = DISCIPLINES.literal()
