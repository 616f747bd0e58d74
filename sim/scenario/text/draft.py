"""A scenario as somebody wrote it: plain Python, where each value was written, and how to complain about it.
Made by the reader of YAML, changed by overrides, then checked against the schema and across fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sim.scenario.text.wording import is_bare, show

Path = tuple[str | int, ...]
MISSING = "is missing: "
UNKNOWN = "unknown key"
MOST_TOLD = 8  # lines; more would push the first out of sight


class Origin(NamedTuple):
    """Where a value was written: `order` sorts complaints, `label` is a file and line or an option."""

    order: int
    label: str


class Finding(NamedTuple):
    """Something wrong: the path it is about and a sentence that goes behind the path."""

    path: Path
    sentence: str


@dataclass(frozen=True)
class Draft:
    """The scenario before it is checked: dicts, tuples and scalars, and the origin of each path."""

    value: Any
    origins: dict[Path, Origin]

    def origin(self, path: Path) -> Origin:
        """The origin of `path`, or of the nearest part around it that was written."""
        while path not in self.origins:
            path = path[:-1]
        return self.origins[path]


def is_absence(finding: Finding) -> bool:
    """Whether it tells of a key that is not there."""
    return finding.sentence.startswith(MISSING)


def refusal(path: Path, value: Any, rule: str) -> Finding:
    """The usual complaint: a value, and the rule it breaks."""
    return Finding(path, f"{show(value)} is not allowed: {rule}")


def complaint(draft: Draft, findings: Iterable[Finding]) -> list[str]:
    """A line for each finding, the one that helps first on top, and how many there are beyond MOST_TOLD.

    What was written comes before what is missing, since a key is often missing because it was written
    otherwise; so what is missing beside an unknown key is not told. Else the order of the file decides.
    """
    found = list(findings)
    misspelt = {one.path[:-1] for one in found if one.sentence.startswith(UNKNOWN)}
    told = [one for one in found if not (is_absence(one) and one.path[:-1] in misspelt)]
    told.sort(key=lambda one: (is_absence(one), draft.origin(one.path).order))
    once = {(draft.origin(one.path).label, _in_all(one.path), one.sentence): one for one in reversed(told)}
    told = list(reversed(once.values()))
    rest = [f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
    return [_line(draft, one) for one in told[:MOST_TOLD]] + rest


def _in_all(path: Path) -> Path:
    """A path without the place of the group: what is written once may stand for several, and is told once."""
    return (*path[:1], *path[2:]) if path[:1] == ("fleet",) else path


def _line(draft: Draft, finding: Finding) -> str:
    """Where it was written, the path, and what is wrong there."""
    label = draft.origin(finding.path).label
    named = name_path(draft.value, finding.path)
    # An override that names the very path need not say it twice.
    is_said = not named or (label.startswith("--") and label.split()[-1].lstrip("-") == named)
    return f"{label}: {finding.sentence}" if is_said else f"{label}: {named}: {finding.sentence}"


def name_path(value: Any, path: Path) -> str:
    """`fleet.sensors.clients`: steps joined by dots, groups by name where the name tells them apart."""
    steps = [step if is_bare(step) else show(step) for step in map(str, path)]
    if len(path) > 1 and path[0] == "fleet" and isinstance(path[1], int):
        names = group_names(value)
        name = names[path[1]] if path[1] < len(names) else None
        if name is not None and names.count(name) == 1:
            steps[1] = name
    return ".".join(steps)


def group_names(value: Any) -> list[str | None]:
    """The names of the groups as written; None where there is none that could stand in a path."""
    fleet = value.get("fleet") if isinstance(value, dict) else None
    groups = fleet if isinstance(fleet, tuple) else ()
    names = [group.get("group") if isinstance(group, dict) else None for group in groups]
    return [
        name if isinstance(name, str) and re.fullmatch(r"[A-Za-z][\w-]*", name) else None for name in names
    ]
