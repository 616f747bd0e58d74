"""How evenly the work of learning falls on clients whose heads learn, from the timetable of rounds alone.
One of the laws of this package."""

from __future__ import annotations

import numpy as np

from analysis.metrics.heads import jain, users, work
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Floats, Law, Prediction, Simulated

LEAST_CLIENTS = 2
NORMAL = 1.96


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Jain's index of the steps of the clients of each group, and how many these are in all."""
    run, federation = traffic.run, traffic.run.scenario.get("federation")
    if not federation or run.heads.empty or not (rounds := _rounds(traffic)):
        return None
    there, each = 1.0 - float(federation["absent"]), int(federation["steps"])
    found = []
    for name in users(run):
        rows, clients = run.heads[run.heads["group"] == name], int(run.groups[name]["clients"])
        is_told = len(rows) > 0 and bool((rows["labels"] > 0).all())
        if run.groups[name].get("presence") or clients < LEAST_CLIENTS or not is_told:
            continue
        steps = work(rows)
        spread = NORMAL * each * float(np.sqrt(clients * rounds * there * (1.0 - there)))
        expected, total = there / (there + (1.0 - there) / rounds), float(steps.sum())
        simulated = Simulated(total, total - spread, total + spread)
        found += [
            Prediction("Jain's index of work", name, "ratio", expected, _simulated(steps, clients)),
            Prediction("steps of heads", name, "count", each * rounds * clients * there, simulated),
        ]
    return found


def _rounds(traffic: Traffic) -> int:
    """Rounds k·every_s that leave their steps time before the horizon."""
    run, federation = traffic.run, traffic.run.scenario["federation"]
    every_s = float(federation["every_s"])
    due = np.arange(1, int(np.ceil(run.horizon_s / every_s)) + 1) * every_s
    return int((due + float(federation["steps"]) * float(federation["step_s"]) < run.horizon_s).sum())


def _simulated(steps: Floats, clients: int) -> Simulated:
    """Over all clients, those that never took part included, with the interval that leaving out each in turn
    gives."""
    every = np.concatenate([steps, np.zeros(clients - len(steps))])
    value = jain(every) or np.nan
    total, squares = every.sum() - every, np.square(every).sum() - np.square(every)
    without = np.square(total) / ((clients - 1) * squares)
    half = NORMAL * float(np.sqrt((clients - 1) / clients * np.square(without - without.mean()).sum()))
    return Simulated(value, value - half, value + half)


LAW = Law(
    title="Equal work",
    formula="J = (1 − p)/(1 − p + p/R), 1 if nobody is absent; R·K·(1 − p)·steps in all",
    assumes="K clients of a group that are always there take part in each of R rounds with probability "
    "1 − p, and had been told a label before the first in which they did",
    source="Jain's index is E[N]²/E[N²], here of N of Binomial(R, 1 − p)",
    fails="with few clients or rounds",
    predict=predict,
    knows=frozenset({"heads", "presence", "stages", "links", "batches"}),
)
