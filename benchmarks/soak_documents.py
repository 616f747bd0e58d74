"""Scenarios as plain mappings, for `benchmarks.soak`: what is wrong with one, and smaller ones that fail
alike. Nothing here changes a document; each gives another one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from pydantic import ValidationError

from sim.scenario import Scenario
from sim.scenario.rules import checks
from sim.scenario.text import complaints
from sim.scenario.text.draft import Finding

Table = dict[str, Any]
Path = tuple[Any, ...]


def wrong(document: Table) -> Iterator[Finding]:
    """Why a scenario is refused; files are those of the working folder."""
    value = frozen(document)
    try:
        scenario = Scenario.model_validate(value)
    except ValidationError as error:
        yield from complaints.findings(error, value)
    else:
        yield from checks.findings(scenario)


def frozen(value: Any) -> Any:
    """With tuples in place of lists, as a scenario is read."""
    if isinstance(value, dict):
        return {key: frozen(part) for key, part in value.items()}
    return tuple(frozen(part) for part in value) if isinstance(value, list | tuple) else value


def at_path(value: Any, path: Path) -> Any:
    """What stands there; None: nothing does."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def put_in(value: Any, path: Path, new: Any) -> Any:
    """The same with another value there."""
    other = dict(value) if isinstance(value, dict) else list(value)
    other[path[0]] = new if len(path) == 1 else put_in(value[path[0]], path[1:], new)
    return other


def without(value: Any, path: Path) -> Any:
    """The same without what stands there."""
    smaller = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del smaller[path[0]]
    else:
        smaller[path[0]] = without(value[path[0]], path[1:])
    return smaller


def keys(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything that stands in a document."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, part in entries:
        yield (*path, key)
        yield from keys(part, (*path, key))


def shrunk(document: Table, still_fails: Callable[[Table], bool], at_most_s: float = inf) -> Table:
    """The document without keys that the failure does not need; after at_most_s as far as that came."""
    until, changed = time.monotonic() + at_most_s, True
    while changed:
        changed = False
        for path in list(keys(document)):
            if time.monotonic() > until:
                return document
            smaller = without(document, path)
            if still_fails(smaller):
                document, changed = smaller, True
                break
    return document
