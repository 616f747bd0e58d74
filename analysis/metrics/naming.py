"""What people call a number of a summary, and which number that is: `--show`, `--meet`.
Between what was typed and the tables of many runs, comparisons and searches; the rule stands here alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from analysis.metrics.definitions import DEFINITIONS, definition_of
from analysis.metrics.measures import IN_SUMMARY, MEASURES, Percentile, Ratio, Single
from sim.errors import BadInput

MOST_OUTAGES = 20  # of a run, in order of start, that have numbers of their own


def all_named(written: Iterable[str], known: Collection[str] = tuple(IN_SUMMARY)) -> list[str]:
    """As `named`, of each; what stands between commas is a name of its own where the whole is none."""
    found = []
    for one in written:
        try:
            found.append(named(one, known))
        except BadInput:
            if "," not in one:
                raise
            found += [named(part.strip(), known) for part in one.split(",")]
    return found


def named(written: str, known: Collection[str] = tuple(IN_SUMMARY)) -> str:
    """The name of the number that was written: a measure (`accuracy`, `latency.p95`) or a path of
    summary.json as it is; else the one measure of `known` whose name has all these words, as `p95` or
    `mean latency`.

    Raises BadInput for what can be no number of any summary, with the nearest, and for words that several
    measures have.
    """
    refuse_ends(written)
    if key_of(written) in known or definition_of(written) or definition_of(written.rpartition(".")[0]):
        return written
    words = set(re.split(r"[\W_]+", written.lower())) - {""}
    fitting = [key for key in known if words and words <= set(key.split("_"))]
    if len(fitting) > 1:
        raise BadInput(f"{written}: is {', '.join(fitting[:-1])} or {fitting[-1]}: say which")
    if not fitting:
        raise unknown(written, [*known, *(path for path in DEFINITIONS if "*" not in path)])
    return fitting[0]


def refuse_ends(name: str) -> None:
    """Raises BadInput for an end of an interval."""
    around, _, end = name.rpartition(".")
    if end in ("low", "high"):
        raise BadInput(
            f"{name}: is an end of an interval: ask for {around}, whose interval is printed with it"
        )


def unknown(written: str, known: Sequence[str]) -> BadInput:
    """What to say of a name that is none of these."""
    near = get_close_matches(written, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(IN_SUMMARY)}"
    return BadInput(f"{written}: is no number of a summary: {hint}")


def key_of(name: str) -> str:
    """A measure's key (`latency_p95` of `latency.p95`), or the name itself: a path."""
    key = name.replace(".", "_")
    return key if key in MEASURES else name


def measure_of(key: str) -> Ratio | Percentile | Single:
    """The measure, or the number of a summary at a path as one without an interval."""
    return MEASURES.get(key) or Single(key, "", tuple(key.split(".")))


def no_such(key: str) -> str:
    """What to say where no run has a number that was asked for, with what it would be."""
    meaning = definition_of(".".join(IN_SUMMARY.get(key, (key,))))
    return f"{measure_of(key).label}: no run has such a number. {meaning or ''}".rstrip()


def number_at(summary: Mapping[str, Any], path: str) -> float | None:
    """The number at a path of a summary, of an estimate its value; None where there is none."""
    found = dict(numbers_of(summary))
    value = found.get(path, found.get(f"{path}.value"))
    return None if value is None else float(value)


def numbers_of(value: Any, path: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number below a part of a summary by its path, None where it could not be computed."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from numbers_of(part, f"{path}.{name}" if path else name)
    elif path == "outages.each":
        for number, outage in enumerate(value[:MOST_OUTAGES]):
            yield from numbers_of(outage, f"{path}.{number}")
    elif isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict) and "score" in entry:  # what a score comes to without any traffic
                yield from numbers_of(entry, f"{path}.{entry['group']}.{entry['score']}")
    elif value is None or isinstance(value, int | float):
        yield path, value
