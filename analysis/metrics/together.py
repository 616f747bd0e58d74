"""What became of rounds in which clients learned together, and of servers that began by imitating clients.
Sections of the summary, of runs whose scenario has a `federation` or `training.warm_start`."""

from __future__ import annotations

from typing import Any

from analysis.run_folder.traffic import Traffic, ratio


def federation(traffic: Traffic) -> dict[str, Any]:
    """Rounds by their fate, who uploaded and received, and the bytes it took; nothing without federation."""
    rows = traffic.run.federation
    if rows.empty:
        return {}
    fates = rows.groupby("round")["fate"].first()
    counts = {fate: int((fates == fate).sum()) for fate in ("merged", "lost", "own", "unfinished")}
    tried = rows[rows["fate"] != "own"]
    merged = rows[rows["fate"] == "merged"]
    return {
        **counts,
        "uploaded_share": ratio(float(tried["uploaded"].sum()), float(tried["trained"].sum())),
        "received_share": ratio(float(merged["received"].sum()), float(merged["trained"].sum())),
        "bytes_up": int(rows["bytes_up"].sum()),
        "bytes_down": int(rows["bytes_down"].sum()),
        **({"broken": int(rows["broken"].sum())} if "broken" in rows else {}),
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
