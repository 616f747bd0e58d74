"""The form of what is registered: names that are free, functions that take what they will be handed.
Looked at by `registering` and `of_results` before anything is kept."""

from __future__ import annotations

from inspect import isclass, signature
from typing import Any

from sim.errors import BadInput
from sim.scenario.schema.values import Part


def needs(made: Any, family: str, bound: bool = False, **functions: int) -> None:
    if not isclass(made):
        raise BadInput(f"{family}: must be a class, not {made!r}")
    for name in functions:
        if not callable(getattr(made, name, None)):
            raise BadInput(f"{made.__name__} is no {family}: it lacks {name}")
    takes_so_many(made, bound, **functions)


def takes_so_many(made: Any, bound: bool = False, **functions: int) -> None:
    """Raises BadInput for a function that is there and takes another number of arguments."""
    for name, count in functions.items():
        found = getattr(made, name, None)
        if found is not None and takes(found) != count + bound:
            words = ", ".join(("self", *HANDED[name]) if bound else HANDED[name])
            raise BadInput(f"{made.__name__}.{name}: must take ({words}), not {signature(found)}")


HANDED = {
    "threshold": ("p", "m", "now", "request"),
    "on_decision": ("p", "m", "now", "is_sent"),
    "on_outcome": ("p", "m", "now", "heard"),
    "decide": ("request", "now"),
    "hear": ("outcome", "now"),
}


def require_free(name: str, table: Any, noun: str) -> None:
    if name in table:
        raise BadInput(f"there is a {noun} '{name}' already")


def takes(made: Any) -> int:
    """How many arguments something callable takes; -1 where Python does not know."""
    try:
        return len(signature(made).parameters)
    except (ValueError, TypeError):
        return -1


def drop(*entries: tuple[str, dict[str, Any]]) -> None:
    for name, table in entries:
        del table[name]


def forget(name: str, *tables: Any) -> None:
    for table in tables:
        entry = table.remove(name)
        if entry in Part.in_order:
            Part.in_order.remove(entry)
