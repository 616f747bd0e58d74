"""What devices that send several requests together made of their sends.
A section of the summary of runs with such devices."""

from __future__ import annotations

from typing import Any

from analysis.run_folder.traffic import Traffic, ratio
from sim.results.columns_by_run import TOGETHER

TRANSMISSION, HELD = (field.name for field in TOGETHER)


def transmissions(traffic: Traffic) -> dict[str, Any] | None:
    """By group; None where none batches, or no rows are kept."""
    run, requests = traffic.run, traffic.requests
    if not run.batches or not run.keeps_rows:
        return None
    found = {}
    for name, group in run.groups.items():
        if (group.get("device") or {}).get("batch"):
            left = requests[(requests["group"] == name) & (requests[TRANSMISSION] >= 0)]
            made = int((left[TRANSMISSION] == left["request_id"]).sum())
            found[name] = {
                "made": made,
                "size_mean": ratio(float(len(left)), float(made)),
                "held_mean_s": ratio(float(left[HELD].sum()), float(len(left))),
            }
    return found


DEFINITIONS = {
    "transmissions.*.made": (
        "Transmissions in which devices of a group that sends several requests together sent first attempts "
        "of counted requests; retries leave alone and are not in it (count)."
    ),
    "transmissions.*.size_mean": "Requests that left in one of them, mean (count).",
    "transmissions.*.held_mean_s": (
        "How long these requests waited at their devices for others, from their decision until they left; "
        "mean (s)."
    ),
}
