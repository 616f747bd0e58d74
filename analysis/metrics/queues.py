"""Each of several servers as a queue: how busy it was, who waited, and how often it could work.
A section of the summary; `analysis.metrics.service` tells the same of all together."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.run_length import seconds_covered
from analysis.run_folder.outages import usable_steps
from analysis.run_folder.traffic import Traffic, ratio


def queues(traffic: Traffic) -> dict[str, Any]:
    """By server; nothing where there is one."""
    run = traffic.run
    if len(run.servers) == 1 or run.observed_s <= 0:
        return {}
    every, weight = run.seconds_of_servers, seconds_covered(traffic)
    found = {}
    for name in run.servers:
        mine = every[(every["server"] == name) & (every["at_s"] >= run.warm_up_s)]
        waiting, busy, usable = (
            mine[column].to_numpy(dtype=float)
            for column in ("waiting_mean", "busy_replicas_mean", "usable_replicas_mean")
        )
        at_s, replicas = usable_steps(run, name)
        edges = np.clip(np.append(at_s, run.horizon_s), run.warm_up_s, run.horizon_s)
        found[name] = {
            "utilisation": ratio((busy * weight).sum(), (np.maximum(usable, busy) * weight).sum()),
            "waiting_mean": ratio((waiting * weight).sum(), weight.sum()),
            "waiting_max": int(mine["waiting_max"].max()),
            "usable_share": float(np.diff(edges)[replicas > 0].sum() / run.observed_s),
        }
    return found
