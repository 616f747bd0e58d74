"""How many clients are there where they join at random and leave again: M/G/N/N, nearly Poisson's law.
One of the laws of this package; from the run it reads when clients were there."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from analysis.metrics.presence import there_mean
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, around
from analysis.theory.queues import erlang_b
from analysis.theory.streams import mean_s

LEAST_TURNS = 10.0  # mean stays that a run must last to show a mean


def predict(traffic: Traffic) -> list[Prediction] | None:
    """The mean number there, and how far it varies, of each group that joins at random."""
    return [
        one
        for name, group in traffic.run.groups.items()
        if (group.get("presence") or {}).get("join_hz")
        for one in _of_group(traffic, name, group)
    ] or None


def _of_group(traffic: Traffic, name: str, group: dict[str, Any]) -> list[Prediction]:
    run, rule = traffic.run, group["presence"]
    stay_s = mean_s(rule["stay"])
    visits = run.visits[run.visits["group"] == name]
    if np.isnan(stay_s) or run.observed_s < LEAST_TURNS * stay_s or len(visits) < 2:
        return []
    offered = float(rule["join_hz"]) * stay_s
    clients = int(group["clients"])
    there = offered * (1 - erlang_b(clients, offered))
    stays = (visits["until_s"] - visits["from_s"])[visits["from_s"] > 0].to_numpy()
    # What is left of a stay that is met lasts E[S²]/2E[S] on average: so long the number is like itself.
    alike_s = float((stays**2).mean() / (2 * stays.mean()))
    error = sqrt(2 * there * alike_s / run.observed_s)
    return [
        Prediction("clients there", name, "clients", there, around(there_mean(run, visits), error**2)),
    ]


LAW = Law(
    title="Clients that come and go",
    formula="ν·E[stay]·(1 − B(N, ν·E[stay])) clients are there, whatever the law of the stays; with many "
    "clients their number is Poisson's",
    assumes="clients of a group of N join as a Poisson process of rate ν, the one that has been away longest "
    "first, none while all are there; a run of ten mean stays at least",
    source="M/G/N/N, insensitive to the law of service (Sevastyanov 1957); Erlang's B",
    fails="in shorter runs, which show too few visits",
    predict=predict,
    knows=frozenset(
        {
            "presence",
            "heads",
            "calls",
            "servers",
            "options",
            "choices",
            "stages",
            "switches",
            "links",
            "loads",
            "batches",
        }
    ),
)
