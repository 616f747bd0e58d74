"""Each of several servers as a queue: how busy it was, who waited, and how often it could work.
A section of the summary; `analysis.metrics.service` tells the same of all together."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.each_server import each_server
from analysis.metrics.money import replicas_usd
from analysis.metrics.run_length import seconds_covered
from analysis.run_folder.outages import usable_steps
from analysis.run_folder.traffic import Traffic, ratio


def queues(traffic: Traffic) -> dict[str, Any]:
    """By server; nothing where there is one."""
    run = traffic.run
    if len(run.servers) == 1 or run.observed_s <= 0:
        return {}
    every, weight, found = run.seconds_of_servers, seconds_covered(traffic), {}
    for one in each_server(traffic):
        mine = every[(every["server"] == one.name) & (every["at_s"] >= run.warm_up_s)]
        at_s, replicas = usable_steps(run, one.name)
        edges = np.clip(np.append(at_s, run.horizon_s), run.warm_up_s, run.horizon_s)
        found[one.name] = {
            "verdict": one.verdict,
            "offered": one.load,
            "utilisation": ratio(
                (one.busy * weight).sum(), (np.maximum(one.usable, one.busy) * weight).sum()
            ),
            "waiting_mean": ratio((one.waiting * weight).sum(), weight.sum()),
            "waiting_max": int(mine["waiting_max"].max()),
            "usable_share": float(np.diff(edges)[replicas > 0].sum() / run.observed_s),
            "replicas_usd": replicas_usd(traffic, one.name),
        }
    return found
