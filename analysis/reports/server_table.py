"""Each of several servers as a row: what it was asked, how busy it was, and what it cost.
Reads the summary's `servers` and `queues`; printed at the end of a run and on its report."""

from __future__ import annotations

from typing import Any

from analysis.reports.formatting import NOTHING, answered_within, load_of, number, percent

MOST = 20  # servers; of more nobody reads a table
SERVER_COLUMNS = (
    "server",
    "asked",
    "right\n%",
    "p95",
    "load",
    "busy\n%",
    "waiting",
    "up\n%",
    "cost\n(loss)",
    "replicas\nUSD",
)
SERVER_COLUMNS_LONG = (
    "server",
    "requests that asked it last",
    "accuracy, %",
    "95% answered within",
    "offered load",
    "utilisation, %",
    "waiting, mean",
    "usable, % of time",
    "cost of these requests (loss)",
    "replicas, USD",
)


def of_servers(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per server; none where there is one, or more than MOST, or no rows tell who asked which."""
    parts = summary.get("servers") or {}
    queues = summary.get("queues") or {}
    asked = {name: parts[name]["whole_run"] for name in queues if name in parts}
    if not 1 < len(queues) <= MOST:
        return []
    return [_row(name, one, queues[name]) for name, one in asked.items() if one["requests"] is not None]


def _row(name: str, asked: dict[str, Any], queue: dict[str, Any]) -> tuple[str, ...]:
    cost = asked["cost_per_request"]
    return (
        name,
        f"{asked['requests']:,}",
        percent(asked["accuracy"]["value"], ""),
        answered_within(asked) if asked["requests"] else NOTHING,
        load_of(queue["offered"]),
        percent(queue["utilisation"], ""),
        number(queue["waiting_mean"], 1),
        percent(queue["usable_share"], ""),
        number(None if cost is None else cost * asked["requests"], 1),
        number(queue["replicas_usd"], 2),
    )
