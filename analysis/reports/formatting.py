"""Numbers as people read them.
Used by the table at the end of a run and by the report, so that both say the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from math import floor, isnan, log10
from pathlib import Path
from typing import Any

from analysis.reports.learning_alone import tiles
from analysis.time_in_words import between, span

NOTHING, NEVER, OPEN = "–", "never", "open"
Summary = dict[str, Any]


def program() -> list[str]:
    """What a command to type begins with: how this process was called, if by the installed command."""
    return ["l2h-fleet"] if Path(sys.argv[0]).stem == "l2h-fleet" else ["python", "run_sim.py"]


def percent(share: float | None, sign: str = "%") -> str:
    """0.834 -> '83.4%'; a number that does not exist is a dash."""
    return NOTHING if share is None else f"{100 * share:.1f}{sign}"


def with_interval(estimate: dict[str, Any]) -> str:
    """An estimated share in percent with its interval: '83.4 [80.1, 86.0]'."""
    text = percent(estimate["value"], "")
    if estimate["low"] is None:
        return text
    return f"{text} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"


def number(value: float | None, digits: int = 2) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def rate(value: float | None) -> str:
    """Events per second, of three digits or more: '17.3', '0.213', '1,234.6'."""
    return number(value, _digits_of_rate(value or 1.0))


def load_of(offered: float | None) -> str:
    """An offered load with two digits after the point, or two that are not 0: '0.58', '0.0043'."""
    return number(offered, max(2, _digits_of_rate(offered or 1.0) - 1))


def _digits_of_rate(value: float) -> int:
    return min(6, max(1, 2 - floor(log10(abs(value) or 1.0))))


def seconds(value: float | None) -> str:
    """Three significant digits, in ms below one second."""
    if value is None:
        return NOTHING
    return f"{1000 * value:.3g} ms" if 0 < value < 0.9995 else f"{value:,.{2 if value < 10 else 1}f} s"


def data_size(count: float | None) -> str:
    """Bytes in decimal units, as links are rated."""
    if count is None:
        return NOTHING
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:.0f} B"


def answered_within(window: Summary) -> str:
    """The time in which 95% of a window's requests were answered; "never" if too few were at all, "open" if
    too many are open to tell."""
    if window["p95_latency_s"] is None and window["answered_share"] is not None:
        return NEVER if window["answered_share"] < 0.95 else OPEN
    return seconds(window["p95_latency_s"])


def recovery(summary: Summary, outage: dict[str, Any], of: str = "recovery_s") -> str:
    """How long it took until all was as before, known to the whole second; or why that is not told."""
    if summary["outages"]["normal_waiting"] is None:
        return "not judged"
    return "not seen" if outage[of] is None else span(round(outage[of]), summary["run"]["horizon_s"])


def outcome_shares(summary: Summary) -> str:
    """The outcomes with their shares, in one line; those below 0.05% are left out."""
    count = max(1, summary["counts"]["requests"])
    shares = {name: n / count for name, n in summary["counts"]["outcome"].items()}
    return ", ".join(f"{name} {percent(part)}" for name, part in shares.items() if part >= 0.0005) or "none"


def outage_name(outage: dict[str, Any], of_s: float) -> str:
    """What is out, and from when to when in a run of `of_s` seconds."""
    return f"{outage['label']} out {between(outage['from_s'], outage['to_s'], '–', of_s)}"


def verdict(summary: Summary) -> str:
    """One line: whether the run may be believed, else why not."""
    if summary["valid"]:
        return "Valid: every check passed."
    return "Read with care: " + "; ".join(summary["invalid_because"]) + "."


def taken(summary: Summary, which: str, percentile: str) -> str:
    """A percentile of the latency to the first or final answer; what it is at least where that is all that
    is known."""
    value, told = (
        summary["latency_s"][which][percentile],
        summary["intervals"]["latency_s"][which][percentile],
    )
    if value is None and told["low"] is not None:
        return f"at least {seconds(told['low'])}"
    return seconds(value)


def headline(summary: Summary) -> list[dict[str, str]]:
    """The numbers to read first: label, value, and a note that says what to hold it against."""
    if not summary["run"]["horizon_s"]:
        return [dict(zip(("label", "value", "note"), row, strict=True)) for row in tiles(summary)]
    held_out, whole = summary["accuracy"]["held_out"], summary["outages"]["whole_run"]
    rates, load = summary["rates"], summary["load"]
    low, high = held_out["all"]["low"], held_out["all"]["high"]
    interval = "" if low is None else f"{100 * low:.1f} to {100 * high:.1f} (95%)"
    answered = f"{percent(rates['remote_answer_rate'])} answered by the server"
    gain, wasted = held_out["gain"]["value"], percent(summary["work"]["wasted_share"])
    rows = [
        ("accuracy", percent(held_out["all"]["value"]), interval),
        ("gain", NOTHING if gain is None else f"{100 * gain:+.1f}", "points over client accuracy"),
        ("deferral rate", percent(rates["deferral_rate"]["value"]), answered),
        ("95% answered within", answered_within(whole), f"{percent(whole['answered_share'])} got an answer"),
        ("offered load", load_of(load["offered"]), f"{wasted} of work wasted")
        if load["offered"] is not None  # of several servers no one number
        else ("work wasted", wasted, "of the server's time"),
    ]
    if summary["outages"]["each"]:
        during = summary["outages"]["during_any"]
        note = f"{percent(during['client_accuracy']['value'])} by the clients' own models"
        rows.insert(2, ("accuracy in outages", percent(during["accuracy"]["value"]), note))
    return [dict(zip(("label", "value", "note"), row, strict=True)) for row in rows]


PLAIN = ("", 1.0, 3)  # of a number without a unit
MOST_DIGITS = 6
SHOWN_AS = {  # unit of a measure: the unit it is shown in, the factor, and digits after the point
    "share": ("%", 100.0, 1),
    "J": ("J", 1.0, 2),
    "calls": ("", 1.0, 0),
    "clients": ("", 1.0, 1),
    "s": ("ms", 1000.0, 1),
    "bytes": ("kB", 0.001, 2),
    "loss": ("loss", 1.0, 4),
    "ratio": ("", 1.0, 3),
    "requests": ("", 1.0, 1),
    "money": ("", 1.0, 2),
    "1/s": ("1/s", 1.0, 1),
}


def difference_with_interval(difference: Mapping[str, Any], unit: str) -> str:
    """'+1.2 [+0.3, +2.1]'; as many digits as it takes that an end is written 0 only if it is."""
    middle, *ends = (_or_none(difference[end]) for end in ("difference", "low", "high"))
    if any(end is None for end in ends):
        return quantity(middle, unit, signed=True)
    digits = digits_of_ends(ends, unit)
    middle_text, low, high = (quantity(one, unit, True, digits) for one in (middle, *ends))
    return f"{middle_text} [{low}, {high}]"


def difference_with_half(difference: Mapping[str, Any], unit: str) -> str:
    """'+1.2 ±0.9', with as many digits as its interval needs; the difference alone if that is not known."""
    middle, *ends = (_or_none(difference[end]) for end in ("difference", "low", "high"))
    low, high = ends
    if low is None or high is None:
        return quantity(middle, unit, signed=True)
    digits = digits_of_ends(ends, unit)
    return f"{quantity(middle, unit, True, digits)} ±{quantity((high - low) / 2, unit, False, digits)}"


def digits_of_ends(ends: Sequence[float | None], unit: str) -> int:
    """Digits after the point with which no end of an interval is written 0 unless it is."""
    _, factor, digits = SHOWN_AS.get(unit, PLAIN)
    while digits < MOST_DIGITS and any(end and not round(factor * end, digits) for end in ends):
        digits += 1
    return digits


def _or_none(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value


def quantity(value: float | None, unit: str, signed: bool = False, digits: int | None = None) -> str:
    """A measure's value, scaled as SHOWN_AS says and without its unit; `signed` for differences."""
    if value is None:
        return NOTHING
    _, factor, usual = SHOWN_AS.get(unit, PLAIN)
    usual = _digits_of_rate(value) if unit == "1/s" else usual
    text = f"{factor * value:{'+' if signed else ''},.{usual if digits is None else digits}f}"
    return text[1:] if set(text) <= set("-+0.") and signed else text
