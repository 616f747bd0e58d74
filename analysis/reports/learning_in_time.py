"""What the policies of a study get as they learn: risk and accuracy over time, and between the outages.
Part of the page of a study, `analysis.reports.policy_study`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.figures.policies_in_time import Panel, policies_in_time
from analysis.figures.style import Floats, bin_width_s
from analysis.metrics.measures import realised_risk
from analysis.reports.formatting import number, percent
from analysis.reports.many_runs_report import Picture, Sheet
from analysis.reports.regret import marks
from analysis.run_folder.outages import Outage, find_outages
from analysis.run_folder.run import Run, open_run
from analysis.run_folder.traffic import Traffic, traffic_of
from analysis.time_in_words import between

MOST_BINS = 40
LEAST_S, LEAST_IN_BIN = 10.0, 20  # of a bin, in seconds and in held-out requests of a run, on average
NUMBERS = {  # what is counted of each request, and its name with the unit
    "risk": "generalised risk\n(loss)",
    "accuracy": "accuracy\n(% of held-out)",
    "server": "server in force right\n(% of held-out)",
}


@dataclass(frozen=True)
class Learned:
    """What the runs of a study got over time: of each number and policy the sums and counts of requests in
    fine bins, (seeds, 2, bins), the bins' edges (bins + 1,) in seconds, and the outages of all."""

    sums: dict[str, dict[str, Floats]]
    edges_s: Floats
    outages: tuple[Outage, ...]
    warm_up_s: float


def learns_meanwhile(run: Run) -> bool:
    """Whether rejectors or a server's model go on learning while the run's requests come."""
    scenario = run.scenario
    return bool(scenario.get("federation") or scenario.get("training", {}).get("online"))


def learned_in_time(table: pd.DataFrame) -> Learned | None:
    """What policies got by the time of arrival; None where none learns during its run, or no rows are kept.

    table: a row per run, with `policy` and the folder as `run`. Outages are those of the first run, as all of
    a study share them under one seed.
    """
    folders = {
        str(name): [Path(one) for one in part["run"]] for name, part in table.groupby("policy", sort=False)
    }
    first = [open_run(runs[0]) for runs in folders.values()]
    if not any(map(learns_meanwhile, first)) or not all(run.keeps_rows for run in first):
        return None
    horizon_s, outages = first[0].horizon_s, find_outages(first[0])
    counted = int((traffic_of(first[0]).held_out).sum())
    width = bin_width_s(horizon_s, LEAST_S, min(MOST_BINS, max(1, counted // LEAST_IN_BIN)))
    edges_s = np.unique([*np.arange(0.0, horizon_s, width), *marks(np.array([horizon_s]), outages)])
    by_policy = {
        name: [_sums(traffic_of(open_run(folder)), edges_s) for folder in runs]
        for name, runs in folders.items()
    }
    is_trained = any(run.scenario.get("training", {}).get("online") for run in first)
    sums = {
        key: {name: np.stack([run[key] for run in runs]) for name, runs in by_policy.items()}
        for key in NUMBERS
        if key != "server" or is_trained
    }
    return Learned(sums, edges_s, outages, first[0].warm_up_s)


def _sums(traffic: Traffic, edges_s: Floats) -> dict[str, Floats]:
    """Of held-out requests after the warm-up that came to an end, by bin: sum and count (2, bins)."""
    requests = traffic.requests
    counted = traffic.held_out
    is_known = counted & requests["server_known"].to_numpy()
    values = {
        "risk": (realised_risk(traffic), counted),
        "accuracy": (np.asarray(traffic.correct, dtype=float), counted),
        "server": (requests["server_right"].to_numpy(dtype=float), is_known),
    }
    return {
        key: np.stack(
            [
                np.histogram(traffic.arrived_at_s[among], edges_s, weights=weights)[0]
                for weights in (value[among], np.ones(int(among.sum())))
            ]
        )
        for key, (value, among) in values.items()
    }


def _means(sums: Floats) -> Floats:
    """(..., 2, bins) to (..., bins); NaN where nothing came."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = sums[..., 0, :] / sums[..., 1, :]
    return found


def learning_picture(learned: Learned, baseline: str) -> Picture:
    middle_s = (learned.edges_s[:-1] + learned.edges_s[1:]) / 2
    paid = {name: runs[:, 0] for name, runs in learned.sums["risk"].items()}
    more = {name: np.cumsum(runs - paid[baseline], axis=1) for name, runs in paid.items()}
    more = {name: np.pad(runs, ((0, 0), (1, 0))) for name, runs in more.items()}
    panels = [Panel(f"paid so far more than\n{baseline} (loss)", learned.edges_s, more)]
    panels += [
        Panel(
            NUMBERS[key],
            middle_s,
            {name: _means(runs) for name, runs in of.items()},
            is_share=key != "risk",
            from_0=key == "risk",
        )
        for key, of in learned.sums.items()
    ]
    ends = "; ".join(f"{row[0]} {row[-1]}" for row in learning_sheet(learned).rows)
    return Picture(
        "learning",
        "What learning during the run gives",
        partial(policies_in_time, panels, learned.outages, float(learned.edges_s[-1]), learned.warm_up_s),
        f"Risk and accuracy over virtual time, a line per policy, with outages shaded; in the end: {ends}.",
        "On top, what each policy lost more than the baseline so far on the same held-out requests: a line "
        "that falls has learned more. Below, what each had at a time. While the server is out nothing new "
        "comes from it, and all pay what their own models get wrong. Bands reach from the least to the "
        "largest of the seeds.",
    )


def learning_sheet(learned: Learned) -> Sheet:
    """Risk and accuracy of each policy between one end of an outage and the next, over all its seeds."""
    horizon_s = float(learned.edges_s[-1])
    stops = [learned.warm_up_s, *marks(np.array([horizon_s]), learned.outages)]
    spans = [(low, high) for low, high in pairwise(stops) if low < high]
    rows = []
    for name in learned.sums["risk"]:
        cells = []
        for low, high in spans:
            inside = (learned.edges_s[:-1] >= low - 1e-9) & (learned.edges_s[1:] <= high + 1e-9)
            risk, right = (
                float(_means(learned.sums[key][name][:, :, inside].sum(axis=(0, 2))[:, None])[0])
                for key in ("risk", "accuracy")
            )
            cells.append("–" if np.isnan(risk) else f"{number(risk, 3)}, {percent(right)}")
        rows.append((name, *cells))
    columns = ("policy", *(between(low, high, "–", horizon_s) for low, high in spans))
    return Sheet(
        "Risk (loss) and accuracy by time of arrival, of all seeds' held-out requests", columns, rows
    )
