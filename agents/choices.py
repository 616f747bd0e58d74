"""Looking a name up in one of the learners' tables, or refusing it in one line that says what exists.
Used wherever a scenario names a data set, partition, family, mix or score."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from sim.errors import BadInput

Entry = TypeVar("Entry")


def choose(table: Mapping[str, Entry], name: str, path: str, what: str) -> Entry:
    """The entry of `table` called `name`.

    Raises BadInput, one line with the scenario's `path`, the value, the choices and the nearest one.
    """
    if name in table:
        return table[name]
    near = get_close_matches(name, table, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise BadInput(f"{path}: '{name}' is not a known {what} ({', '.join(table)}){hint}")
