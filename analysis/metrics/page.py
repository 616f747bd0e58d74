"""docs/metrics.md: every number of summary.json with its definition, written from the definitions themselves.
Made anew by `python -m analysis.metrics.page > docs/metrics.md`; a test holds the page to it."""

from __future__ import annotations

from itertools import groupby

from analysis.metrics.definitions import DEFINITIONS
from analysis.metrics.terms import GENERAL

HEAD = """\
# The numbers of summary.json

The report holds the same sentences. A path is matched segment by segment; `*` stands for any one segment,
such as `held_out`, the name of an outcome, or the number of an outage. Made by
`python -m analysis.metrics.page`.
"""


def page() -> str:
    """The page: what holds for all numbers, then a table for each section of the summary."""
    parts = [HEAD, "## What holds for all", *(f"- *{name}*: {said}" for name, said in GENERAL.items())]
    for section, paths in groupby(DEFINITIONS, key=lambda path: path.partition(".")[0]):
        parts += ["", f"## `{section}`", "", "| number | meaning |", "| --- | --- |"]
        parts += [f"| `{path}` | {DEFINITIONS[path].replace('|', chr(92) + '|')} |" for path in paths]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
