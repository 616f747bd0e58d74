"""What became of the items of sessions: how long until they were shown and final, and how right they were.
A section of the summary of runs with sessions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.run_folder.traffic import Traffic, ratio


def sessions(traffic: Traffic) -> dict[str, Any]:
    """By group, of items that became final after the warm-up; nothing where there are no sessions."""
    run = traffic.run
    if not run.has_sessions or run.observed_s <= 0:
        return {}
    return {
        name: _of_group(traffic, name, group) for name, group in run.groups.items() if group.get("session")
    }


def _of_group(traffic: Traffic, name: str, group: dict[str, Any]) -> dict[str, Any]:
    run, mine = traffic.run, traffic.is_of_group(name)
    items = run.items[(run.items["group"] == name) & (run.items["final_at_s"] >= run.warm_up_s)]
    n, drafts = float(len(items)), float(items["drafts"].sum())
    calls = float(traffic.column("attempts")[mine].astype(float).sum())
    answered = float((mine & traffic.is_outcome("remote")).sum())
    return {
        "items": len(items),
        "items_hz": ratio(n, int(group["clients"]) * run.observed_s),
        "items_per_answer": ratio(n, answered),
        "calls_per_item": ratio(calls, n),
        "server_s_per_item": ratio(float(traffic.column("service_s")[mine].astype(float).sum()), n),
        "drafts_per_item": ratio(drafts, n),
        "rolled_back_share": ratio(float(items["taken_back"].sum()), drafts),
        "changed_share": _share(items["shown_label"] != items["final_label"]),
        "to_shown_mean_s": _mean(items["shown_at_s"] - items["begun_at_s"]),
        "to_final_mean_s": _mean(items["final_at_s"] - items["begun_at_s"]),
        "agreement": _share(items["client_label"] == items["server_label"]),
        "shown_accuracy": _share(items["shown_label"] == items["label"]),
        "final_accuracy": _share(items["final_label"] == items["label"]),
    }


def _share(which: pd.Series[bool]) -> float | None:
    return ratio(float(which.sum()), float(len(which)))


def _mean(values: pd.Series[float]) -> float | None:
    return ratio(float(values.sum()), float(len(values)))


DEFINITIONS = {
    "sessions.*.items": "Items of a group's sessions that became final after the warm-up (count).",
    "sessions.*.items_hz": "The same per client and second (1/s).",
    "sessions.*.items_per_answer": "Items for each block that a server answered in time (count).",
    "sessions.*.calls_per_item": "Attempts of all blocks, retries included, for each item (count).",
    "sessions.*.server_s_per_item": (
        "Replica time of these attempts for each item; requests of a batch share its time by their number, "
        "however many items each has (s)."
    ),
    "sessions.*.drafts_per_item": "How often its client's model answered an item, mean (count).",
    "sessions.*.rolled_back_share": (
        "Share of these drafts that were taken back: those in whose place the server's answer stands, and "
        "those behind one (share)."
    ),
    "sessions.*.changed_share": "Share of items whose final answer is another than that first shown (share).",
    "sessions.*.to_shown_mean_s": (
        "From when its client began with an item until it first had an answer to it, mean (s)."
    ),
    "sessions.*.to_final_mean_s": "The same until its answer was final, mean (s).",
    "sessions.*.agreement": "Share of items on which client and server say the same, α (share).",
    "sessions.*.shown_accuracy": "Share of items whose first answer is right (share).",
    "sessions.*.final_accuracy": "Share of items whose final answer is right (share).",
}
