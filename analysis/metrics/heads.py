"""What clients answered by heads of their own, from features that a server sent back, and how they learned.
A section of the summary, of runs in which some group has `reply: features`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic


def heads(traffic: Traffic) -> dict[str, Any]:
    """What heads answered and what that gained over the server's own answer, the bytes of features, and the
    work of learning; nothing where nobody has a head.

    personal_gain: of requests that arrived once personal heads were ready, None where they never are.
    """
    run = traffic.run
    if not run.has_heads:
        return {}
    answered = traffic.is_answered_by("server") & np.asarray(traffic.requests["group"].isin(users(run)))
    better = traffic.correct - 1.0 * traffic.column("server_right")
    from_s = personal_from_s(run)
    late = answered & traffic.held_out & (traffic.arrived_at_s >= from_s)
    sizes = traffic.requests["group"].map(reply_bytes(run)).to_numpy(dtype=np.int64)
    return {
        "answered": int(answered.sum()),
        "gain": traffic.clusters.mean(better, traffic.held_out & answered),
        "personal_gain": traffic.clusters.mean(better, late) if np.isfinite(from_s) else None,
        "bytes_down": int(sizes[answered].sum()),
    } | learned(run)


def learned(run: Run) -> dict[str, Any]:
    """How heads learned, by the table `heads` alone."""
    rows = run.heads
    last = rows.groupby("client_id")["labels"].last()
    return {
        "labels": float(last.mean()) if len(last) else None,
        "steps": int(rows["steps"].sum()),
        "work_jain": jain(work(rows)),
    }


def work(rows: pd.DataFrame) -> NDArray[np.float64]:
    """The steps of each client that took part in some round, (n,), of rows of `heads`."""
    steps: NDArray[np.float64] = rows.groupby("client_id")["steps"].sum().to_numpy(dtype=np.float64)
    return steps


def jain(shares: NDArray[np.float64]) -> float | None:
    """Jain's index of numbers (n,), as `fairness.jain`; None where all are 0."""
    squares = float(shares.size * np.square(shares).sum())
    return float(shares.sum()) ** 2 / squares if squares else None


def users(run: Run) -> list[str]:
    """The groups that answer by heads."""
    return [name for name, group in run.groups.items() if group.get("reply") == "features"]


def reply_bytes(run: Run) -> dict[str, int]:
    """How large an answer to each group is, over its own link."""
    return {name: int(group["link"].get("reply_bytes", 0)) for name, group in run.groups.items()}


def personal_from_s(run: Run) -> float:
    """When the heads of the first round that merges nothing are ready; inf where there is no such round."""
    federation, rounds = run.scenario["federation"], run.federation
    due_s = rounds.loc[rounds["fate"] == "own", "due_at_s"]
    takes_s = float(federation["steps"]) * float(federation["step_s"])
    return float(due_s.min()) + takes_s if len(due_s) else float("inf")
