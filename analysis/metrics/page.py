"""docs/metrics.md: every number of summary.json with its definition, written from the definitions themselves.
Made anew by `python -m analysis.metrics.page > docs/metrics.md`; a test holds the page to it."""

from __future__ import annotations

from itertools import groupby

from analysis.metrics.definitions import DEFINITIONS
from analysis.metrics.terms import GENERAL
from analysis.metrics.without_interval import WITHOUT

HEAD = """\
# The numbers of summary.json

The report holds the same sentences. A path is matched segment by segment; `*` stands for any one segment,
such as `held_out`, the name of an outcome, or the number of an outage. Made by
`python -m analysis.metrics.page`.
"""

ABOUT_WITHOUT = """\
All other numbers have one: beside them (`low`, `high`), in the section `intervals` under their path, or as
part of `predictions` and `reliability`; where a run is too short for it, `why` says so. Over three seeds and
more (`sweep`, `study`, `compare --over-seeds`) every number has an interval over the seeds."""


def page() -> str:
    """The page: what holds for all numbers, then a table for each section of the summary."""
    parts = [HEAD, "## What holds for all", *(f"- *{name}*: {said}" for name, said in GENERAL.items())]
    for section, paths in groupby(DEFINITIONS, key=lambda path: path.partition(".")[0]):
        parts += ["", f"## `{section}`", "", "| number | meaning |", "| --- | --- |"]
        parts += [f"| `{path}` | {DEFINITIONS[path].replace('|', chr(92) + '|')} |" for path in paths]
    parts += ["", *_without()]
    return "\n".join(parts) + "\n"


def _without() -> list[str]:
    """The numbers that have no interval in a single run, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for path, reason in WITHOUT.items():
        by_reason.setdefault(reason, []).append(f"`{path}`")
    rows = [f"| {reason} | {', '.join(paths)} |" for reason, paths in by_reason.items()]
    return [
        "## What has no interval in a single run",
        "",
        ABOUT_WITHOUT,
        "",
        "| why | numbers |",
        "| --- | --- |",
        *rows,
    ]


if __name__ == "__main__":
    print(page(), end="")
