"""Grids of scenarios: `--vary path=1,2,5` and `--vary path=0.1:0.5:0.1`, every combination of their values.
Beside `reading`, for commands that run one scenario many times; each cell is checked as if written so."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from sim.errors import BadInput
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.spoken import bits_per_second, seconds
from sim.scenario.text.draft import Draft, Origin, complaint
from sim.scenario.text.overrides import Change, change, split_option
from sim.scenario.text.places import strays
from sim.scenario.text.reading import changed_draft, check, rooted
from sim.scenario.text.wording import show
from sim.scenario.text.yaml_text import parse

MOST_CELLS = 100_000
LARGEST_SEED = 2**63 - 1
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER}):({_NUMBER})")


class Axis(NamedTuple):
    """The values that a path takes in turn."""

    path: str
    values: tuple[Any, ...]
    origin: Origin


class Variant(NamedTuple):
    """One cell of a grid: what was chosen on each axis, by path, and the scenario that comes of it."""

    chosen: dict[str, Any]
    scenario: Scenario


def axes_of(written: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of `--vary` options. Raises BadInput for what is no list of values, or a path twice."""
    axes: list[Axis] = []
    for nth, text in enumerate(written):
        path, values, origin = split_option("--vary", text, "server.replicas=1,2,4", nth)
        if path == "seed":
            raise BadInput(f"{origin.label}: give --seeds N, for N seeds from the scenario's own on")
        if any(axis.path == path for axis in axes):
            raise BadInput(f"{origin.label}: is varied twice: give all its values at once")
        axes.append(Axis(path, _values(values, origin), origin))
    cells = math.prod(len(axis.values) for axis in axes)
    if cells > MOST_CELLS:
        raise BadInput(f"--vary: {cells:,} combinations: at most {MOST_CELLS:,} can be asked for")
    return tuple(axes)


def combinations(axes: Sequence[Axis]) -> Iterator[tuple[Change, ...]]:
    """Every combination, the last axis fastest."""
    for values in product(*(axis.values for axis in axes)):
        yield tuple(Change(axis.path, value, axis.origin) for axis, value in zip(axes, values, strict=True))


def variants(
    source: str | Path,
    overrides: Sequence[str],
    seed: int | None,
    wanted: Sequence[tuple[Change, ...]],
    seeds: int,
) -> list[Variant]:
    """A checked scenario for each set of changes and each of `seeds` seeds, the scenario's own the first.

    Raises BadInput for the first that cannot be, naming the path, the value and the rule.
    """
    draft = changed_draft(source, overrides, seed)
    return [
        Variant({one.path: one.value for one in changes}, scenario)
        for changes in wanted
        for scenario in with_seeds(changed(draft, changes), seeds)
    ]


def changed(draft: Draft, changes: Sequence[Change], folder: Path | None = None) -> Scenario:
    """The scenario of a draft with these changes; a complaint about something else tells them.

    folder: of the file that asks for them, where a `file` they name begins; it may name no other places than
    a scenario there. None: they come from the command line.
    """
    before = [] if folder is None else list(strays(draft, folder))
    for one in changes:
        draft = change(draft, one)
    draft = rooted(draft, folder or Path.cwd())
    try:
        found = [] if folder is None else [one for one in strays(draft, folder) if one not in before]
        if found:
            raise BadInput(*complaint(draft, found))
        return check(draft)
    except BadInput as error:
        labels = [one.origin.label for one in changes]
        if not changes or all(str(line).startswith(tuple(labels)) for line in error.args):
            raise
        where = ", ".join(f"{one.path}={show(one.value)}" for one in changes)
        raise error.told(after=f" (where {where})") from None


def with_seeds(scenario: Scenario, seeds: int) -> list[Scenario]:
    """The scenario under `seeds` seeds, its own first."""
    if scenario.seed + seeds - 1 > LARGEST_SEED:
        raise BadInput(f"seed: {scenario.seed} is not allowed: {seeds} seeds from it on go beyond 2^63 - 1")
    return [scenario.model_copy(update={"seed": scenario.seed + more}) for more in range(seeds)]


def _values(text: str, origin: Origin) -> tuple[Any, ...]:
    """The values of a list such as `1,2`, `0:1:0.25`, `{kind: always_local},null`; `10min` is 600.0, so that
    tables and maps have numbers."""
    try:
        listed = parse(f"[{text}]", lambda _line: origin).value
    except BadInput:
        raise BadInput(f"{origin.label}: {show(text)} is no list of values, nor lo:hi:step") from None
    values = [bits_per_second(seconds(value)) for entry in listed for value in _expanded(entry, origin)]
    for index, value in enumerate(values):
        if any(_same(value, before) for before in values[:index]):
            raise BadInput(f"{origin.label}: the value {show(value)} is there twice")
    if not values:
        raise BadInput(f"{origin.label}: no value behind the = (write null for none)")
    return tuple(values)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _expanded(entry: Any, origin: Origin) -> list[Any]:
    """A range as its numbers, whole ones where all three of its parts are; anything else as it is."""
    found = _RANGE.fullmatch(entry) if isinstance(entry, str) else None
    if found is None:
        return [entry]
    low, high, step = (Decimal(part) for part in found.groups())
    if step <= 0 or high < low:
        raise BadInput(
            f"{origin.label}: {entry} is no range: lo:hi:step goes up from lo to hi, both included"
        )
    count = int((high - low) / step) + 1
    if count > MOST_CELLS:
        raise BadInput(
            f"{origin.label}: {entry} has {count:,} values: at most {MOST_CELLS:,} can be asked for"
        )
    # Decimal, so that 0.1:0.3:0.1 ends with the very float that 0.3 is.
    steps = [low + number * step for number in range(count)]
    is_whole = all(re.fullmatch(r"[-+]?\d+", part) for part in found.groups())
    return [int(value) if is_whole else float(value) for value in steps]
