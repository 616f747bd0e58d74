"""Prediction against simulation in words: the rows of the report's table, and sentences that say who agrees.
Reads the summary's `predictions`, as the figure of that name does."""

from __future__ import annotations

from math import log10
from typing import Any

from analysis.reports.formatting import NEVER, NOTHING, seconds

Predictions = list[dict[str, Any]]
COLUMNS = ("number", "where", "predicted", "simulated [95% interval]", "agrees", "law")
MOST_NAMED = 4


def rows(by_law: Predictions) -> list[tuple[str, ...]]:
    """A row per number that was simulated; what is drawn over virtual time is left to the figure."""
    return [
        (
            value["quantity"],
            place(value),
            shown(value["predicted"], value["unit"], NEVER),
            simulated(value),
            "yes" if value["agrees"] else "no",
            law["law"],
        )
        for law in by_law
        for value in law["values"]
        if is_judged(value)
    ]


def is_judged(value: dict[str, Any]) -> bool:
    """Whether a number was simulated with an interval, so that it can agree or not."""
    return value["agrees"] is not None


def place(value: dict[str, Any]) -> str:
    """Where a number belongs, its place on a curve included."""
    at = f"{value['over']} {value['at']:.3g}" if value["over"] else ""
    return ", ".join(part for part in (value["where"], at) if part)


def simulated(value: dict[str, Any]) -> str:
    """The simulated number with its interval, or that what was waited for never came."""
    text = shown(value["simulated"], value["unit"], NEVER)
    if value["low"] is None or value["low"] == value["high"]:
        return text
    low, high = (shown(value[end], value["unit"]) for end in ("low", "high"))
    return f"{text} [{low}, {high}]"


def shown(number: float | None, unit: str, without: str = NOTHING) -> str:
    """A number with its unit, three significant digits."""
    if number is None:
        return without
    if unit == "s":
        return seconds(number)
    if unit == "share":
        return f"{100 * number:.1f}%"
    digits = 3 if unit == "loss" else max(0, 2 - int(log10(max(abs(number), 1e-3))))
    return f"{number:,.{digits}f}" + (" /s" if unit == "1/s" else "")


def sentences(by_law: Predictions) -> list[str]:
    """How many predictions agree, and by how much the others miss."""
    judged = [(law, value) for law in by_law for value in law["values"] if is_judged(value)]
    missed = [(law, value) for law, value in judged if not value["agrees"]]
    if not judged:
        return ["Laws apply to this run, and it holds too little to judge any of their numbers."]
    text = (
        f"{len(by_law)} law{'s' if len(by_law) > 1 else ''} apply to this run; "
        f"{len(judged) - len(missed)} of {len(judged)} predicted numbers lie in the 95% interval of the "
        "simulated one, widened by what the formula itself may be off. By chance alone about one in twenty "
        "does not."
    )
    parts = [text if len(by_law) > 1 else text.replace("law apply", "law applies")]
    for law, value in missed[:MOST_NAMED]:
        parts.append(
            f"They disagree on “{value['quantity']}” ({place(value)}): “{law['title']}” says "
            f"{shown(value['predicted'], value['unit'], NEVER)}, the simulation {simulated(value)}."
        )
    if len(missed) > MOST_NAMED:
        parts.append(f"{len(missed) - MOST_NAMED} more that disagree stand in the table.")
    return parts


def laws(by_law: Predictions) -> list[tuple[str, str]]:
    """Each law that applies: its name and title; its formula, assumptions, source and limits."""
    return [
        (
            f"{law['law']}: {law['title']}",
            f"{law['formula']}. Assumes: {law['assumes']}. Source: {law['source']}. Fails {law['fails']}.",
        )
        for law in by_law
    ]


def alt(by_law: Predictions) -> str:
    """The figure in one sentence."""
    judged = [value for law in by_law for value in law["values"] if is_judged(value)]
    agree = sum(bool(value["agrees"]) for value in judged)
    names = ", ".join(law["title"] for law in by_law)
    return f"Predicted beside simulated numbers of {names}: {agree} of {len(judged)} agree."
