"""How old the models are that serve and decide, and what that costs under a drift, from the schedule alone.
One of the laws of this package: rounds, copies and trainings as a timetable, written from the scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.run_folder.files import part_paths
from analysis.run_folder.kept_rows import read_requests
from analysis.run_folder.outages import usable_steps
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Floats, Law, Prediction, Simulated, mean_of, mean_over_time
from analysis.theory.streams import mean_s
from sim.results import columns

COLUMNS = ["group", "arrived_at_s", "decided_at_s", "server_version_at_decision", "rejector_version"]
LEAST_REQUESTS = 100
ALWAYS_UP = (np.zeros(1), np.ones(1))


@dataclass(frozen=True)
class Timetable:
    """The rounds that make a version: when they start and when the version is in force, (v,) each."""

    starts_s: Floats
    in_force_s: Floats


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Versions made, the age of the server's model, how far each group's rejectors lie behind it, and the
    server's accuracy after each drift."""
    scenario = traffic.run.scenario
    online = scenario["training"].get("online")
    if online is None or online.get("adaptive") is not None or scenario["server"]["autoscaling"] is not None:
        return None
    table = timetable(traffic, online)
    predictions = [*_ages(traffic, table), *_behind(traffic, online, table)]
    for at_s in sorted(
        {float(d["at_s"]) for g in traffic.run.groups.values() for d in g["traffic"]["drift"]}
    ):
        predictions += _after_drift(traffic, online, table, at_s)
    return predictions


def timetable(traffic: Traffic, online: dict[str, Any]) -> Timetable:
    """Round k is due at k·every_s and takes steps·step_s; it makes a version iff a replica is usable from its
    start to its end, and that lies before the horizon."""
    horizon_s, lasts_s = traffic.run.horizon_s, float(online["steps"]) * float(online["step_s"])
    due = np.arange(1, int(np.ceil(horizon_s / float(online["every_s"]))) + 1) * float(online["every_s"])
    due = due[due + lasts_s < horizon_s]
    steps, usable = usable_steps(traffic.run)
    first, last = (np.searchsorted(steps, at, side="right") - 1 for at in (due, due + lasts_s))
    works = np.array([usable[a : b + 1].min() > 0 for a, b in zip(first, last, strict=True)], dtype=bool)
    return Timetable(due[works], due[works] + lasts_s)


def _ages(traffic: Traffic, table: Timetable) -> list[Prediction]:
    """Versions, and the mean age of the one in force: each gap g adds g²/2 (renewal-reward)."""
    run = traffic.run
    made = run.events.loc[(run.events["kind"] == "model_in_force") & (run.events["value"] > 0), "at_s"]
    count = float(len(made))
    simulated = _mean_age_s(made.to_numpy(dtype=float), run.warm_up_s, run.horizon_s)
    expected = _mean_age_s(table.in_force_s, run.warm_up_s, run.horizon_s)
    return [
        Prediction(
            "versions made", "server", "versions", float(table.starts_s.size), Simulated(count, count, count)
        ),
        Prediction(
            "mean age of the model",
            "server",
            "s",
            expected,
            Simulated(simulated, simulated, simulated),
            margin=1e-6,
        ),
    ]


def _mean_age_s(in_force_s: Floats, from_s: float, to_s: float) -> float:
    """The mean over [from, to) of the time since the last version came into force, since 0 before any."""
    born = np.unique(np.append(0.0, in_force_s))
    begins = np.clip(born, from_s, to_s)
    ends = np.clip(np.append(born[1:], to_s), from_s, to_s)
    return float((((ends - born) ** 2 - (begins - born) ** 2) / 2).sum() / max(to_s - from_s, 1e-9))


def _behind(traffic: Traffic, online: dict[str, Any], table: Timetable) -> list[Prediction]:
    """By how many versions the rejectors of each group that trains lie behind at its decisions."""
    run = traffic.run
    rows = _decisions(traffic)
    linked = {n for one in run.server["outages"] for n in one["target"].get("groups", ())}
    predictions = []
    for name, group in run.groups.items():
        mine = rows[rows["group"] == name]
        if name in linked or len(mine) < LEAST_REQUESTS or mine["rejector_version"].max() < 1:
            continue
        ready = rejectors_ready_s(table.in_force_s, online, group, usable_steps(run))
        if not np.isfinite(ready[np.isfinite(table.in_force_s)]).any():
            continue
        expected = _mean_count(table.in_force_s, traffic) - _mean_newest(ready, traffic)
        behind = (mine["server_version_at_decision"] - mine["rejector_version"]).to_numpy(dtype=float)
        simulated = mean_over_time(behind, mine["decided_at_s"].to_numpy(), run.warm_up_s, run.horizon_s)
        half = _poisson_half_width(behind)
        around = Simulated(simulated.value, simulated.value - half, simulated.value + half)
        predictions.append(
            Prediction(
                "rejectors behind the server", name, "versions", expected, around, margin=0.02 * expected
            )
        )
    return predictions


def _poisson_half_width(values: Floats) -> float:
    """Half a 95% interval: requests come at random and see a time line that is no matter of chance."""
    return 1.96 * float(values.std()) / float(np.sqrt(max(values.size, 1)))


def rejectors_ready_s(
    in_force_s: Floats,
    online: dict[str, Any],
    group: dict[str, Any],
    server: tuple[Floats, Floats] = ALWAYS_UP,
) -> Floats:
    """When a group's rejectors have learned against each version, (v,), inf: never.

    One copy at a time, the newest there is once the last has come and the server works; then one training
    after the other, on the newest copy that has come. Latencies at their means. server: the usable replicas
    as a step function, as `usable_steps` gives it.
    """
    link = group["link"]
    bits = 8 * float(online["copy_bytes"])
    takes_s = mean_s(link["latency"]) + (
        bits / float(link["bandwidth_bps"]) if link["bandwidth_bps"] else 0.0
    )
    trains_s = float(online["rejector_steps"]) * float(online["rejector_step_s"])
    comes = np.full(in_force_s.size, np.inf)
    free = -np.inf
    for version, at_s in enumerate(in_force_s):
        leaves = _next_up_s(server, max(float(at_s), free))
        if version + 1 == in_force_s.size or leaves < in_force_s[version + 1]:  # else superseded by then
            free = comes[version] = leaves + takes_s
    ready = np.full(in_force_s.size, np.inf)
    there, free = np.flatnonzero(np.isfinite(comes)), -np.inf
    for place, version in enumerate(there.tolist()):
        begins = max(float(comes[version]), free)
        if place + 1 == there.size or begins < comes[there[place + 1]]:  # else a newer copy is there by then
            free = ready[version] = begins + trains_s
    return ready


def _next_up_s(server: tuple[Floats, Floats], at_s: float) -> float:
    """The first instant from `at_s` on with a usable replica; inf if there is none."""
    steps, usable = server
    if usable[np.searchsorted(steps, at_s, side="right") - 1] > 0:
        return at_s
    return float(steps[(steps > at_s) & (usable > 0)].min(initial=np.inf))


def _mean_count(at_s: Floats, traffic: Traffic) -> float:
    """The mean over time of how many of the instants have passed."""
    run = traffic.run
    passed = np.clip(run.horizon_s - np.maximum(at_s, run.warm_up_s), 0.0, None)
    return float(passed[np.isfinite(passed)].sum() / run.observed_s)


def _mean_newest(ready_s: Floats, traffic: Traffic) -> float:
    """The mean over time of the newest version that is ready, version v standing at place v - 1."""
    versions = np.flatnonzero(np.isfinite(ready_s))
    steps = np.diff(np.append(0, versions + 1))
    run = traffic.run
    passed = np.clip(run.horizon_s - np.maximum(ready_s[versions], run.warm_up_s), 0.0, None)
    return float((steps * passed).sum() / run.observed_s)


def _decisions(traffic: Traffic) -> pd.DataFrame:
    parts = [
        read_requests(traffic.run, path, columns.REQUESTS, COLUMNS).to_pandas()
        for path in part_paths(traffic.run.path, "requests", needed=False)
    ]
    rows = pd.concat(parts, ignore_index=True)
    counts = (rows["arrived_at_s"] >= traffic.run.warm_up_s) & (rows["server_version_at_decision"] >= 0)
    counted: pd.DataFrame = rows[counts]
    return counted


def _after_drift(traffic: Traffic, online: dict[str, Any], table: Timetable, at_s: float) -> list[Prediction]:
    """The server's accuracy on what drifted groups meet, from the drift to the horizon or the next one.

    Blind until the first version whose round began with samples of after the drift: its accuracy is then that
    of the last version before; the mean is blind·(before) + (1 − blind)·(after), each as its versions do.
    """
    run = traffic.run
    groups = [n for n, g in run.groups.items() if any(d["at_s"] == at_s for d in g["traffic"]["drift"])]
    later = [d["at_s"] for n in groups for d in run.groups[n]["traffic"]["drift"] if d["at_s"] > at_s]
    until_s = float(min(later, default=run.horizon_s))
    teaches = table.starts_s >= at_s + float(online["label_delay_s"])
    sighted_s = min([*table.in_force_s[teaches], until_s])
    requests = traffic.requests
    among = requests["group"].isin(groups).to_numpy() & traffic.held_out
    among &= np.asarray(requests["server_known"], dtype=bool)
    among &= (traffic.arrived_at_s >= at_s) & (traffic.arrived_at_s < until_s)
    blind = among & (traffic.arrived_at_s < sighted_s)
    taught = among & ~blind
    if min(blind.sum(), taught.sum()) < LEAST_REQUESTS:
        return []
    right = np.asarray(requests["server_right"], dtype=float)
    share = (min(sighted_s, until_s) - at_s) / (until_s - at_s)
    expected = share * right[blind].mean() + (1 - share) * right[taught].mean()
    where = f"{' and '.join(groups)}, {at_s:g}–{until_s:g} s, blind until {sighted_s:g} s"
    return [
        Prediction("server right after the drift", where, "share", float(expected), mean_of(right[among]))
    ]


LAW = Law(
    "Age of what was learned",
    "a version every S s, steps·step_s after its round began, none of rounds that meet an outage; mean age = "
    "Σ gap²/(2T); a rejector lies (copy + training)/S versions behind; after a drift the server is blind "
    "until the first version whose round began with samples of after it",
    "training during the run at fixed instants, no autoscaling; copies take their mean time, groups without "
    "outages of their links",
    "renewal-reward: mean age of a renewal process is E[S²]/(2·E[S]) (Ross, Stochastic Processes, 3.4)",
    "for groups whose links fail; where latencies vary as much as the interval between versions; accuracies "
    "before and after are the run's own, the law says only how long each holds",
    predict,
    knows=frozenset({"stages", "links"}),
)
