"""What became of rounds in which clients learned together: versions, losses on the way, bytes.
A section of the summary, of runs whose scenario has a `federation`."""

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
    }
