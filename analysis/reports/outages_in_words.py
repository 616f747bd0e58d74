"""The outages of a scenario in words: what fails, when, and how badly.
Reads resolved scenarios as plain data; shown by the report, by comparisons and by `diff`."""

from __future__ import annotations

from typing import Any

from analysis.time_in_words import between, span

DAY_S = 86_400.0
SHOWN = 3  # periods; more are counted


def outages_in_words(outages: list[dict[str, Any]]) -> str:
    """For instance: server out 300–420 s; links of coast 4 times slower daily at 03:00 for 600 s."""
    return "; ".join(f"{_target(one)}{_effect(one)} {_when(one['when'])}" for one in outages) or "no outages"


def _target(outage: dict[str, Any]) -> str:
    target = outage.get("target") or {"kind": "server"}
    kind = str(target["kind"])
    if kind == "replicas":
        return f"{target['count']} replica{'' if target['count'] == 1 else 's'}"
    if kind == "links":
        share = f"{100 * target['share']:g}% of " if target.get("share", 1.0) < 1 else ""
        alone = "" if target.get("correlated", True) else ", each on its own,"
        return f"{share}links of {' and '.join(map(str, target['groups']))}{alone}"
    return kind


def _effect(outage: dict[str, Any]) -> str:
    effect = outage.get("effect") or {"kind": "down"}
    return f" {effect['factor']:g} times slower" if effect["kind"] == "slowdown" else " out"


def _when(when: dict[str, Any]) -> str:
    kind = when["kind"]
    if kind == "intervals":
        spans = [between(begin, end, "–") for begin, end in when["at"][:SHOWN]]
        more = len(when["at"]) - SHOWN
        return ", ".join(spans) + (f" and {more} times more" if more > 0 else "")
    if kind in ("daily", "weekly"):
        minutes = int(when["at_s"]) // 60
        days = "daily" if kind == "daily" else "on " + ", ".join(when["on"])
        return f"{days} at {minutes // 60:02d}:{minutes % 60:02d} for {span(when['for_s'], DAY_S)}"
    if kind == "renewal":
        cycle_s = max((one for one in (when["up"], when["down"]) if not isinstance(one, dict)), default=0.0)
        return f"at random, up {_span(when['up'], cycle_s)}, down {_span(when['down'], cycle_s)}"
    if kind == "intermittent":
        share, cycle = 100 * (1 - when["availability"]), span(when["mean_cycle_s"])
        return f"at random, {share:g}% of the time in cycles of {cycle}"
    source = {"trace": "file", "fitted": "to"}.get(kind)
    return f"by {kind} {when.get(source, '')}".rstrip() if source else f"by {kind}"


def _span(value: Any, cycle_s: float) -> str:
    if not isinstance(value, dict):
        return span(value, cycle_s)
    told = [
        f"{key.removesuffix('_s')} {part:g}" for key, part in value.items() if isinstance(part, int | float)
    ]
    return f"{value['kind']} ({', '.join(told)})" if told else str(value["kind"])
