"""What the outages of each target came to, beside what the scenario says of them on average.
A part of the summary's section `availability`; a slowdown counts as the time in which it holds."""

from __future__ import annotations

from math import floor
from typing import Any

from analysis.run_folder.run import Run


def by_target(run: Run) -> list[dict[str, Any]]:
    """One entry per target and effect, in the order of the scenario.

    observed: the share of the time after the warm-up in which no outage of it is on; over the links it hits
    where each fails on its own. expected: the product over its outages of mean up / (mean up + mean down);
    None where one is written down or drawn from measured times, whose mean only the file knows.
    """
    by_target_and_effect: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for server, outage in run.outages_asked:
        key = _name_of(run, server, outage["target"]), outage["effect"]["kind"]
        by_target_and_effect.setdefault(key, []).append(outage)
    entries = []
    for (target, effect), outages in by_target_and_effect.items():
        expected = 1.0
        for outage in outages:
            expected *= _long_run_share(outage["when"]) or float("nan")
        observed = _observed(run, target, effect, _links_of(run, outages))
        entries.append({"target": target, "effect": effect, "observed": observed, "expected": expected})
    return entries


def _observed(run: Run, target: str, effect: str, links: int) -> float | None:
    told = run.columns_of("outages")
    mine = (told["target"] == target) & (told["effect"] == effect)
    if run.observed_s == 0:
        return None
    by_client: dict[int, list[tuple[float, float]]] = {}
    rows = zip(*(told[name][mine].tolist() for name in ("client_id", "from_s", "until_s")), strict=True)
    for client, from_s, until_s in rows:
        by_client.setdefault(client, []).append((from_s, until_s))
    shared = by_client.pop(-1, [])
    down_s = (links - len(by_client)) * _union_s(run, shared)
    for _, own in sorted(by_client.items()):
        down_s += _union_s(run, [*shared, *own])
    return 1 - down_s / (max(links, 1) * run.observed_s)


def _union_s(run: Run, periods: list[tuple[float, float]]) -> float:
    """Seconds after the warm-up that lie in some period."""
    total, reached = 0.0, run.warm_up_s
    for begin, end in sorted(periods):
        total += max(0.0, min(end, run.horizon_s) - max(begin, reached))
        reached = max(reached, end)
    return total


def _long_run_share(when: dict[str, Any]) -> float | None:
    """The share of time in which it does not hold; None where no law says so."""
    if when["kind"] == "intermittent":
        return float(when["availability"])
    if when["kind"] != "renewal":
        return None
    up, down = (
        duration.get("mean_s") if isinstance(duration, dict) else duration
        for duration in (when["up"], when["down"])
    )
    return None if up is None or down is None else float(up) / (float(up) + float(down))


def _name_of(run: Run, server: str | None, target: dict[str, Any]) -> str:
    """As tables name it."""
    detail = {
        "replicas": lambda: f":{target['count']}",
        "links": lambda: ":" + "+".join(target["groups"]),
        "servers": lambda: ":" + "+".join(target["names"]),
    }
    told = str(target["kind"]) + detail.get(target["kind"], str)()
    if server is None or len(run.servers) == 1:
        return told
    return server if told == "server" else f"{server}/{told}"


def _links_of(run: Run, outages: list[dict[str, Any]]) -> int:
    """How many things the outages hit: links, where they are of links, else one."""
    target = outages[0]["target"]
    if target["kind"] != "links":
        return 1
    clients = sum(int(run.groups[name]["clients"]) for name in target["groups"])
    return max(floor(float(outage["target"]["share"]) * clients + 0.5) for outage in outages)
