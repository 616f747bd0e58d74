"""Calls of serverless servers: how many there were, which were cold, and what they cost.
Asked by `analysis.run_folder.lean_requests`, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.run import Run
from sim.results.columns_by_run import COLD

Array = NDArray[Any]


def calls_of(run: Run, attempts: Mapping[str, Array], seconds: NDArray[np.float64]) -> dict[str, Array]:
    """Of each attempt whether it was a call, a cold one, and its price, each (n,); nothing where no server is
    serverless.

    attempts: started_at_s, cold_start, each (n,); of several servers server, as its place among them.
    seconds: that each ran.
    """
    if not run.has_calls:
        return {}
    terms = [one["serverless"] or {} for one in run.servers.values()]
    asked = attempts.get("server", np.zeros(len(seconds), dtype=np.int64))
    usd_per_call, usd_per_s = (
        np.array([float(one.get(name, 0.0)) for one in terms])[asked]
        for name in ("usd_per_call", "usd_per_s")
    )
    is_call = np.array([bool(one) for one in terms])[asked] & ~np.isnan(attempts["started_at_s"])
    return {
        "calls": is_call.astype(np.int16),
        "cold_calls": (is_call & attempts[COLD.name]).astype(np.int16),
        "calls_usd": np.where(is_call, usd_per_call + usd_per_s * seconds, 0.0),
    }
