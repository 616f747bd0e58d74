"""How many merged rejectors there are, and how far clients lie behind the newest, from the timetable alone.
One of the laws of this package: rounds of a federation, written from the scenario."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from analysis.run_folder.outages import usable_steps
from analysis.run_folder.traffic import Traffic
from analysis.run_folder.what_it_tells import MERGED
from analysis.theory.prediction import Floats, Law, Prediction, Simulated
from analysis.theory.streams import mean_s

NORMAL = 1.96


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Versions that are merged, bytes of a round, and by how much copies of the merged lie behind."""
    run, scenario = traffic.run, traffic.run.scenario
    federation = scenario.get("federation")
    rows = run.federation
    if not federation or federation["merge"] == "none" or rows.empty:
        return None
    if scenario["server"]["autoscaling"] is not None or _is_cut(scenario):
        return None
    groups = [run.groups[name] for name in rows["group"].unique()]
    takes_s = [_transfer_s(group, rows, "bytes_down", "received") for group in groups]
    sent = "uplinks" if "uplinks" in rows else "uploaded"
    there_s = max(_transfer_s(group, rows, "bytes_up", sent) for group in groups)
    there_s += max(_gathering_s(group, rows, federation) for group in groups)
    ready_s = float(federation["steps"]) * float(federation["step_s"])
    if ready_s + 2 * there_s >= float(federation["wait_s"]):
        return None  # some uploads come too late
    merges_s = merges(traffic, federation, there_s)
    made = float(run.events["kind"].isin(MERGED).sum())
    what = f"{federation.get('learns', 'rejectors')} merged"
    comes_back = not federation["absent"] and not federation.get("dropout")
    found = []
    if comes_back or not (federation.get("unequal") or any(group.get("presence") for group in groups)):
        some, many = 1.0 - _nobody(groups, federation), float(merges_s.size)
        slack = NORMAL * float(np.sqrt(many * some * (1.0 - some)))
        found = [Prediction(what, "server", "versions", many * some, _exactly(made), margin=slack)]
    if "uplinks" in rows and merges_s.size and comes_back and _all_take_part(groups, federation):
        of_each = rows[rows["fate"] == "merged"].groupby("round")["uplinks"].sum().mean()
        clusters = float(sum(_clusters(group, federation) for group in groups))
        found.append(
            Prediction("uploads of a merged round", "server", "versions", clusters, _exactly(of_each))
        )
    if comes_back and merges_s.size and len(groups) == 1:
        mean = run.columns_of("timeline")["copy_staleness"].mean()
        expected = merges_s.size * takes_s[0] / run.horizon_s
        # The time line looks once a second: a broadcast is seen in one second more or less.
        slack = merges_s.size / run.horizon_s
        found.append(
            Prediction(
                "behind the merged", groups[0]["group"], "versions", expected, _exactly(mean), margin=slack
            )
        )
    return found


def merges(traffic: Traffic, federation: dict[str, Any], least_s: float) -> Floats:
    """When a merge is made: at k·every_s + wait_s before the horizon, if a replica is usable then and was for
    the last `least_s` of the wait or so, so that uploads arrived."""
    run = traffic.run
    due = np.arange(1, int(np.ceil(run.horizon_s / float(federation["every_s"]))) + 1) * float(
        federation["every_s"]
    )
    own_s = (federation.get("heads") or {}).get("personalise_at_s")
    due = due[due < (run.horizon_s if own_s is None else min(own_s, run.horizon_s))]
    at_s = due + float(federation["wait_s"])
    steps, usable = usable_steps(run)
    ready = due + float(federation["steps"]) * float(federation["step_s"])
    up = [_gets_through(steps, usable, a, b, least_s) for a, b in zip(ready, at_s, strict=True)]
    found: Floats = at_s[(at_s < run.horizon_s) & np.array(up, dtype=bool)]
    return found


def _gets_through(steps: Floats, usable: Floats, from_s: float, to_s: float, least_s: float) -> bool:
    """Whether a replica is usable at `to_s`, and for `least_s` at a stretch in [from_s, to_s]."""
    first, last = (int(np.searchsorted(steps, at, side="right")) - 1 for at in (from_s, to_s))
    if usable[last] == 0:
        return False
    begins = np.clip(np.append(steps[first : last + 1], to_s), from_s, to_s)
    return any(
        works > 0 and end - begin >= least_s
        for works, begin, end in zip(usable[first : last + 1], begins[:-1], begins[1:], strict=True)
    ) or bool((usable[first : last + 1] > 0).all())


def _transfer_s(group: dict[str, Any], rows: pd.DataFrame, size: str, count: str) -> float:
    """What a transfer takes on average: the latency, and its bytes over the bandwidth."""
    mine = rows[(rows["group"] == group["group"]) & (rows[count] > 0)]
    each = float((mine[size] / mine[count]).max()) if len(mine) else 0.0
    link = group["link"]
    return mean_s(link["latency"]) + (
        8.0 * each / float(link["bandwidth_bps"]) if link["bandwidth_bps"] else 0
    )


def _gathering_s(group: dict[str, Any], rows: pd.DataFrame, federation: dict[str, Any]) -> float:
    """What it takes on average to a neighbour who uploads; nothing where each does so itself."""
    if "uplinks" not in rows:
        return 0.0
    return _transfer_s(group | {"link": federation["neighbours"]["link"]}, rows, "bytes_up", "uplinks")


def _all_take_part(groups: list[dict[str, Any]], federation: dict[str, Any]) -> bool:
    """Whether the clusters of every round are the same."""
    moves = any(group.get("presence") or group.get("moves") for group in groups)
    return not (federation["absent"] or federation.get("unequal") or moves)


def _nobody(groups: list[dict[str, Any]], federation: dict[str, Any]) -> float:
    """With which probability no client uploads in a round, all that learn being there."""
    comes = (1.0 - float(federation["absent"])) * (1.0 - float(federation.get("dropout") or 0.0))
    return float((1.0 - comes) ** sum(int(group["clients"]) for group in groups))


def _clusters(group: dict[str, Any], federation: dict[str, Any]) -> int:
    """Of a group: of those that are merged with each other, so many at a time."""
    sets = group["model"]["variants"] if federation["among"] == "variant" else 1
    size = int(federation["neighbours"]["size"])
    return sum(ceil(len(range(one, group["clients"], sets)) / size) for one in range(sets))


def _is_cut(scenario: dict[str, Any]) -> bool:
    outages = [*scenario["server"]["outages"], *scenario.get("outages", [])]
    return any(one["target"]["kind"] == "links" for one in outages)


def _exactly(value: float) -> Simulated:
    return Simulated(value, value, value)


LAW = Law(
    "Learning together",
    "(1 − q^K) versions for each k with the server up at k·every_s + wait_s, q being the chance of each of K "
    "clients to be absent or drop out; behind = versions·(latency + "
    "8·bytes/bandwidth)/horizon; with one uplink Σ ⌈clients of a set/size⌉ uploads a round",
    "uploads that fit into the wait twice over, no outage of links, no autoscaling; where some are absent or "
    "drop out, clients that stay and are equally fast; the second for one group in which nobody does, the "
    "third for clients that stay and are equally fast",
    "follows from the timetable of rounds; rounds without anybody are binomial",
    "where outages are as short as an upload, which may then be sent again in time or not",
    predict,
    knows=frozenset({"stages", "links", "heads"}),
)
