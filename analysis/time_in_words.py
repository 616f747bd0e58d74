"""Times as people say them: in days, hours and minutes where a run is that long, else in seconds.
Every instant and span of virtual time in a sentence, a table or a line of the terminal goes through here."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf

LONG_S = 4 * 3600.0  # from when on figures count hours, too
PARTS = (("day", 86_400), ("h", 3_600), ("min", 60))


def span(value_s: float, of_s: float | None = None) -> str:
    """A span, or an instant from t = 0, of a run that lasts `of_s` seconds (None: as long as the span).

    In a run of less than four hours '420 s', '1,200 s'; in a longer one '30 min', '23 h 50 min', '30 days',
    to a tenth of a second.
    """
    if max(value_s, of_s or 0.0) < LONG_S or value_s < 60:
        return f"{value_s:,.10g} s"
    return " ".join(_parts(round(10 * value_s)))


def _parts(tenths: int) -> Iterator[str]:
    for name, size_s in PARTS:
        count, tenths = divmod(tenths, 10 * size_s)
        if count:
            yield f"{count:,} {name}{'s' if name == 'day' and count > 1 else ''}"
    if tenths:
        yield f"{tenths / 10:g} s"


def rough(value_s: float) -> str:
    """What is only estimated: to the second, in four hours to the minute, in four days to the hour."""
    if isinf(value_s):
        return "more time than can be told"
    for least_s, size_s in ((4 * 86_400.0, 3_600), (LONG_S, 60), (0.0, 1)):
        if value_s >= least_s:
            return span(round(value_s / size_s) * size_s)
    return span(value_s)


def between(from_s: float, to_s: float, joint: str = " to ", of_s: float | None = None) -> str:
    """Two instants: '60 to 420 s', '1 day to 30 days'; the unit once where both are in seconds, or at 0."""
    longest_s = max(to_s, of_s or 0.0)
    begin, end = span(from_s, longest_s), span(to_s, longest_s)
    both_s = all(" " not in one.removesuffix(" s") for one in (begin, end)) and begin[-2:] == end[-2:] == " s"
    return f"{begin.removesuffix(' s') if both_s or from_s == 0 else begin}{joint}{end}"
