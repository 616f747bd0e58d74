"""How many clients were there, of groups whose clients join and leave.
A section of the summary; the law of presence asks the same of one group."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic, ratio


def presence(traffic: Traffic) -> dict[str, Any]:
    """Of all such groups together; nothing where there is none."""
    run, visits = traffic.run, traffic.run.visits
    coming = [group for group in run.groups.values() if group.get("presence")]
    if not coming or run.observed_s <= 0:
        return {}
    mean = there_mean(run, visits)
    begun = visits[visits["from_s"] > 0]
    joined = ((visits["from_s"] >= run.warm_up_s) & (visits["from_s"] > 0)).sum()
    return {
        "there_mean": mean,
        "there_share": ratio(mean, sum(int(group["clients"]) for group in coming)),
        "joined_hz": ratio(float(joined), run.observed_s),
        "stay_mean_s": ratio((begun["until_s"] - begun["from_s"]).sum(), len(begun)),
    }


def there_mean(run: Run, visits: pd.DataFrame) -> float:
    """The mean number of clients that were there after the warm-up, by these visits."""
    inside = visits[["from_s", "until_s"]].clip(run.warm_up_s, run.horizon_s)
    return float((inside["until_s"] - inside["from_s"]).sum() / run.observed_s)


DEFINITIONS = {
    "presence.there_mean": (
        "Clients that were there, of groups whose clients join and leave, mean over time after the warm-up "
        "(count)."
    ),
    "presence.there_share": "The same over all clients of these groups (share).",
    "presence.joined_hz": "Clients of theirs that joined after the warm-up, per second (1/s).",
    "presence.stay_mean_s": "How long visits last that began after the start, to their ends; mean (s).",
}
