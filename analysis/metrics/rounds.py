"""What became of rounds of training during the run, and how old the servers' models were.
From the events of a run; of several models each for itself, too."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic

FATES = {"made": "model_in_force", "lost": "round_lost", "skipped": "round_skipped"}
OF_MODEL = "model:"  # before the name of one of several, in the events
ONE = {"model": "model"}  # the learners where servers have one model


def rounds(traffic: Traffic) -> dict[str, Any]:
    """How many rounds of training during the run made a version, were lost, and were skipped; where gaps are
    adaptive the gaps that rounds decided on; of several models what became of the rounds of each."""
    run = traffic.run
    told = run.columns_of("events")
    found: dict[str, Any] = _fates(run)
    gaps_s = told["value"][told["kind"] == "round_gap"]
    if gaps_s.size:
        found |= {"gap_mean_s": float(gaps_s.mean()), "gap_min_s": float(gaps_s.min())}
        found |= {"gap_max_s": float(gaps_s.max())}
    if (targets := learners(run)) != ONE:
        found["by_model"] = {
            name: _fates(run, target) | {"age_mean_s": mean_age_s(run, target)}
            for name, target in targets.items()
        }
    return found


def learners(run: Run) -> dict[str, str]:
    """The models of the servers whose versions the events tell, and what these call them: `model` the one
    there is. Of several those alone that train."""
    told = set(run.columns_of("events")["target"].tolist())
    names = [name for name in run.scenario.get("models") or () if f"{OF_MODEL}{name}" in told]
    online = (run.scenario.get("training") or {}).get("online") or {}
    asked = online.get("models") or names
    return {name: f"{OF_MODEL}{name}" for name in names if name in asked} or ONE


def in_force_s(run: Run, target: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The instants since which each version of a model is in force, the first at 0."""
    told = run.columns_of("events")
    mine = (told["target"] == target) & (told["kind"] == "model_in_force")
    return np.unique(np.append(0.0, told["at_s"][mine]))


def mean_age_s(run: Run, target: str) -> float:
    """For how long the version in force of a model had been that, mean over the time after the warm-up."""
    born = in_force_s(run, target)
    begins = np.clip(born, run.warm_up_s, run.horizon_s)
    ends = np.append(begins[1:], run.horizon_s)
    lived = ((ends - born) ** 2 - (begins - born) ** 2) / 2
    return float(lived.sum() / run.observed_s)


def _fates(run: Run, target: str | None = None) -> dict[str, int]:
    """Of the rounds of one model, or of all."""
    told = run.columns_of("events")
    counted = told["value"] > 0  # version 0 is what there was before the run
    if target is not None:
        counted &= told["target"] == target
    return {fate: int((told["kind"][counted] == kind).sum()) for fate, kind in FATES.items()}
