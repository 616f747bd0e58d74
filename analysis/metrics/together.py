"""What became of rounds in which clients learned together, and of servers that began by imitating clients.
Sections of the summary, of runs whose scenario has a `federation` or `training.warm_start`, or a group with
`fallback: prototype`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic, ratio


def federation(traffic: Traffic) -> dict[str, Any]:
    """Rounds by their fate, who uploaded and received, and the bytes it took; nothing without federation."""
    rows = traffic.run.federation
    if rows.empty:
        return {}
    fates = rows.groupby("round")["fate"].first()
    counts = {fate: int((fates == fate).sum()) for fate in ("merged", "lost", "own", "unfinished")}
    tried = rows[rows["fate"].isin(("merged", "lost"))]
    would = tried["trained"].sum() - (tried["dropped"].sum() if "dropped" in rows else 0)
    merged = rows[rows["fate"] == "merged"]
    return {
        **counts,
        "uploaded_share": ratio(float(tried["uploaded"].sum()), float(would)),
        "received_share": ratio(float(merged["received"].sum()), float(merged["trained"].sum())),
        "bytes_up": int(rows["bytes_up"].sum()),
        "bytes_down": int(rows["bytes_down"].sum()),
        **{
            name: int(rows[name].sum())
            for name in ("broken", "dropped", "uplinks", "bytes_between")
            if name in rows
        },
        **({"least_steps": _least(rows)} if "least_steps" in rows else {}),
        **({"most_steps": int(rows["most_steps"].max())} if "most_steps" in rows else {}),
        **_handed_over(traffic.run),
    }


def _least(rows: pd.DataFrame) -> int:
    """Of those that took part; 0 where nobody ever did."""
    some = rows.loc[rows["least_steps"] > 0, "least_steps"]
    return int(some.min()) if len(some) else 0


def _handed_over(run: Run) -> dict[str, Any]:
    """What neighbours handed over; nothing where they do not."""
    if not ((run.scenario["federation"].get("neighbours") or {}).get("hand_over")):
        return {}
    rows = run.hand_over
    return {
        "handed_over": int(rows["samples"].sum()),
        "handed_over_share": ratio(float(rows["samples"].sum()), float(rows["told"].sum())),
        "handed_over_bytes": int(rows["bytes"].sum()),
    }


def prototypes(traffic: Traffic) -> dict[str, Any]:
    """What the nearest prototype answered and how old it was, and of how many samples the means are; nothing
    where nobody falls back to prototypes.

    gain: over the client's own model, on the held-out requests that it answered. classes, samples: of the
    last merge, of the frozen model of which fewest are known. fewest: of all merges.
    """
    if not traffic.run.has_prototypes:
        return {}
    answered = traffic.is_answered_by("prototype")
    age_s = traffic.column("prototype_age_s")[answered]
    better = traffic.correct - 1.0 * traffic.column("client_right")
    return {
        "answered": int(answered.sum()),
        "answered_share": ratio(float(answered.sum()), float(traffic.known.sum())),
        "gain": traffic.clusters.mean(better, traffic.held_out & answered),
        "age_s": float(age_s.mean()) if age_s.size else None,
        "age_max_s": float(age_s.max()) if age_s.size else None,
    } | merged_prototypes(traffic.run)


def merged_prototypes(run: Run) -> dict[str, Any]:
    """Of how many samples the merged means are, of how many classes, by the table `prototypes` alone."""
    rows = run.prototypes
    last = rows[rows["round"] == rows["round"].max()]
    by_model = last.assign(known=last["samples"] > 0).groupby(["group", "variant"], observed=True)
    some = rows.loc[rows["fewest"] > 0, "fewest"]
    return {
        "classes": int(by_model["known"].sum().min()) if len(last) else 0,
        "samples": int(by_model["samples"].sum().min()) if len(last) else 0,
        "fewest": int(some.min()) if len(some) else None,
    }


def warm_start(traffic: Traffic) -> dict[str, Any]:
    """What clients uploaded and how well it was learned, by the model that learned it worst; nothing where no
    model began so."""
    rows = traffic.run.warm_start
    if rows.empty:
        return {}
    worst = rows.sort_values("kl", kind="stable").iloc[-1]
    counted = ("clients", "samples", "labelled", "bytes_up", "epochs", "kept")
    measured = ("ensemble_accuracy", "kl_before", "kl", "agreement")
    return {name: int(worst[name]) for name in counted} | {name: float(worst[name]) for name in measured}
