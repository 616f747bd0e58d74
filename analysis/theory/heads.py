"""How evenly the work of learning falls on clients whose heads learn, from the timetable of rounds alone.
One of the laws of this package."""

from __future__ import annotations

import numpy as np

from analysis.metrics.heads import jain, work
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Floats, Law, Prediction, Simulated

LEAST_CLIENTS = 2
NORMAL = 1.96


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Jain's index of the steps of clients, and how many these are in all."""
    run, federation = traffic.run, traffic.run.scenario.get("federation")
    rows = run.heads
    if not federation or rows.empty or (rows["labels"] == 0).any():
        return None
    clients = sum(int(group["clients"]) for group in run.groups.values() if group["reply"] == "features")
    if clients < LEAST_CLIENTS:
        return None
    rounds, absent = _rounds(traffic), float(federation["absent"])
    if not rounds or absent == 1.0:
        return None
    there = 1.0 - absent
    steps = work(run)
    expected = there / (there + absent / rounds)
    each, total = int(federation["steps"]), float(steps.sum())
    spread = NORMAL * each * float(np.sqrt(clients * rounds * there * absent))
    return [
        Prediction("Jain's index of work", "all clients", "ratio", expected, _simulated(steps, clients)),
        Prediction(
            "steps of heads",
            "all clients",
            "count",
            each * rounds * clients * there,
            Simulated(total, total - spread, total + spread),
        ),
    ]


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
    assumes="K clients that are always there take part in each of R rounds with probability 1 − p, and had "
    "been told a label before the first in which they did",
    source="Jain's index is E[N]²/E[N²], here of N of Binomial(R, 1 − p)",
    fails="with few clients or rounds",
    predict=predict,
    knows=frozenset(
        {"heads", "servers", "options", "choices", "stages", "switches", "links", "loads", "batches", "calls"}
    ),
)
