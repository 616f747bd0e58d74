"""The table of mutants: what found how many, and why nothing found the others, as somebody judged who looked.
Written by `benchmarks.mutants`; the judgements stand in `mutants_judged.txt`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.mutations import Mutant

JUDGED = Path(__file__).with_name("mutants_judged.txt")
FOUND = ("verify", "breakdown", "no end", "liveness", "oracle", "windows", "story")
MISSED = ("another time line", "survived", "not reached")
EQUIVALENT, OPEN = "equivalent", "not judged"
HEADING = """# Mutants

What finds a rule that is put wrong: {} {} mutants of `python -m benchmarks.mutants`. A change that no check
finds either changes nothing that is told, which is said below of those that were judged, or is a hole.
"""


def judgements() -> dict[str, str]:
    """By the name of a mutant why it is equivalent. In the file a line `# why`, and below it their names."""
    why, found = "", dict[str, str]()
    for line in filter(None, JUDGED.read_text().splitlines()):
        if line.startswith("# "):
            why = line.removeprefix("# ")
        else:
            found[line] = why
    return found


def table(found: list[tuple[Mutant, str]], every: int) -> str:
    """What found how many of so many mutants, by module, and every one that nothing found, as Markdown."""
    judged = judgements()
    columns, counts = (*FOUND, EQUIVALENT, OPEN), dict[str, Counter[str]]()
    reasons: dict[str, list[str]] = {why: [] for why in judged.values()}
    left = []
    for mutant, how in found:
        name = str(mutant)
        column = how if how in FOUND else EQUIVALENT if name in judged else OPEN
        counts.setdefault(name.partition(".")[0], Counter())[column] += 1
        if column == EQUIVALENT:
            reasons[judged[name]].append(f"- {_told(name)}")
        elif column == OPEN:
            left.append(f"- {how}: {_told(name)}")
    counts["all"] = sum(counts.values(), Counter())
    lines = ["| module | mutants | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 2) + "|"]
    for name, by in counts.items():
        lines.append(f"| {name} | {by.total()} | " + " | ".join(str(by[one]) for one in columns) + " |")
    lines += ["", "## Equivalent", ""]
    for why, names in reasons.items():
        if names:
            lines += [f"{why}:", "", *names, ""]
    if left:
        lines += ["## Found by none, and not judged", "", *left, ""]
    of = "All" if len(found) == every else f"{len(found)} drawn of"
    return "\n".join([HEADING.format(of.lower(), every), *lines])


def _told(name: str) -> str:
    """As code, which a name may have in it."""
    return f"`` {name} ``"
